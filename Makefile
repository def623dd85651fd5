# Every target does its own set-up, in virtual environments inside the project. Needed: Python 3.10 or later, a C++
# compiler (GCC or Clang), make.
#
#   make demo       find the speech in a recording (AUDIO=file.wav for your own)
#   make forecast   train a forecaster of sunspots
#   make test       the test suite
#   make help       the rest

PYTHON ?= python3
VENV := .venv
BENCH_VENV := .venv-bench
PARITY_VENV := .venv-parity
BUILD_VENV := .venv-build
SANITIZE_VENV := .venv-sanitize
QUICK_TESTS := tests/test_golden.py tests/test_values.py tests/test_packed.py tests/test_lengths.py \
  tests/test_stateful.py tests/test_fuzz_corpus.py
FUZZ_VENV := .venv-fuzz
FUZZ_SECONDS ?= 60
FUZZ_ARGS ?=
CUDA_VENV := .venv-cuda
NO_GIL_VENV := .venv-no-gil
# What many threads at once, and memory that they share, come into.
NO_GIL_TESTS := $(addprefix tests/test_,concurrency.py forks.py interrupts.py threads.py usual_call.py memory_pool.py \
  stream.py settings.py stateful.py program_end.py)
EMULATION := build/cuda_emulation
# The build of PyTorch for the parity tests. Where the plain name brings CUDA along, name a CPU build.
TORCH ?= torch==2.13.0
ISAS ?= all
AUDIO ?=
PYTEST_ARGS ?=

# On CI a warning of the compiler is an error.
BUILD_OPTIONS := $(if $(CI),--config-settings=cmake.define.LSTM_NATIVE_WERROR=ON)
PIP := -m pip --disable-pip-version-check install --quiet
SOURCES := $(shell find csrc python cmake -type f -not -name '*.pyc') CMakeLists.txt pyproject.toml README.md

.DEFAULT_GOAL := help
.PHONY: help demo forecast test test-slow test-isas test-cuda cuda-build parity bench bench-quick limits streams ragged training adapter splits \
  no-gil subnormals memory-pool concurrency concurrency-no-gil alternating accuracy check-wheel wheels aarch64 no-avx sanitize sanitize-quick sanitize-leak \
  sanitize-thread fuzz fuzz-quick lint tidy clean

help:
	@echo 'make demo          find the speech in a recording (AUDIO=file.wav for your own)'
	@echo 'make forecast      train an LSTM to forecast sunspot numbers, beside naive forecasts'
	@echo 'make test          the test suite (PYTEST_ARGS=... for pytest)'
	@echo 'make test-slow     the same with the tests that take minutes'
	@echo 'make test-isas     the test suite once per instruction set that this CPU can run'
	@echo 'make test-cuda     the CUDA target on an emulated device'
	@echo 'make cuda-build    compile and link the CUDA target for every architecture (nvcc; may download 450 MB)'
	@echo 'make no-gil        tests of threads on a free-threaded CPython (PYTHON=python3.13t)'
	@echo 'make parity        the same calls against PyTorch'
	@echo 'make bench         times beside PyTorch, ONNX Runtime, OpenVINO and ncnn (some 13 minutes)'
	@echo 'make bench-quick   the same with few rounds (under 3 minutes)'
	@echo 'make limits        what this machine can do at most: multiply-adds, reading its caches'
	@echo 'make streams       what a step of a stream costs beyond its share of a run'
	@echo 'make ragged        what a packed batch costs beside the padded one'
	@echo 'make training      forward and backward beside PyTorch (some 4 minutes)'
	@echo 'make adapter       the module for PyTorch beside torch.nn.LSTM (some 3 minutes)'
	@echo 'make subnormals    what states cost that have faded into subnormal numbers'
	@echo 'make memory-pool   what a MemoryPool saves'
	@echo 'make concurrency   two Python threads at once beside one after the other (concurrency-no-gil: PYTHON=python3.13t)'
	@echo 'make alternating   calls between those of PyTorch beside ours alone'
	@echo 'make splits        every way to split a call over threads, beside the one that is chosen'
	@echo 'make accuracy      errors against float64, and the steps of rounding in the activations'
	@echo 'make check-wheel   build the wheel; its size, its import time, a run beside NumPy alone'
	@echo 'make wheels        wheels for CPython 3.10 to 3.13 into dist/, each tried with its oldest and newest NumPy'
	@echo 'make no-avx        no instruction later than SSE2 outside of the AVX kernels; a run on an emulated CPU'
	@echo 'make aarch64       compile for aarch64, run the kernels there on an emulated CPU'
	@echo 'make sanitize      the test suite under AddressSanitizer and UndefinedBehaviorSanitizer'
	@echo 'make sanitize-quick   a part of it, in under 2 minutes'
	@echo 'make sanitize-leak, make sanitize-thread   under LeakSanitizer, under ThreadSanitizer'
	@echo 'make fuzz          calls made of arbitrary bytes for FUZZ_SECONDS=60, guided by the coverage of the C++ core'
	@echo 'make fuzz-quick    the same for 20 s with the ordinary build, guided by the coverage of the Python layer'
	@echo 'make lint          ruff, mypy, clang-format'
	@echo 'make tidy          clang-tidy'
	@echo 'make clean         remove what the other targets made'

