"""Tests of `device="cuda"`: on a real device, or on an emulated one that checks more.

`pytest tests/cuda --cuda=FILE` takes the emulated module from that file (`make test-cuda` builds
it); `--cuda=device` takes the installed one (`tools/gpu_check.sh`).
"""

from __future__ import annotations

import importlib.util
import os
import sys
from pathlib import Path

import pytest

import lstm_native

NAME = "lstm_native._cuda"


def pytest_configure(config: pytest.Config) -> None:
    choice = config.getoption("--cuda")
    if choice in (None, "device"):
        return
    spec = importlib.util.spec_from_file_location(NAME, Path(choice).resolve())
    module = importlib.util.module_from_spec(spec)
    # Its OpenBLAS, too, starts its threads while it is loaded; the products here are small.
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(os.environ, "OPENBLAS_NUM_THREADS", "1")
        spec.loader.exec_module(module)
    sys.modules[NAME] = module  # before anybody has asked for the real one


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """Leave out what asks the emulated machine where there is a real one, and the reverse."""
    on_device = config.getoption("--cuda") == "device"
    unwanted = "test_emulated" if on_device else "test_device"
    return True if collection_path.name.startswith(unwanted) else None


@pytest.fixture
def machine():
    """The emulated machine; afterwards nothing is injected any more."""
    testing = sys.modules[NAME].testing
    testing.reset()
    yield testing
    testing.reset()


@pytest.fixture(autouse=True)
def _fresh_plans():
    """Each test meets its shapes for the first time, and leaves no memory or setting behind."""
    lstm_native.cuda.clear_plans()
    yield
    lstm_native.cuda.clear_plans()
    lstm_native._cuda_extension.load().set_step_loop("automatic")
