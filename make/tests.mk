# The whole suite with its cross products, its line coverage, and the environments that CI builds beside its tests.
COVERAGE_VENV := .venv-coverage
COVERAGE := build/coverage
COVERAGE_PIP := $(COVERAGE_VENV)/bin/python -m pip --disable-pip-version-check install --quiet
# Threads count without locks: the count of a line may be wrong, but whether it ran is right.
GCOVR_OPTIONS := --merge-lines --gcov-ignore-parse-errors=negative_hits.warn_once_per_file \
  --gcov-ignore-parse-errors=suspicious_hits.warn_once_per_file

.PHONY: test-thorough coverage environments
test-thorough: $(VENV)/.installed ## the test suite with its cross products, and more random examples
	$(VENV)/bin/python -m pytest --thorough $(PYTEST_ARGS)

environments: $(PARITY_VENV)/.installed $(SANITIZE_VENV)-quick/.installed $(EMULATION)/.built

# Under the sanitizers, which are not optimised, the matrix takes a minute without its two largest sizes.
sanitize-quick: PYTEST_ARGS += tests/test_against_reference.py -k 'not large_input_matrix and not promise'

# With the libraries that some modules adapt to or read files of, and with the CUDA target emulated. Tests that measure
# memory or time may fail beside the instruments: the table is printed all the same.
coverage: $(COVERAGE_VENV)/.installed ## line coverage of python/ and csrc/ by the test suite
	@rm -rf $(COVERAGE)/python; mkdir -p $(COVERAGE)/python; find $(COVERAGE) -name '*.gcda' -delete
	@failed=0; \
	for tests in "$(PYTEST_ARGS)" "tests/loaders --loaders" "tests/with_jax --jax" \
	  "tests/cuda --cuda=$$(ls $(COVERAGE)/cuda/_cuda.*.so)"; do \
	  $(COVERAGE_VENV)/bin/coverage run -m pytest -q -p no:cacheprovider $$tests || failed=1; \
	done; \
	$(COVERAGE_VENV)/bin/coverage combine --quiet && \
	$(COVERAGE_VENV)/bin/coverage json --quiet -o $(COVERAGE)/python.json && \
	$(COVERAGE_VENV)/bin/gcovr --root . $(COVERAGE) --filter csrc/ $(GCOVR_OPTIONS) --json-summary $(COVERAGE)/cxx.json && \
	$(COVERAGE_VENV)/bin/python tools/coverage_by_folder.py $(COVERAGE)/python.json $(COVERAGE)/cxx.json || failed=1; \
	exit $$failed

$(COVERAGE_VENV)/.installed: $(SOURCES) tools/requirements-cuda.txt $(shell find tests/cuda_emulation -type f) \
  $(wildcard tests/loaders/requirements*.txt tests/with_jax/requirements.txt)
	@test -x $(@D)/bin/python || $(PYTHON) -m venv $(@D)
	$(COVERAGE_PIP) '$(TORCH)' scikit-learn expecttest 'coverage>=7.10' 'gcovr>=8.3' -r tools/requirements-cuda.txt \
	  -r tests/loaders/requirements.txt -r tests/with_jax/requirements.txt
	$(COVERAGE_PIP) --no-deps -r tests/loaders/requirements-no-deps.txt
	$(COVERAGE_PIP) '.[test]' --config-settings=cmake.define.LSTM_NATIVE_COVERAGE=ON \
	  --config-settings=install.strip=false --config-settings=build-dir=$(COVERAGE)/module
	PATH="$(CURDIR)/$(@D)/bin:$$PATH" cmake -S . -B $(COVERAGE)/cuda -G Ninja -DCMAKE_BUILD_TYPE=Release \
	  -DLSTM_NATIVE_CUDA_EMULATION=ON -DLSTM_NATIVE_COVERAGE=ON -DSKBUILD_PROJECT_VERSION=0.0.0 \
	  -DPython_EXECUTABLE="$(CURDIR)/$(@D)/bin/python" \
	  -Dpybind11_DIR="$$($(@D)/bin/python -m pybind11 --cmakedir)" > $(COVERAGE)/configure.log
	PATH="$(CURDIR)/$(@D)/bin:$$PATH" cmake --build $(COVERAGE)/cuda --target _cuda
	@touch $@