comma := ,
CLANG ?= clang++-14
needs_clang = @command -v $(CLANG) >/dev/null || \
  { echo '$(CLANG): not found; on Debian: apt install clang-14 libomp-14-dev'; exit 1; }

# A stamp per environment: what follows is skipped while nothing that it was built from is newer.
define environment
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 10) and "Python 3.10 or later is needed; $(PYTHON) is " + sys.version)'
	@test -x $(1)/bin/python || $(PYTHON) -m venv $(1)
endef

$(VENV)/.installed: $(SOURCES)
	$(call environment,$(VENV))
	$(VENV)/bin/python $(PIP) '.[test]' $(BUILD_OPTIONS)
	@touch $@

$(VENV)/.demo: $(VENV)/.installed examples/requirements.txt examples/requirements-no-deps.txt
	$(VENV)/bin/python $(PIP) -r examples/requirements.txt
	$(VENV)/bin/python $(PIP) --no-deps -r examples/requirements-no-deps.txt
	@touch $@

$(VENV)/.forecast: $(VENV)/.installed examples/requirements-forecast.txt
	$(VENV)/bin/python $(PIP) -r examples/requirements-forecast.txt
	@touch $@

# Not all that the other tests need, and later versions of hypothesis, have wheels for a CPython without the GIL.
$(NO_GIL_VENV)/.installed: $(SOURCES)
	@$(PYTHON) -c 'import sys; sys.exit(getattr(sys, "_is_gil_enabled", lambda: True)() and "PYTHON=... must name a free-threaded CPython, as python3.13t")'
	$(call environment,$(NO_GIL_VENV))
	$(NO_GIL_VENV)/bin/python $(PIP) . pytest threadpoolctl 'hypothesis<6.140' $(BUILD_OPTIONS)
	@touch $@

$(BENCH_VENV)/.installed: $(SOURCES) bench/requirements.txt
	$(call environment,$(BENCH_VENV))
	$(BENCH_VENV)/bin/python $(PIP) -r bench/requirements.txt
	$(BENCH_VENV)/bin/python $(PIP) .
	@touch $@

$(PARITY_VENV)/.installed: $(SOURCES)
	$(call environment,$(PARITY_VENV))
	$(PARITY_VENV)/bin/python $(PIP) $(TORCH) scikit-learn
	$(PARITY_VENV)/bin/python $(PIP) '.[test]' $(BUILD_OPTIONS)
	@touch $@

$(BUILD_VENV)/.installed: tools/requirements-build.txt
	$(call environment,$(BUILD_VENV))
	$(BUILD_VENV)/bin/python $(PIP) -r tools/requirements-build.txt
	@touch $@

# Builds with a sanitizer keep their symbols, and have an environment each: $(1) the sanitizers, $(2) its name, $(3) the
# type of build, $(4) whether all kernels but the baseline's are left out (compiling them takes the most time).
define sanitized
	$(call environment,$(SANITIZE_VENV)-$(2))
	$(SANITIZE_VENV)-$(2)/bin/python $(PIP) '.[test]' --config-settings=cmake.build-type=$(3) \
	  --config-settings=cmake.define.LSTM_NATIVE_SANITIZE=$(1) --config-settings=install.strip=false \
	  --config-settings=cmake.define.LSTM_NATIVE_BASELINE_ONLY=$(4) \
	  --config-settings=build-dir=build/sanitize-$(2)/module
	@touch $(SANITIZE_VENV)-$(2)/.installed
endef

$(SANITIZE_VENV)-address/.installed: $(SOURCES)
	$(call sanitized,address$(comma)undefined,address,RelWithDebInfo,OFF)

$(SANITIZE_VENV)-quick/.installed: $(SOURCES)
	$(call sanitized,address$(comma)undefined,quick,Debug,ON)

$(SANITIZE_VENV)-leak/.installed: $(SOURCES)
	$(call sanitized,leak,leak,RelWithDebInfo,OFF)

# Clang: its OpenMP runtime tells ThreadSanitizer what orders the threads, through Archer.
$(SANITIZE_VENV)-thread/.installed: export CXX = $(CLANG)
$(SANITIZE_VENV)-thread/.installed: $(SOURCES)
	$(needs_clang)
	$(call sanitized,thread,thread,RelWithDebInfo,OFF)

