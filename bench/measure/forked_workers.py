"""Measures the steps per second of forked workers, each with a stream."""

from __future__ import annotations

import os
import time

import lstm_native
from shapes import Shape, make_case

_SHAPE = Shape("step_h256_l2", 1, 1, 256, 256, 2)
_ROUNDS = 3


def throughput_ratio(workers: int, seconds: float) -> float:
    """Return the steps of workers with the default threads, of those with one thread each."""
    best = dict.fromkeys((1, None), 0)
    for _ in range(_ROUNDS):
        for threads in best:
            best[threads] = max(best[threads], _steps(workers, threads, seconds))
    return best[None] / best[1]


def _steps(workers: int, threads: int | None, seconds: float) -> int:
    """Return the steps that all workers together take."""
    case = make_case(_SHAPE)
    packed = lstm_native.pack_weights(case.all_weights, _SHAPE.num_layers, False)
    reader, writer = os.pipe()
    children = []
    for _ in range(workers):
        child = os.fork()
        if child == 0:
            status = 1
            try:
                stream = lstm_native.Stream(packed, 1, num_threads=threads)
                steps, end = 0, time.perf_counter() + seconds
                while time.perf_counter() < end:
                    stream.step(case.x[0])
                    steps += 1
                os.write(writer, f"{steps}\n".encode())
                status = 0
            finally:
                os._exit(status)  # in any case: the benchmark goes on in the parent
        children.append(child)
    for child in children:
        _, status = os.waitpid(child, 0)
        if status != 0:
            raise RuntimeError(f"a forked worker ended with wait status {status}")
    os.close(writer)
    with os.fdopen(reader) as lines:
        return sum(map(int, lines))
