"""Times one implementation of a projection on one shape, in a process of its own.

python -m bench.measure.projection_worker (function|torch) SHAPE THREADS WAY SECONDS

WAY: training or inference.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from typing import Any

import numpy as np

from bench.measure.adapter_worker import make_step
from bench.measure.projection import PROJECTED
from bench.measure.timing import time_turn
from projected_cases import projected_case
from shapes import Case


def packed_step(case: Case, threads: int) -> Callable[[], list[Any]]:
    """A call with weights that are packed before, as PyTorch's module has prepared its own."""
    import lstm_native  # noqa: PLC0415

    shape = case.shape
    cell = lstm_native.Cell(proj_size=case.h0.shape[2])
    packed = lstm_native.pack_weights(
        case.all_weights, shape.num_layers, shape.bidirectional, cell=cell
    )
    states = (case.h0, case.c0)
    return lambda: list(lstm_native.lstm(case.x, states, packed, num_threads=threads))


def main() -> None:
    name, shape, threads, way, seconds = sys.argv[1:6]
    case = projected_case(*PROJECTED[shape])
    if (name, way) == ("function", "inference"):
        step = packed_step(case, int(threads))
    else:
        step = make_step(name, case, int(threads), way == "training")
    # What a wrong implementation would hardly get right by chance: the size of each result.
    sums = [float(np.abs(np.asarray(result, np.float64)).sum()) for result in step()]
    turn = time_turn(step, float(seconds) * 1e3, 3)
    print(json.dumps([{"sums": sums, "min_us": turn.min_us}]))


if __name__ == "__main__":
    main()
