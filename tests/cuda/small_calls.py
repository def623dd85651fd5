"""A program of small calls on the device, each compared with the CPU: for tools that slow it down.

python tests/cuda/small_calls.py [--one] [--runs N] [--step-loops NAME ...]

It covers every kernel of the CUDA target: both passes, both dtypes, ragged batches, dropout,
layers that overlap, both forms of the tape, and steps issued one by one, captured and replayed.
"""

from __future__ import annotations

import argparse
import itertools
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import lstm_native
from calls import DTYPES
from comparison import RUNS, assert_lstm_agrees, assert_vjp_agrees
from shapes import Shape, make_case

BOTH_DIRECTIONS = Shape("both_directions", 6, 3, 5, 9, 2, True)
# More steps than a wavefront's chunk has.
WAVEFRONT = Shape("wavefront", 20, 3, 5, 9, 3)
# Several blocks have some units of each row, and wait for each other.
SHARED_ROWS = Shape("shared_rows", 5, 9, 4, 130)
SHAPES = (BOTH_DIRECTIONS, WAVEFRONT, SHARED_ROWS)
STEP_LOOPS = ("launches", "persistent")


def one_call() -> int:
    """Run one call; return the number of calls compared."""
    assert_lstm_agrees(make_case(BOTH_DIRECTIONS, np.float32), runs=1)
    return 1


def all_calls(runs: int, step_loops: Sequence[str]) -> int:
    """Run every kind of call; return the number of calls compared."""
    compared = 0
    options = {"dropout": 0.3, "seed": 8}
    for dtype, shape, loop in itertools.product(DTYPES, SHAPES, step_loops):
        lstm_native._cuda_extension.load().set_step_loop(loop)
        case = make_case(shape, dtype)
        lengths = [shape.seq_len, 2, 4] * (shape.batch // 3)
        assert_lstm_agrees(case, runs)
        assert_vjp_agrees(case, runs, **options)
        assert_vjp_agrees(case, runs, lengths=lengths, **options)
        assert_vjp_agrees(case, runs, lengths=lengths, recompute=True, **options)
        compared += runs + 3 * 2 * runs
    lstm_native.cuda.clear_plans()
    return compared


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--one", action="store_true", help="one call, forward")
    parser.add_argument("--runs", type=int, default=RUNS, help="of each call: at first, captured")
    parser.add_argument("--step-loops", nargs="+", default=STEP_LOOPS, choices=STEP_LOOPS)
    options = parser.parse_args()
    compared = one_call() if options.one else all_calls(options.runs, options.step_loops)
    print(f"{compared} calls agree with the CPU")


if __name__ == "__main__":
    main()
