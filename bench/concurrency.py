"""Measures whether calls of two Python threads run at once: the GIL is free while they compute.

python -m bench.concurrency
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

import numpy as np

from bench.calls import backward_call, packed_call, plain_call
from bench.markdown import table
from bench.verdict import exit_status, verdict
from shapes import Case, Shape, make_case

SHAPES = (
    Shape("steps", 4000, 1, 64, 128),
    Shape("rows", 200, 32, 128, 256),
    Shape("short calls", 1, 1, 64, 256),
)
# Two calls at once, of the time of two in a row.
MOST_RATIO = 0.65
_ROUNDS = 7
_SECONDS = 0.15


def calls_of(case: Case) -> dict[str, Callable[[], object]]:
    return {
        "packed": packed_call(case, 1),
        "plain": plain_call(case, 1),
        "backward": backward_call(case, 1),
    }


def repeated(call: Callable[[], object], count: int) -> Callable[[], None]:
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


def measure(first: Callable[[], object], second: Callable[[], object]) -> float:
    """The time of both at once, of the time of one after the other; of each the least."""
    start = time.perf_counter()
    first()
    once = time.perf_counter() - start
    count = max(1, round(_SECONDS / once))
    jobs = repeated(first, count), repeated(second, count)
    rounds = [(*map(seconds_of, jobs), seconds_of(*jobs)) for _ in range(_ROUNDS)]
    one, other, both = (min(times) for times in zip(*rounds, strict=True))
    return both / (one + other)


def main() -> int:
    rows = []
    for shape in SHAPES:
        pairs = zip(
            calls_of(make_case(shape, np.float32, 1)).items(),
            calls_of(make_case(shape, np.float32, 2)).values(),
            strict=True,
        )
        for (name, first), second in pairs:
            ratio = measure(first, second)
            rows.append([shape.label, name, f"{ratio:.3f}", verdict(ratio <= MOST_RATIO)])
    print("Two Python threads, one computing thread each, of the time of both calls in a row:\n")
    print(table(["T,N,I/H", "", "ratio", ""], rows, left=2))
    return exit_status(rows)


if __name__ == "__main__":
    raise SystemExit(main())
