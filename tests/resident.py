"""What the process holds, as the kernel counts it."""

from __future__ import annotations

import ctypes
import gc
from pathlib import Path

_PAGE = 4096
_STATUS = Path("/proc/self/status")
_STATM = Path("/proc/self/statm")


def resident_bytes() -> int:
    """Resident memory, without what Python and malloc keep for the next object."""
    gc.collect()
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:  # glibc
        trim(0)
    return int(_STATM.read_text().split()[1]) * _PAGE


def threads_of_process() -> int:
    lines = _STATUS.read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("Threads:"))
