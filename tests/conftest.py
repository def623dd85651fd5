from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

PROJECT = Path(__file__).resolve().parents[1]
# Calls have as many threads as a test asks for, whatever else the machine does; in programs, too.
os.environ["LSTM_NATIVE_ADAPTIVE_THREADS"] = "0"
sys.path[:0] = [str(PROJECT), str(PROJECT / "tests")]  # bench, and the tests' own helpers

# Machines under test are shared and slow at times: a deadline would fail by chance.
settings.register_profile("default", deadline=None, max_examples=25)
settings.register_profile(
    "thorough", deadline=None, max_examples=300, suppress_health_check=list(HealthCheck)
)


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--thorough", action="store_true", help="also run cross products")
    parser.addoption("--runslow", action="store_true", help="also run tests that take minutes")
    parser.addoption("--loaders", action="store_true", help="also run tests/loaders")
    parser.addoption("--jax", action="store_true", help="also run tests/with_jax")
    parser.addoption("--serving", action="store_true", help="also run tests/serving")
    parser.addoption("--clusters", action="store_true", help="also run tests/clusters")
    parser.addoption("--cuda", help="the CUDA module for tests/cuda: a file, or 'device'")


def pytest_configure(config: pytest.Config) -> None:
    settings.load_profile("thorough" if config.getoption("--thorough") else "default")


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """Some folders are for make targets that install what they need."""
    options = {
        "cuda": "--cuda",
        "loaders": "--loaders",
        "with_jax": "--jax",
        "serving": "--serving",
        "clusters": "--clusters",
    }
    for folder, option in options.items():
        if collection_path == PROJECT / "tests" / folder and not config.getoption(option):
            return True
    return None


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if not config.getoption("--thorough"):
        left_out = [item for item in items if item.get_closest_marker("thorough")]
        config.hook.pytest_deselected(items=left_out)
        items[:] = [item for item in items if not item.get_closest_marker("thorough")]
    if config.getoption("--runslow"):
        return
    for item in items:
        if item.get_closest_marker("slow"):
            item.add_marker(pytest.mark.skip(reason="takes minutes: --runslow runs it"))


@pytest.fixture(autouse=True)
def _default_settings():
    """No test leaves its settings to the next."""
    import lstm_native  # noqa: PLC0415

    flush = lstm_native.get_flush_subnormals()
    yield
    lstm_native.set_adaptive_threads(False)
    lstm_native.set_num_threads(None)
    lstm_native.set_flush_subnormals(flush)
