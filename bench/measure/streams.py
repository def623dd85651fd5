"""Measures what a step of a stream costs beyond the kernel itself.

python -m bench.measure.streams [--threads N ...] [--json]
"""

from __future__ import annotations

import argparse
import dataclasses
import json
from collections.abc import Callable, Iterator

import numpy as np

import lstm_native
from bench.measure.machine import default_threads
from bench.measure.results import StreamLatency
from bench.measure.timing import time_turn
from bench.report.tables import render_streams
from shapes import Shape, make_case

HIDDEN_SIZES = (32, 64, 128, 256)
_STEPS = 100
_ROUNDS = 10
_TURN_MS = 5.0


def measure_stream(hidden_size: int, threads: int) -> StreamLatency:
    lstm_native.set_num_threads(threads)
    case = make_case(Shape("stream", _STEPS, 1, hidden_size, hidden_size))
    stream = lstm_native.Stream(lstm_native.pack_weights(case.all_weights, 1, False))
    x = case.x[0]
    out = np.empty((1, hidden_size), np.float32)

    step, step_into, run, kernel = least_us(
        lambda: stream.step(x),
        lambda: stream.step(x, out=out),
        lambda: stream.run(case.x),
        lambda: stream._core.repeat(x, out, _STEPS),
    )
    return StreamLatency(hidden_size, threads, step, step_into, run / _STEPS, kernel / _STEPS)


def least_us(*calls: Callable[[], object]) -> list[float]:
    """The least time of each over interleaved turns."""
    rounds = [[time_turn(call, _TURN_MS, 1).min_us for call in calls] for _ in range(_ROUNDS)]
    return [min(times) for times in zip(*rounds, strict=True)]


def _measure_all(threads: list[int]) -> Iterator[StreamLatency]:
    for number in threads:
        for hidden_size in HIDDEN_SIZES:
            yield measure_stream(hidden_size, number)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--threads", type=int, nargs="+", default=default_threads(), metavar="N")
    parser.add_argument("--json", action="store_true", help="for programs")
    given = parser.parse_args()
    streams = list(_measure_all(given.threads))
    if given.json:
        print(json.dumps([dataclasses.asdict(stream) for stream in streams]))
    else:
        print(render_streams(streams))


if __name__ == "__main__":
    main()
