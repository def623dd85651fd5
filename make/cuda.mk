# The CUDA target: emulated for tests, and compiled with nvcc.
CUDA_VENV := .venv-cuda
EMULATION := build/cuda_emulation

.PHONY: test-cuda cuda-build
test-cuda: $(VENV)/.installed $(EMULATION)/.built ## the CUDA target on an emulated device
	$(VENV)/bin/python -m pytest tests/cuda --cuda=$$(ls $(EMULATION)/_cuda.*) $(PYTEST_ARGS)

cuda-build: $(CUDA_VENV)/.installed ## compile the CUDA target for every architecture (nvcc; may download 450 MB)
	$(CUDA_VENV)/bin/python tools/cuda_build.py

$(CUDA_VENV)/.installed: tools/requirements-cuda.txt
	$(call environment,-r $<)

# The module's ending tells which Python it is for: the same one in both environments.
$(EMULATION)/.built: $(CUDA_VENV)/.installed $(SOURCES) $(shell find tests/cuda_emulation -type f)
	PATH="$(CURDIR)/$(CUDA_VENV)/bin:$$PATH" cmake -S . -B $(EMULATION) -G Ninja -DCMAKE_BUILD_TYPE=Release \
	  -DLSTM_NATIVE_CUDA_EMULATION=ON -DLSTM_NATIVE_WERROR=ON -DSKBUILD_PROJECT_VERSION=0.0.0 \
	  -DPython_EXECUTABLE="$(CURDIR)/$(CUDA_VENV)/bin/python" \
	  -Dpybind11_DIR="$$($(CUDA_VENV)/bin/python -m pybind11 --cmakedir)" > $(CUDA_VENV)/configure.log
	PATH="$(CURDIR)/$(CUDA_VENV)/bin:$$PATH" cmake --build $(EMULATION) --target _cuda
	@touch $@