$(FUZZ_VENV)/.installed: export CXX = $(CLANG)
$(FUZZ_VENV)/.installed: $(SOURCES) fuzz/requirements.txt
	$(needs_clang)
	$(call environment,$(FUZZ_VENV))
	$(FUZZ_VENV)/bin/python $(PIP) -r fuzz/requirements.txt
	$(FUZZ_VENV)/bin/python $(PIP) . --config-settings=cmake.build-type=RelWithDebInfo \
	  --config-settings=cmake.define.LSTM_NATIVE_SANITIZE=address$(comma)fuzzer-no-link \
	  --config-settings=install.strip=false --config-settings=build-dir=build/fuzz/module
	@touch $@

$(VENV)/.fuzz: $(VENV)/.installed fuzz/requirements.txt
	$(VENV)/bin/python $(PIP) -r fuzz/requirements.txt
	@touch $@

$(VENV)/.lint: $(VENV)/.installed tools/requirements-lint.txt
	$(VENV)/bin/python $(PIP) -r tools/requirements-lint.txt
	@touch $@

$(VENV)/.tidy: $(VENV)/.installed tools/requirements-tidy.txt
	$(VENV)/bin/python $(PIP) -r tools/requirements-tidy.txt
	@touch $@

$(CUDA_VENV)/.installed: tools/requirements-cuda.txt
	$(call environment,$(CUDA_VENV))
	$(CUDA_VENV)/bin/python $(PIP) -r $<
	@touch $@

# The module's ending tells which Python it is for: the same one in both environments.
$(EMULATION)/.built: $(CUDA_VENV)/.installed $(SOURCES) $(shell find tests/cuda_emulation -type f)
	PATH="$(CURDIR)/$(CUDA_VENV)/bin:$$PATH" cmake -S . -B $(EMULATION) -G Ninja -DCMAKE_BUILD_TYPE=Release \
	  -DLSTM_NATIVE_CUDA_EMULATION=ON -DLSTM_NATIVE_WERROR=ON -DSKBUILD_PROJECT_VERSION=0.0.0 \
	  -DPython_EXECUTABLE="$(CURDIR)/$(CUDA_VENV)/bin/python" \
	  -Dpybind11_DIR="$$($(CUDA_VENV)/bin/python -m pybind11 --cmakedir)" > $(CUDA_VENV)/configure.log
	PATH="$(CURDIR)/$(CUDA_VENV)/bin:$$PATH" cmake --build $(EMULATION) --target _cuda
	@touch $@

demo: $(VENV)/.demo
	$(VENV)/bin/python examples/voice_activity.py $(AUDIO)

forecast: $(VENV)/.forecast
	$(VENV)/bin/python examples/forecast.py

test: $(VENV)/.installed
	$(VENV)/bin/python -m pytest $(PYTEST_ARGS)

test-slow: $(VENV)/.installed
	$(VENV)/bin/python -m pytest --runslow $(PYTEST_ARGS)

# ISAS=others leaves out the one that the package chooses here, which make test has tried.
test-isas: $(VENV)/.installed
	@for isa in $$($(VENV)/bin/python -c 'import lstm_native; isa = lstm_native.get_config()["isa"]; \
	    print(*(name for name in isa["supported"] if "$(ISAS)" != "others" or name != isa["in_use"]))'); do \
	  echo "LSTM_NATIVE_ISA=$$isa"; \
	  LSTM_NATIVE_ISA=$$isa $(VENV)/bin/python -m pytest -q $(PYTEST_ARGS) || exit 1; \
	done

test-cuda: $(VENV)/.installed $(EMULATION)/.built
	$(VENV)/bin/python -m pytest tests/cuda --cuda=$$(ls $(EMULATION)/_cuda.*) $(PYTEST_ARGS)

cuda-build: $(CUDA_VENV)/.installed
	$(CUDA_VENV)/bin/python tools/cuda_build.py

no-gil: $(NO_GIL_VENV)/.installed
	$(NO_GIL_VENV)/bin/python -m pytest $(NO_GIL_TESTS) $(PYTEST_ARGS)

parity: $(PARITY_VENV)/.installed
	$(PARITY_VENV)/bin/python -m pytest -m parity $(PYTEST_ARGS)

bench: $(BENCH_VENV)/.installed
	$(BENCH_VENV)/bin/python -m bench

bench-quick: $(BENCH_VENV)/.installed
	$(BENCH_VENV)/bin/python -m bench --quick

limits: $(VENV)/.installed
	$(VENV)/bin/python -m bench.limits

streams: $(VENV)/.installed
	$(VENV)/bin/python -m bench.streams

ragged: $(VENV)/.installed
	$(VENV)/bin/python -m bench.ragged

