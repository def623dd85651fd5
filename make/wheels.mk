# What users install, and the CPUs that it has to run on.

.PHONY: check-wheel wheels no-avx aarch64
check-wheel: ## build the wheel; its size, its import time, a run beside only NumPy
	$(PYTHON) tools/check_wheel.py

wheels: $(BUILD_VENV)/.installed ## wheels for CPython 3.10 to 3.13 in dist/, tried with their oldest and newest NumPy
	$(BUILD_VENV)/bin/python tools/build_wheels.py $(PYTEST_ARGS)

no-avx: $(VENV)/.installed ## SSE2 only, outside of the AVX kernels; a run on an emulated CPU
	$(VENV)/bin/python tools/check_baseline.py

aarch64: $(BUILD_VENV)/.installed ## compile for aarch64, run kernels and tests against the reference there on an emulated CPU
	$(BUILD_VENV)/bin/python tools/check_aarch64.py

$(BUILD_VENV)/.installed: tools/requirements-build.txt
	$(call environment,-r $<)
