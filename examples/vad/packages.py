"""Checks that the packages the example needs are installed."""

from __future__ import annotations

from importlib.util import find_spec

from vad.errors import InputError

REQUIRED_PACKAGES = ("lstm_native", "matplotlib", "onnx", "onnxruntime", "scipy", "silero_vad")


def check_packages() -> None:
    """Refuse early if a package is missing, rather than from the middle of the work."""
    missing = [name for name in REQUIRED_PACKAGES if find_spec(name) is None]
    if missing:
        raise InputError(
            f"not installed: {', '.join(missing)}; see examples/requirements.txt, "
            "examples/requirements-no-deps.txt (silero_vad) and the README (lstm_native)"
        )