training: $(BENCH_VENV)/.installed
	$(BENCH_VENV)/bin/python -m bench.training

adapter: $(PARITY_VENV)/.installed
	$(PARITY_VENV)/bin/python -m bench.adapter

splits: $(VENV)/.installed
	$(VENV)/bin/python -m bench.split

subnormals: $(VENV)/.installed
	$(VENV)/bin/python -m bench.subnormals

memory-pool: $(VENV)/.installed
	$(VENV)/bin/python -m bench.memory_pool

concurrency: $(VENV)/.installed
	$(VENV)/bin/python -m bench.concurrency

concurrency-no-gil: $(NO_GIL_VENV)/.installed
	$(NO_GIL_VENV)/bin/python -m bench.concurrency

alternating: $(BENCH_VENV)/.installed
	$(BENCH_VENV)/bin/python -m bench.alternating

accuracy: $(VENV)/.installed
	$(VENV)/bin/python -m bench.accuracy

check-wheel:
	$(PYTHON) tools/check_wheel.py

wheels: $(BUILD_VENV)/.installed
	$(BUILD_VENV)/bin/python tools/build_wheels.py $(PYTEST_ARGS)

no-avx: $(VENV)/.installed
	$(VENV)/bin/python tools/check_baseline.py

aarch64: $(BUILD_VENV)/.installed
	$(BUILD_VENV)/bin/python tools/check_aarch64.py

sanitize: $(SANITIZE_VENV)-address/.installed
	$(SANITIZE_VENV)-address/bin/python tools/sanitize.py address $(PYTEST_ARGS)

# What CI runs: the core's ways through one shape of each kind, with the baseline's kernels.
sanitize-quick: $(SANITIZE_VENV)-quick/.installed
	$(SANITIZE_VENV)-quick/bin/python tools/sanitize.py address $(QUICK_TESTS) $(PYTEST_ARGS)

sanitize-leak: $(SANITIZE_VENV)-leak/.installed
	$(SANITIZE_VENV)-leak/bin/python tools/sanitize.py leak $(PYTEST_ARGS)

sanitize-thread: $(SANITIZE_VENV)-thread/.installed
	$(SANITIZE_VENV)-thread/bin/python tools/sanitize.py thread $(PYTEST_ARGS)

# New calls that reach new code are added to the first folder; fuzz/corpus is what is kept in the tree.
fuzz: $(FUZZ_VENV)/.installed
	@mkdir -p build/fuzz/corpus
	LD_PRELOAD="$$($(FUZZ_VENV)/bin/python -c 'import atheris; print(atheris.path())')/asan_with_fuzzer.so" \
	  ASAN_OPTIONS=detect_leaks=0:allocator_may_return_null=1 $(FUZZ_VENV)/bin/python -m fuzz \
	  -max_total_time=$(FUZZ_SECONDS) -timeout=30 -rss_limit_mb=6000 -malloc_limit_mb=1000000 -max_len=512 \
	  -print_final_stats=1 $(FUZZ_ARGS) build/fuzz/corpus fuzz/corpus

fuzz-quick: $(VENV)/.fuzz
	@mkdir -p build/fuzz/corpus-quick
	$(VENV)/bin/python -m fuzz -seed=1 -max_total_time=20 -timeout=30 -rss_limit_mb=4000 -malloc_limit_mb=1000000 \
	  -max_len=512 $(FUZZ_ARGS) build/fuzz/corpus-quick fuzz/corpus

lint: $(VENV)/.lint
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/mypy
	$(VENV)/bin/clang-format --dry-run -Werror $(shell find csrc tests tools \
	  -name '*.cpp' -o -name '*.hpp' -o -name '*.inl' -o -name '*.cu' -o -name '*.cuh' -o -name '*.h')

# Without OpenMP, whose header only the compiler that builds is sure to have.
tidy: $(VENV)/.tidy
	PATH="$(CURDIR)/$(VENV)/bin:$$PATH" cmake --preset release -Dpybind11_DIR="$$($(VENV)/bin/python -m pybind11 --cmakedir)" \
	  -DPython_EXECUTABLE="$(CURDIR)/$(VENV)/bin/python"
	$(VENV)/bin/clang-tidy -p build/release --quiet --extra-arg=-fno-openmp --extra-arg=-Wno-unknown-warning-option \
	  $(shell find csrc -name '*.cpp' -not -path 'csrc/cuda/*')

clean:
	rm -rf build dist voice_activity.png forecast.png .hypothesis .*_cache $(VENV) $(BENCH_VENV) $(PARITY_VENV) $(BUILD_VENV) $(SANITIZE_VENV)-* $(FUZZ_VENV) $(CUDA_VENV) $(NO_GIL_VENV)
