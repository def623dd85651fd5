# Every target sets itself up, in virtual environments inside the project. Needed: Python 3.10 or later, a C++ compiler
# (GCC or Clang), make. `make help` lists the targets: a target's line of help is the ## comment of its rule.

PYTHON ?= python3
# The build of PyTorch for the parity tests. Where the plain name brings CUDA along, name a CPU build.
TORCH ?= torch==2.13.0
ISAS ?= all
# What `make dev` builds besides the baseline: all, native (the widest of this machine), or a list.
DEV_ISAS ?= native
AUDIO ?=
PYTEST_ARGS ?=
BENCH_ARGS ?=

VENV := .venv
DEV_VENV := .venv-dev
BENCH_VENV := .venv-bench
PARITY_VENV := .venv-parity
BUILD_VENV := .venv-build
WHEEL := $(VENV)/wheel

# On CI a warning of the compiler is an error.
BUILD_OPTIONS := $(if $(CI),--config-settings=cmake.define.LSTM_NATIVE_WERROR=ON)
SOURCES := $(shell find csrc python cmake -type f -not -name '*.pyc') CMakeLists.txt pyproject.toml README.md

comma := ,
PIP = $(@D)/bin/python -m pip --disable-pip-version-check install --quiet

# An environment's stamp, <folder>/.installed: targets that depend on it skip its recipe while it is newer than its
# prerequisites. $(1) is what pip installs.
define new_environment
@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 10) and "Python 3.10 or later is needed; $(PYTHON) is " + sys.version)'
@test -x $(@D)/bin/python || $(PYTHON) -m venv $(@D)
endef
define addition
$(PIP) $(1)
@touch $@
endef
define environment
$(new_environment)
$(addition)
endef
# The package as $(VENV) has built it: the core is compiled once for all environments that take it as it is. pip would
# keep an older wheel of the same version.
define from_wheel
$(PIP) --force-reinstall --no-deps $(WHEEL)/*.whl
$(PIP) "$$(echo $(WHEEL)/*.whl)$(1)" $(2)
@touch $@
endef

.DEFAULT_GOAL := help

.PHONY: help
help: ## this list
	@awk -F ':[^#]*## |: ' '/^[a-z0-9-]+:.*## |^## [a-z0-9-]+: / { sub("^## ", ""); name = $$1; sub("^[^#]*## |^[^ ]+: ", ""); \
	  printf "make %-18s %s\n", name, $$0 }' $(MAKEFILE_LIST)

.PHONY: dev demo forecast
dev: $(DEV_VENV)/.installed ## an editable install: `.venv-dev/bin/python -m pytest` rebuilds what was edited
	@echo "try: $(DEV_VENV)/bin/python -m pytest tests/test_values.py"

demo: $(VENV)/.demo ## find the speech in a recording (AUDIO=file.wav for your own)
	$(VENV)/bin/python examples/voice_activity.py $(if $(AUDIO),'$(subst ','\'',$(AUDIO))')

forecast: $(VENV)/.forecast ## train an LSTM to forecast sunspot numbers, beside naive forecasts
	$(VENV)/bin/python examples/forecast.py

# --- tests -----------------------------------------------------------------------------------------------------------
.PHONY: test test-slow test-isas parity
test: $(VENV)/.installed ## the test suite (PYTEST_ARGS=... for pytest)
	$(VENV)/bin/python -m pytest $(PYTEST_ARGS)

test-slow: $(VENV)/.installed ## the same with the tests that take minutes
	$(VENV)/bin/python -m pytest --runslow $(PYTEST_ARGS)

# ISAS=others leaves out the one that the package chooses here, which `make test` tries. Of those that share their
# float32 kernels with another one, only the tests of what differs run.
test-isas: $(VENV)/.installed ## the test suite once per instruction set that this CPU can run
	@listed=$$($(VENV)/bin/python tools/list_isas.py $(ISAS)) || exit 1; echo "$$listed" | while read -r isa tests; do \
	  echo "LSTM_NATIVE_ISA=$$isa"; \
	  LSTM_NATIVE_ISA=$$isa $(VENV)/bin/python -m pytest -q $${tests:-$(PYTEST_ARGS)} < /dev/null || exit 1; \
	done

parity: $(PARITY_VENV)/.installed ## the same calls against PyTorch
	$(PARITY_VENV)/bin/python -m pytest -m parity $(PYTEST_ARGS)

# --- source and release ----------------------------------------------------------------------------------------------
.PHONY: lint tidy clean
lint: $(VENV)/.lint ## ruff, mypy, pyright, clang-format
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/mypy
	$(VENV)/bin/pyright --pythonpath $(VENV)/bin/python
	$(VENV)/bin/clang-format --dry-run -Werror $(shell find csrc tests tools \
	  -name '*.cpp' -o -name '*.hpp' -o -name '*.inl' -o -name '*.cu' -o -name '*.cuh' -o -name '*.h')

# Without OpenMP: only the compiler that builds is sure to have its header.
tidy: $(VENV)/.tidy ## clang-tidy
	PATH="$(CURDIR)/$(VENV)/bin:$$PATH" cmake --preset release -Dpybind11_DIR="$$($(VENV)/bin/python -m pybind11 --cmakedir)" \
	  -DPython_EXECUTABLE="$(CURDIR)/$(VENV)/bin/python"
	$(VENV)/bin/clang-tidy -p build/release --quiet $(patsubst %,--extra-arg=-%,fno-openmp Wno-unknown-warning-option \
	  Wno-deprecated-declarations Wno-unused-const-variable) \
	  $$($(VENV)/bin/python -c 'import json; print(*{unit["file"] for unit in json.load(open("build/release/compile_commands.json"))})')

clean: ## remove what the other targets made
	rm -rf build dist voice_activity.png forecast.png .hypothesis .*_cache $(VENV) $(VENV)-*

# --- environments ----------------------------------------------------------------------------------------------------
$(VENV)/.installed: $(SOURCES)
	$(new_environment)
	@rm -rf $(WHEEL)
	$(PIP:install%=wheel%) --no-deps --wheel-dir $(WHEEL) . $(BUILD_OPTIONS)
	$(call from_wheel,[test])

# The build folder stays, so that a rebuild compiles only what an edit affects. A build outside of pip's isolation needs
# the build's own requirements in the environment, and an import that rebuilds needs its programs on PATH (path.pth). LTO
# would take longer than most rebuilds' compiling.
$(DEV_VENV)/.installed: CMakeLists.txt pyproject.toml $(wildcard cmake/*) tools/requirements-dev.txt
	$(new_environment)
	$(PIP) -r tools/requirements-dev.txt
	@echo 'import os, sys; os.environ["PATH"] = sys.prefix + "/bin" + os.pathsep + os.environ.get("PATH", "")' > \
	  "$$($(@D)/bin/python -c 'import sysconfig; print(sysconfig.get_path("purelib"))')/path.pth"
	PATH="$(CURDIR)/$(@D)/bin:$$PATH" $(PIP) --no-build-isolation --editable '.[test]' $(addprefix --config-settings=, \
	  editable.mode=redirect editable.rebuild=true editable.verbose=false build-dir=build/dev install.strip=false \
	  cmake.define.LSTM_NATIVE_ISAS=$(DEV_ISAS) cmake.define.CMAKE_INTERPROCEDURAL_OPTIMIZATION=OFF)
	@touch $@

$(VENV)/.demo: $(VENV)/.installed examples/requirements.txt examples/requirements-no-deps.txt
	$(PIP) -r examples/requirements.txt
	$(call addition,--no-deps -r examples/requirements-no-deps.txt)

$(VENV)/.forecast: examples/requirements-forecast.txt
$(VENV)/.lint $(VENV)/.tidy: $(VENV)/.%: tools/requirements-%.txt
$(VENV)/.forecast $(VENV)/.lint $(VENV)/.tidy: $(VENV)/.installed
	$(call addition,-r $(filter %.txt,$^))

$(BENCH_VENV)/.installed: $(VENV)/.installed bench/requirements.txt
	$(new_environment)
	$(call from_wheel,,-r bench/requirements.txt)

$(PARITY_VENV)/.installed: $(VENV)/.installed
	$(new_environment)
	$(call from_wheel,[test],$(TORCH) scikit-learn expecttest)

include $(wildcard make/*.mk)
