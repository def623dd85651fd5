"""Measures what the machine can do at most: multiply-adds, reading from each level of its caches.

python -m bench.measure.limits [--threads N ...] [--json]
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import threading
import time
from collections.abc import Callable, Sequence

import numpy as np

import lstm_native
from bench.measure.machine import default_threads, describe_machine
from bench.measure.results import Bandwidth, Limits
from bench.measure.working_sets import WorkingSet, parse_sizes, working_sets
from bench.report.tables import render_limits
from lstm_native._extension import core

# Threads start some 50 us apart; a repetition is long enough for that not to matter.
_REPETITION_S = 4e-3
_REPETITIONS = 15

Work = Callable[[int], float]
"""Does as many rounds as told."""


def measure_limits(threads: int) -> Limits:
    isa = lstm_native.get_config()["isa"]
    caches = parse_sizes(describe_machine()["caches"])
    return Limits(
        threads=threads,
        isa=isa["in_use"],
        gflops={name: fma_gflops(name, threads) for name in isa["supported"]},
        bandwidths=tuple(
            read_bandwidth(isa["in_use"], working_set, threads)
            for working_set in working_sets(caches, threads)
        ),
        caches=caches,
    )


def fma_gflops(isa: str, threads: int, format: str = "native") -> float:
    """Operations of a weight format's products, in registers, by the core's name of the format."""

    def multiply_adds(rounds: int) -> float:
        return float(core.probe_multiply_adds(rounds, isa, format))

    rounds = _rounds_for(multiply_adds)
    operations = threads * multiply_adds(rounds)
    return operations / _least_seconds([multiply_adds] * threads, rounds) / 1e9


def read_bandwidth(isa: str, working_set: WorkingSet, threads: int) -> Bandwidth:
    works = [_reader(isa, working_set) for _ in range(threads)]
    rounds = _rounds_for(works[0])
    num_bytes = threads * rounds * working_set.num_bytes
    seconds = _least_seconds(works, rounds)
    return Bandwidth(working_set.level, working_set.num_bytes, num_bytes / seconds / 1e9)


def _reader(isa: str, working_set: WorkingSet) -> Work:
    # Ones, since untouched zeros would all be read from one page that the system keeps for them.
    # From a cache line's beginning: a load that crosses a line counts twice.
    line, items = 64, working_set.num_bytes // 4
    memory = np.ones(items + line // 4, np.float32)
    array = memory[-memory.ctypes.data % line // 4 :][:items]
    return lambda rounds: float(core.probe_read(array, rounds, isa))


def _rounds_for(work: Work) -> int:
    """As many rounds as one repetition takes at least."""
    rounds = 1
    while True:
        begin = time.perf_counter()
        work(rounds)
        if time.perf_counter() - begin >= _REPETITION_S:
            return rounds
        rounds *= 2


def _least_seconds(works: Sequence[Work], rounds: int) -> float:
    """The shortest repetition, each from the first thread's start to the last one's end."""
    spans = [[(0.0, 0.0)] * len(works) for _ in range(_REPETITIONS)]
    barrier = threading.Barrier(len(works))

    def repeat(index: int) -> None:
        for repetition in spans:
            barrier.wait()
            begin = time.perf_counter()
            works[index](rounds)
            repetition[index] = (begin, time.perf_counter())

    team = [threading.Thread(target=repeat, args=(index,)) for index in range(len(works))]
    for thread in team:
        thread.start()
    for thread in team:
        thread.join()
    return min(
        max(end for _, end in repetition) - min(begin for begin, _ in repetition)
        for repetition in spans
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--threads", type=int, nargs="+", default=default_threads(), metavar="N")
    parser.add_argument("--json", action="store_true", help="for programs")
    given = parser.parse_args()
    limits = [measure_limits(threads) for threads in given.threads]
    if given.json:
        print(json.dumps([dataclasses.asdict(one) for one in limits]))
    else:
        print(render_limits(limits))


if __name__ == "__main__":
    main()
