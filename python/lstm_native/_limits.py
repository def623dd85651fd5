"""The limits of one core of this machine, measured when `explain` first needs them."""

import time
from collections.abc import Callable
from functools import cache

import numpy as np

from lstm_native._extension import core

# Where the system does not tell: L1 data, L2, L3.
_USUAL_CACHE_BYTES = (32 << 10, 512 << 10, 32 << 20)
# The largest working set that is read to measure memory.
_MOST_BYTES = 64 << 20
_BURSTS = 10
_BURST_SECONDS = 3e-4


def multiply_add_seconds(isa: str, element_bytes: int) -> float:
    """Return the time of one multiply-add where vectors are full."""
    return _float32_multiply_add_seconds(isa) * element_bytes / 4


def read_seconds(isa: str, num_bytes: float) -> float:
    """Return the least time of reading this many bytes again and again.

    Each cache counts as filled with these bytes from the last time. L3 counts as fast as L2,
    because the kernels' prefetches hide most of the difference. A plain loop shows it (two cores of
    an AMD EPYC, Zen 4: 38 GB/s by a loop, 90 GB/s by the kernels).
    """
    level_1, _, level_3 = _cache_bytes()
    near = min(num_bytes, level_1)
    far = max(num_bytes - level_3, 0)
    seconds = near * _byte_seconds(isa, 0)
    if num_bytes > near:
        seconds += (num_bytes - near - far) * _byte_seconds(isa, 1)
    return seconds + (far * _byte_seconds(isa, 3) if far > 0 else 0.0)


@cache
def _cache_bytes() -> tuple[int, ...]:
    told = core.cache_bytes()
    return tuple(
        size if size > 0 else usual for size, usual in zip(told, _USUAL_CACHE_BYTES, strict=True)
    )


@cache
def _float32_multiply_add_seconds(isa: str) -> float:
    operations = core.probe_multiply_adds(1, isa)
    return 2 * _least_seconds(lambda rounds: core.probe_multiply_adds(rounds, isa)) / operations


@cache
def _byte_seconds(isa: str, level: int) -> float:
    """Return the time per byte of a working set that fits into this level, not the one before."""
    caches = _cache_bytes()
    if level < len(caches):
        smaller = caches[level - 1] if level > 0 else 0
        num_bytes = min(max(2 * smaller, caches[level] // 2), _MOST_BYTES)
    else:
        num_bytes = min(2 * caches[-1], _MOST_BYTES)
    # Ones: pages that were never written are one page of zeros.
    array = np.ones(num_bytes // 1024 * 256, np.float32)
    return _least_seconds(lambda rounds: core.probe_read(array, rounds, isa)) / array.nbytes


def _least_seconds(work: Callable[[int], object]) -> float:
    """Return the least time of one round. Other work may use the core in some of the bursts."""
    rounds = 1
    while _seconds_of(work, rounds) < _BURST_SECONDS:
        rounds *= 2
    return min(_seconds_of(work, rounds) for _ in range(_BURSTS)) / rounds


def _seconds_of(work: Callable[[int], object], rounds: int) -> float:
    begin = time.perf_counter()
    work(rounds)
    return time.perf_counter() - begin
