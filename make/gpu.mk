# The check of the CUDA target on a device (docs/cuda.md).

# The version of Python on the device's machine.
GPU_PYTHON ?= 3.12

.PHONY: gpu-bundle
gpu-bundle: $(BUILD_VENV)/.installed ## the check of a CUDA device as a folder to carry there (nvcc; may download 450 MB)
	$(BUILD_VENV)/bin/python tools/gpu_bundle.py --python=$(GPU_PYTHON)

.PHONY: clean-gpu
clean: clean-gpu
clean-gpu:
	rm -rf gpu-bundle gpu-check
