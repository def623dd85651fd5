"""Describes the machine."""

from __future__ import annotations

import os
import platform
import re
from pathlib import Path
from typing import Any

# What decides the widest kernel that can run.
_ISA_FLAGS = ("avx", "avx2", "fma", "f16c", "avx512f", "avx512_vnni", "avx512_bf16", "amx_bf16")

_WIDEST = {"avx512f": "avx512", "avx2": "avx2"}


def describe_machine() -> dict[str, Any]:
    return {
        "cpu": cpu_model(),
        "cores": usable_cores(),
        "caches": _caches(),
        "isa": _isa_flags(),
        "os": platform.platform(terse=True),
        "python": platform.python_version(),
    }


def cpu_model() -> str:
    return _cpuinfo("model name") or platform.processor() or platform.machine()


def cpu_slug() -> str:
    """The CPU as a file name: its model and its widest vectors, since models share names."""
    flags = _isa_flags()
    isa = next((name for flag, name in _WIDEST.items() if flag in flags), "")
    name = re.sub(r"\((r|tm|c)\)|@.*", "", cpu_model().lower())
    return re.sub(r"[^a-z0-9]+", "-", f"{name} {isa}").strip("-") or "unknown-cpu"


def usable_cores() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def default_threads() -> list[int]:
    return [1, 2] if usable_cores() > 1 else [1]


def _isa_flags() -> list[str]:
    present = set(_cpuinfo("flags").split())
    return [flag for flag in _ISA_FLAGS if flag in present]


def _cpuinfo(field: str) -> str:
    """The first core's entry; empty where the system keeps no such file."""
    path = Path("/proc/cpuinfo")
    text = path.read_text() if path.exists() else ""
    match = re.search(rf"^{field}\s*:\s*(.*)$", text, re.MULTILINE)
    return match.group(1).strip() if match else ""


def _caches() -> dict[str, str]:
    """Sizes of the first core's data caches, as the kernel writes them."""
    caches = {}
    for index in sorted(Path("/sys/devices/system/cpu/cpu0/cache").glob("index*")):
        level, kind, size = (
            (index / name).read_text().strip() for name in ("level", "type", "size")
        )
        if kind != "Instruction":
            caches[f"L{level}{'d' if kind == 'Data' else ''}"] = size
    return caches
