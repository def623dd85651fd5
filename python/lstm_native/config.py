"""Threads, and what this build consists of."""

import math
import os
from pathlib import Path
from typing import Any

import numpy as np

from lstm_native import _validate
from lstm_native._extension import core

_ENVIRONMENT = "LSTM_NATIVE_NUM_THREADS"
_MOST_THREADS = core.most_threads()


def set_num_threads(num_threads: int | None) -> None:
    """Set how many threads a call uses that does not say `num_threads=` itself.

    Results do not depend on it, bit for bit.

    Parameters
    ----------
    num_threads : int or None
        From 1 to 128. None returns to the default: the environment variable
        LSTM_NATIVE_NUM_THREADS as it was at import, else OMP_NUM_THREADS, else the cores that the
        process may use (its affinity and its cgroup's limit).

    Raises
    ------
    TypeError
        If `num_threads` is neither an int nor None.
    ValueError
        If it is outside of its range.
    """
    _threads.chosen = None if num_threads is None else _check(num_threads)


def get_num_threads() -> int:
    """Return how many threads a call uses that does not say `num_threads=` itself."""
    return _threads.default if _threads.chosen is None else _threads.chosen


def threads_for_call(num_threads: Any) -> int:
    """Return the threads of one call from its `num_threads=` argument."""
    return get_num_threads() if num_threads is None else _check(num_threads)


def get_config() -> dict[str, Any]:
    """Return what `show_config` prints, as a dictionary."""
    return {
        "version": core.version(),
        "compiler": core.compiler(),
        "numpy": np.__version__,
        "blas": core.blas(),
        "openmp": core.openmp_version(),
        "isa": core.isa(),
        "threads": get_num_threads(),
    }


def show_config() -> None:
    """Print version, compiler, BLAS, OpenMP, instruction sets and threads of this build."""
    config = get_config()
    blas, isa = config["blas"], config["isa"]
    origin = "inside this package" if blas["bundled"] else "of the system"
    pool = f"own pool: {blas['threads'] or 'unknown'}"
    openmp = config["openmp"]
    lines = {
        "version": config["version"],
        "compiler": config["compiler"],
        "NumPy": config["numpy"],
        "BLAS": f"{blas['name']} {blas['version']} ({blas['kernel']} kernels, {origin}, {pool})",
        "OpenMP": f"standard of {openmp // 100}-{openmp % 100:02}",
        "ISA built": ", ".join(isa["built"]),
        "ISA supported": ", ".join(isa["supported"]),
        "ISA in use": f"{isa['in_use']} ({8 * isa['vector_bytes']}-bit vectors)",
        "threads": str(config["threads"]),
    }
    for name, value in lines.items():
        print(f"{name + ':':15}{value}")


def _check(num_threads: Any) -> int:
    return _validate.integer(num_threads, "num_threads", 1, _MOST_THREADS)


class _Threads:
    """The default, decided at import, and what `set_num_threads` chose."""

    def __init__(self, default: int) -> None:
        self.default = default
        self.chosen: int | None = None


def _default_threads() -> int:
    ours = os.environ.get(_ENVIRONMENT, "").strip()
    if ours:
        if not ours.isdecimal() or not 1 <= int(ours) <= _MOST_THREADS:
            raise ValueError(
                f"environment variable {_ENVIRONMENT}: expected an int from 1 to "
                f"{_MOST_THREADS}, got {ours!r}"
            )
        return int(ours)
    # OpenMP allows a list, one number per level of nesting. What it would ignore, we ignore.
    outermost = os.environ.get("OMP_NUM_THREADS", "").split(",")[0].strip()
    if outermost.isdecimal() and int(outermost) >= 1:
        return min(int(outermost), _MOST_THREADS)
    return min(usable_cores(), _MOST_THREADS)


def usable_cores() -> int:
    """Return the number of cores that the process may use: its affinity, its cgroup's limit."""
    affinity = getattr(os, "sched_getaffinity", None)
    cores = len(affinity(0)) if affinity is not None else os.cpu_count() or 1
    limit = _cgroup_limit(Path("/sys/fs/cgroup"))
    return max(1, min(cores, math.ceil(limit))) if limit is not None else cores


def _cgroup_limit(root: Path) -> float | None:
    """Return the CPU time per wall time that the cgroup mounted at `root` allows."""
    try:
        quota, period = (root / "cpu.max").read_text().split()  # version 2: "max 100000"
    except (OSError, ValueError):
        try:
            quota = (root / "cpu" / "cpu.cfs_quota_us").read_text().strip()  # version 1: -1 is none
            period = (root / "cpu" / "cpu.cfs_period_us").read_text().strip()
        except OSError:
            return None
    try:
        return int(quota) / int(period) if int(quota) > 0 and int(period) > 0 else None
    except ValueError:
        return None


_threads = _Threads(_default_threads())
