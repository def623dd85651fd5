"""Import the package; print which libraries of model files came along."""

import sys

import lstm_native  # noqa: F401  # what it brings along

foreign = ("torch", "safetensors", "onnx", "onnxruntime", "h5py", "keras", "jax", "flax")
loaded = {name.partition(".")[0] for name in sys.modules}
print(*(loaded.intersection(foreign) or {"none"}))
