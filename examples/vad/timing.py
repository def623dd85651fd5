"""Times functions side by side."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping
from functools import partial

from vad.signatures import Array, Function

TIMED_REPETITIONS = 15
SETTLE_SECONDS = 0.02


def times_per_frame(
    functions: Mapping[str, Function], inputs: Array, threads: int
) -> dict[str, float]:
    """Return the time in microseconds that each function takes for one of the inputs (T, ...).

    threads: how many each function uses.
    """
    fastest = fastest_runs({name: partial(run, inputs) for name, run in functions.items()}, threads)
    return {name: 1e6 * seconds / len(inputs) for name, seconds in fastest.items()}


def fastest_runs(runs: Mapping[str, Callable[[], object]], threads: int) -> dict[str, float]:
    """Return each run's shortest time in seconds over several interleaved repetitions.

    threads: how many each run uses.
    """
    fastest = dict.fromkeys(runs, math.inf)
    for _ in range(TIMED_REPETITIONS):
        for name, run in runs.items():
            if threads > 1:
                # Those of the run before go on spinning for a while and take its cores.
                time.sleep(SETTLE_SECONDS)
            begin = time.perf_counter()
            run()
            fastest[name] = min(fastest[name], time.perf_counter() - begin)
    return fastest
