# A free-threaded CPython (PYTHON=python3.13t).
NO_GIL_VENV := .venv-no-gil
# Threads and memory that they share: what a CPython without the GIL affects.
NO_GIL_TESTS := $(addprefix tests/test_,concurrency.py forks.py interrupts.py threads.py fast_path.py memory_pool.py \
  stream.py settings.py stateful.py program_end.py)

.PHONY: no-gil concurrency-no-gil
no-gil: $(NO_GIL_VENV)/.installed ## tests of threads on a free-threaded CPython (PYTHON=python3.13t)
	$(NO_GIL_VENV)/bin/python -m pytest $(NO_GIL_TESTS) $(PYTEST_ARGS)

concurrency-no-gil: $(NO_GIL_VENV)/.installed ## `make concurrency` without a GIL (PYTHON=python3.13t)
	$(NO_GIL_VENV)/bin/python -m bench.measure.concurrency $(BENCH_ARGS)

# Some packages of the other tests, and later versions of hypothesis, have no wheels for a CPython without the GIL.
$(NO_GIL_VENV)/.installed: $(SOURCES)
	@$(PYTHON) -c 'import sys; sys.exit(getattr(sys, "_is_gil_enabled", lambda: True)() and "PYTHON=... must name a free-threaded CPython, as python3.13t")'
	$(call environment,. pytest threadpoolctl 'hypothesis<6.140' $(BUILD_OPTIONS))
