"""Times one callable for one turn."""

from __future__ import annotations

import gc
import math
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass

# Reading the clock costs some 50 ns: below this length several calls share one reading.
_SHORTEST_SAMPLE_NS = 20_000

# After a pause the caches hold other data and threads sleep; both recover within this time.
_WARM_UP_NS = 2_000_000


@dataclass(frozen=True)
class Turn:
    """What the calls of one turn took."""

    min_us: float
    median_us: float
    calls: int


def time_turn(call: Callable[[], object], budget_ms: float, min_samples: int) -> Turn:
    """Call for ``budget_ms``, and in any case until there are ``min_samples`` samples."""
    calls_per_sample = _calls_per_sample(_warm_up(call))
    samples: list[float] = []
    collects_garbage = gc.isenabled()
    gc.disable()
    try:
        end = time.perf_counter_ns() + budget_ms * 1e6
        while len(samples) < min_samples or time.perf_counter_ns() < end:
            samples.append(_sample_ns(call, calls_per_sample))
    finally:
        if collects_garbage:
            gc.enable()
    return Turn(
        min_us=min(samples) / 1e3,
        median_us=statistics.median(samples) / 1e3,
        calls=len(samples) * calls_per_sample,
    )


def _warm_up(call: Callable[[], object]) -> float:
    """The shortest of the untimed calls, in nanoseconds."""
    end = time.perf_counter_ns() + _WARM_UP_NS
    shortest = _sample_ns(call, 1)
    while time.perf_counter_ns() < end:
        shortest = min(shortest, _sample_ns(call, 1))
    return shortest


def _calls_per_sample(call_ns: float) -> int:
    return max(1, math.ceil(_SHORTEST_SAMPLE_NS / max(call_ns, 1.0)))


def _sample_ns(call: Callable[[], object], calls: int) -> float:
    """The time of one call, averaged over ``calls`` in a row."""
    start = time.perf_counter_ns()
    for _ in range(calls):
        call()
    return (time.perf_counter_ns() - start) / calls
