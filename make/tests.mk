# Line coverage of python/ and csrc/, with PyTorch for the module that adapts to it, and the CUDA target emulated.

COVERAGE_VENV := .venv-coverage
COVERAGE := build/coverage
# Threads count without locks, so that counters of hot lines may be wrong; whether a line ran is right.
GCOVR_TOLERANCE := $(addprefix --gcov-ignore-parse-errors=,negative_hits.warn_once_per_file suspicious_hits.warn_once_per_file)

.PHONY: coverage

$(COVERAGE_VENV)/.installed: $(SOURCES)
	$(call environment,$(COVERAGE_VENV))
	$(COVERAGE_VENV)/bin/python $(PIP) '$(TORCH)' scikit-learn 'coverage>=7.10' gcovr -r tools/requirements-cuda.txt
	$(COVERAGE_VENV)/bin/python $(PIP) '.[test]' --config-settings=cmake.define.LSTM_NATIVE_COVERAGE=ON \
	  --config-settings=install.strip=false --config-settings=build-dir=$(COVERAGE)/module
	PATH="$(CURDIR)/$(COVERAGE_VENV)/bin:$$PATH" cmake -S . -B $(COVERAGE)/cuda -G Ninja -DCMAKE_BUILD_TYPE=Release \
	  -DLSTM_NATIVE_CUDA_EMULATION=ON -DLSTM_NATIVE_COVERAGE=ON -DSKBUILD_PROJECT_VERSION=0.0.0 \
	  -DPython_EXECUTABLE="$(CURDIR)/$(COVERAGE_VENV)/bin/python" \
	  -Dpybind11_DIR="$$($(COVERAGE_VENV)/bin/python -m pybind11 --cmakedir)" > $(COVERAGE)/configure.log
	PATH="$(CURDIR)/$(COVERAGE_VENV)/bin:$$PATH" cmake --build $(COVERAGE)/cuda --target _cuda
	@touch $@

# Tests that measure memory or count allocations may fail beside the instruments; the table is printed all the same.
coverage: $(COVERAGE_VENV)/.installed
	@rm -rf $(COVERAGE)/python; mkdir -p $(COVERAGE)/python; find $(COVERAGE) -name '*.gcda' -delete
	@failed=0; \
	$(COVERAGE_VENV)/bin/coverage run -m pytest -q -p no:cacheprovider $(PYTEST_ARGS) || failed=1; \
	$(COVERAGE_VENV)/bin/coverage run -m pytest -q -p no:cacheprovider tests/cuda --cuda=$$(ls $(COVERAGE)/cuda/_cuda.*.so) \
	  || failed=1; \
	$(COVERAGE_VENV)/bin/coverage combine --quiet && \
	$(COVERAGE_VENV)/bin/coverage json --quiet -o $(COVERAGE)/python.json && \
	$(COVERAGE_VENV)/bin/gcovr --root . $(COVERAGE) --filter csrc/ --merge-lines $(GCOVR_TOLERANCE) --json-summary $(COVERAGE)/cxx.json && \
	$(COVERAGE_VENV)/bin/python tools/coverage_by_folder.py $(COVERAGE)/python.json $(COVERAGE)/cxx.json || failed=1; \
	exit $$failed
