"""Derives from the cache sizes how much each thread reads when bandwidths are measured."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

# The vector loads go through whole cache lines.
_GRAIN = 4096

_UNITS = {"": 1, "K": 2**10, "M": 2**20, "G": 2**30}

# Parts of the L3 that all threads share. The weights of most shapes are between these sizes.
_L3_DIVISORS = (8, 4, 2)

# Less than this many L2s would partly be read from L2, and tell of neither.
_LEAST_L2S = 1.5


@dataclass(frozen=True)
class WorkingSet:
    """What one thread reads again and again, with the level of the caches that it fits."""

    level: str
    num_bytes: int


def parse_sizes(caches: Mapping[str, str]) -> dict[str, int]:
    """Bytes, from sizes as the kernel writes them: ``512K``."""
    return {level: _parse_size(size) for level, size in caches.items()}


def working_sets(caches: Mapping[str, int], threads: int) -> tuple[WorkingSet, ...]:
    """Half of L1, half of L2, parts of L3, then twice L3; the smallest first."""
    missing = [level for level in ("L1d", "L2") if level not in caches]
    if missing:
        raise ValueError(f"the system doesn't tell the size of {', '.join(missing)}")
    return tuple(
        WorkingSet(level, num_bytes // _GRAIN * _GRAIN)
        for level, num_bytes in _candidates(caches, threads)
    )


def _candidates(caches: Mapping[str, int], threads: int) -> Iterator[tuple[str, int]]:
    yield "L1", caches["L1d"] // 2
    yield "L2", caches["L2"] // 2
    least = round(_LEAST_L2S * caches["L2"])
    l3 = caches.get("L3", 0)
    for divisor in _L3_DIVISORS:
        num_bytes = l3 // divisor // threads
        if num_bytes >= least:
            yield f"1/{divisor} of L3", num_bytes
    yield "memory", max(2 * l3 // threads, 16 * caches["L2"])


def _parse_size(text: str) -> int:
    match = re.fullmatch(r"(\d+)([KMG]?)", text)
    if not match:
        raise ValueError(f"no size of a cache: {text!r}")
    return int(match[1]) * _UNITS[match[2]]
