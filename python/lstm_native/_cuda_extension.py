"""Imports the CUDA target when it is first used. Most builds lack it."""

import importlib
import re
import sys
from typing import Any

_NAME = "lstm_native._cuda"
_loaded: Any = None  # kept, because importlib takes microseconds for each call


def load() -> Any:
    """Return the extension module; RuntimeError says why there is none."""
    global _loaded  # noqa: PLW0603
    if _loaded is not None:
        return _loaded
    try:
        _loaded = _import()
    except ModuleNotFoundError as reason:
        if reason.name != _NAME:
            raise
        raise RuntimeError(
            'device="cuda": this build of lstm_native has no CUDA target; build one with '
            "pip install . --config-settings=cmake.define.LSTM_NATIVE_CUDA=ON"
        ) from reason
    except ImportError as reason:
        raise RuntimeError(
            f'device="cuda": the CUDA target of this build can\'t be loaded: {reason}'
        ) from reason
    return _loaded


def load_with_device() -> Any:
    """Return the extension module if there is a device; RuntimeError says what is missing."""
    module = load()
    count, reason = module.devices()
    if count == 0:
        raise RuntimeError(f'device="cuda": this machine has no CUDA device: {reason}')
    return module


def _import() -> Any:
    try:
        return importlib.import_module(_NAME)
    except ImportError as reason:
        library = _cublas_elsewhere(str(reason))
        if library is None:
            raise
        import ctypes  # noqa: PLC0415  # rarely: imports stay fast

        ctypes.CDLL(library)  # the module then finds the loaded library by its name
        return importlib.import_module(_NAME)


def _cublas_elsewhere(reason: str) -> str | None:
    """Return the path of the cuBLAS from PyPI that a failed import lacks; None: it is not found.

    The module itself finds a cuBLAS beside this package. An environment on top of another one can
    have them in different folders.
    """
    name = re.match(r"libcublas\.so\.\d+(?=: cannot open)", reason)
    if name is None:
        return None
    import glob  # noqa: PLC0415

    for entry in sys.path:
        for library in glob.iglob(f"{glob.escape(entry)}/nvidia/*/lib/{name[0]}"):
            return library
    return None
