"""Measures whether calls of two Python threads run at once: the GIL is free while they compute.

python -m bench.measure.concurrency
"""

from __future__ import annotations

import argparse
import statistics
import threading
import time
from collections.abc import Callable

import numpy as np

from bench.measure.calls import backward_call, packed_call, plain_call
from bench.report.markdown import table
from bench.report.verdict import exit_status, verdict
from shapes import Case, Shape, make_case

SHAPES = (
    Shape("steps", 4000, 1, 64, 128),
    Shape("rows", 200, 32, 128, 256),
    Shape("short calls", 1, 1, 64, 256),
)
# Of np.tanh, which lets go of the GIL, too: calls of 8 and 22 us on an AMD EPYC (Zen 5).
NUMPY_SIZES = (20_000, 60_000)
# Two calls at once, of the time of two in a row.
MOST_RATIO = 0.65
# Short, so that some of them fall between what else the machine does.
_ROUNDS = 30
_SECONDS = 0.03

Call = Callable[[], object]


def calls_of(case: Case) -> dict[str, Call]:
    return {
        "packed": packed_call(case, 1),
        "plain": plain_call(case, 1),
        "backward": backward_call(case, 1),
    }


def numpy_call(size: int) -> Call:
    numbers = np.linspace(-3.0, 3.0, size, dtype=np.float32)
    out = np.empty_like(numbers)
    return lambda: np.tanh(numbers, out=out)


def repeated(call: Call, count: int) -> Callable[[], None]:
    def repeat() -> None:
        for _ in range(count):
            call()

    return repeat


def seconds_of(*jobs: Callable[[], None]) -> float:
    """All jobs at once, each in a thread of its own."""
    threads = [threading.Thread(target=job) for job in jobs]
    start = time.perf_counter()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return time.perf_counter() - start


class Pair:
    """Two independent calls, and what rounds of them took: one, the other, both at once."""

    def __init__(self, first: Call, second: Call) -> None:
        first()
        start = time.perf_counter()
        first()
        count = max(1, round(_SECONDS / (time.perf_counter() - start)))
        self._jobs = repeated(first, count), repeated(second, count)
        self._rounds: list[tuple[float, float, float]] = []

    def measure(self) -> None:
        one, other = self._jobs
        self._rounds.append((seconds_of(one), seconds_of(other), seconds_of(one, other)))

    def ratio(self, of: Callable[[tuple[float, ...]], float]) -> float:
        """The time of both at once, of the time of one after the other."""
        one, other, both = map(of, zip(*self._rounds, strict=True))
        return both / (one + other)


def pairs_of_calls() -> dict[tuple[str, str], Pair]:
    pairs = {}
    for shape in SHAPES:
        first, second = (calls_of(make_case(shape, np.float32, seed)) for seed in (1, 2))
        for name in first:
            pairs[shape.label, name] = Pair(first[name], second[name])
    return pairs


def seconds_to_wake() -> float:
    """From one thread's waking another to the other's waking it: half of that, in the median.

    What a call loses that finds the GIL taken, however short the other thread has it.
    """
    turns = 2000

    def take_turns(mine: threading.Lock, other: threading.Lock) -> None:
        for _ in range(turns):
            mine.acquire()
            other.release()

    def measured() -> float:
        first, second = threading.Lock(), threading.Lock()
        second.acquire()
        one, other = (first, second), (second, first)
        return seconds_of(lambda: take_turns(*one), lambda: take_turns(*other)) / (2 * turns)

    return statistics.median(measured() for _ in range(9))


def main() -> int:
    argparse.ArgumentParser(description=__doc__.splitlines()[0]).parse_args()
    ours = pairs_of_calls()
    theirs = {
        (f"{size} numbers", "np.tanh"): Pair(numpy_call(size), numpy_call(size))
        for size in NUMPY_SIZES
    }
    pairs = ours | theirs
    for _ in range(_ROUNDS):
        for pair in pairs.values():
            pair.measure()
    rows = []
    for key, pair in pairs.items():
        least, median = pair.ratio(min), pair.ratio(statistics.median)
        said = verdict(least <= MOST_RATIO) if key in ours else ""
        rows.append([*key, f"{least:.3f}", f"{median:.3f}", said])
    print("Two Python threads, one computing thread each, of the time of both calls in a row:\n")
    print(table(["T,N,I/H", "", "least", "median", ""], rows, left=2))
    print(f"\nA thread that another one wakes runs after {1e6 * seconds_to_wake():.0f} us.")
    return exit_status(rows)


if __name__ == "__main__":
    raise SystemExit(main())
