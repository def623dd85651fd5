"""Finds the CUDA target, which most builds do not have, when somebody asks for it."""

import importlib
from typing import Any

_NAME = "lstm_native._cuda"


def load() -> Any:
    """Return the extension module; RuntimeError says why there is none."""
    try:
        return importlib.import_module(_NAME)
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


def load_with_device() -> Any:
    """Return the extension module where there is a device, too; RuntimeError says what lacks."""
    module = load()
    count, reason = module.devices()
    if count == 0:
        raise RuntimeError(f'device="cuda": this machine has no CUDA device: {reason}')
    return module
