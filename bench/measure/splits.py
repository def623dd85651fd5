"""Times every way to split a call over threads, beside the one that the rule chooses.

The rule stands in csrc/plan/split.hpp.

python -m bench.measure.splits [--threads N] [--shapes NAME ...]
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Iterator

import numpy as np

from lstm_native import explain, pack_weights
from lstm_native._extension import core
from lstm_native._run import ForwardCall, Problem
from shapes import BENCH_SHAPES, Case, Shape, make_case

Split = tuple[int, int, int]
# None: whatever the rule chooses, a wavefront over the layers included.
Choice = Split | None

SHAPES = (
    *BENCH_SHAPES,
    Shape("stacked_h32", 100, 1, 32, 32, num_layers=2, reason="layers too small to split"),
    Shape("stacked_h128", 100, 1, 128, 128, num_layers=2, reason="layers just worth splitting"),
)
ROUNDS = 40
SECONDS_PER_SHAPE = 3.0


def splits(shape: Shape, threads: int) -> Iterator[Split]:
    """Groups of directions, of rows, of units; also those that leave threads idle."""
    for directions in range(1, shape.num_directions + 1):
        for rows in range(1, min(threads // directions, shape.batch) + 1):
            for units in range(1, threads // directions // rows + 1):
                yield directions, rows, units


def call_with(case: Case, threads: int, split: Choice) -> Callable[[], object]:
    shape = case.shape
    packed = pack_weights(case.all_weights, shape.num_layers, shape.bidirectional)
    problem = Problem(packed._sizes, shape.seq_len, shape.batch, threads=threads, split=split)
    described = ForwardCall(problem, case.x, case.h0, case.c0, packed._core)
    return lambda: core.forward(described)


def best_times(calls: dict[Choice, Callable[[], object]]) -> dict[Choice, float]:
    """Seconds, minima of interleaved turns."""
    best = dict.fromkeys(calls, float("inf"))
    begin = time.perf_counter()
    for turn in range(ROUNDS):
        for split, call in calls.items():
            repetitions = 1 if turn == 0 else max(1, int(2e-3 / best[split]))
            start = time.perf_counter()
            for _ in range(repetitions):
                call()
            best[split] = min(best[split], (time.perf_counter() - start) / repetitions)
        if turn >= 3 and time.perf_counter() - begin > SECONDS_PER_SHAPE:
            break
    return best


def chosen(shape: Shape, threads: int) -> str:
    about = explain(
        seq_len=shape.seq_len,
        batch=shape.batch,
        input_size=shape.input_size,
        hidden_size=shape.hidden_size,
        num_layers=shape.num_layers,
        bidirectional=shape.bidirectional,
        num_threads=threads,
    )
    layer = about.layers[0]
    split = f"{layer.direction_groups}x{layer.row_groups}x{layer.unit_groups}"
    return "wavefront" if about.wavefront else split


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    names = [shape.name for shape in SHAPES]
    parser.add_argument("--threads", type=int, default=2, metavar="N", help="default: 2")
    parser.add_argument(
        "--shapes", nargs="+", choices=names, default=names, metavar="NAME",
        help=f"default: all of {', '.join(names)}",
    )  # fmt: skip
    given = parser.parse_args()
    threads = given.threads
    print(f"{threads} threads; groups of directions x rows x units, then what the rule chooses; us")
    for shape in SHAPES:
        if shape.name not in given.shapes:
            continue
        case = make_case(shape, np.float32, 0)
        choices: list[Choice] = [*splits(shape, threads), None]
        times = best_times({split: call_with(case, threads, split) for split in choices})
        listed = ", ".join(
            f"{'x'.join(map(str, split))} {seconds * 1e6:.1f}"
            for split, seconds in times.items()
            if split is not None
        )
        rule = times[None]
        print(
            f"{shape.label:22} {listed}; {chosen(shape, threads)} {rule * 1e6:.1f}; "
            f"rule / best {rule / min(times.values()):.2f}",
            flush=True,
        )


if __name__ == "__main__":
    main()
