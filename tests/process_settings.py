"""What is set in this process, in its libraries and in the calling thread."""

from __future__ import annotations

import ctypes
import os
import platform
from pathlib import Path
from typing import Any

import numpy as np
import threadpoolctl

import lstm_native
from lstm_native._core import testing

_OF_OPENMP = (
    "omp_get_max_threads",
    "omp_get_dynamic",
    "omp_get_max_active_levels",
    "omp_get_thread_limit",
    "omp_get_proc_bind",
    "omp_get_cancellation",
    "omp_get_num_procs",
    "omp_in_parallel",
)
_POOLS = threadpoolctl.ThreadpoolController()
_LIBM = ctypes.CDLL("libm.so.6")
_TO_NEAREST = 0
_UPWARD = 0x400000 if platform.machine() == "aarch64" else 0x800  # FE_UPWARD


def round_upward(upward: bool = True) -> None:
    assert _LIBM.fesetround(_UPWARD if upward else _TO_NEAREST) == 0


def _own_openmp() -> Any:
    """Return the runtime that the core was linked with, which a wheel has under another name."""
    maps = Path("/proc/self/maps").read_text().split()
    (path,) = {word for word in maps if "lstm_native.libs/libgomp" in word} or {"libgomp.so.1"}
    return ctypes.CDLL(path)


def settings() -> dict[str, Any]:
    gomp = _own_openmp()
    kind, chunk = ctypes.c_int(), ctypes.c_int()
    gomp.omp_get_schedule(ctypes.byref(kind), ctypes.byref(chunk))
    return {
        **{name: getattr(gomp, name)() for name in _OF_OPENMP},
        "schedule": (kind.value, chunk.value),
        "pools": _POOLS.info(),
        "own BLAS": lstm_native.get_config()["blas"]["threads"],
        "floating point": testing.float_control(),
        "rounding": _LIBM.fegetround(),
        "NumPy's errors": np.geterr(),
        "affinity": os.sched_getaffinity(0),
        "environment": dict(os.environ),
    }
