"""Names the packages that the example needs."""

from __future__ import annotations

REQUIRED_PACKAGES = ("lstm_native", "matplotlib", "onnx", "onnxruntime", "scipy", "silero_vad")

WHERE = (
    "examples/requirements.txt, examples/requirements-no-deps.txt (silero_vad) and the README "
    "(lstm_native)"
)
