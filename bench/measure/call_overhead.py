"""Times what a call costs beyond the work of the core's driver: checks, plan, results, Python.

The driver's work is timed without returning from it. Exit status 1 where a bound is missed.

python -m bench.measure.call_overhead [--threads N]
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable

import numpy as np

import lstm_native
from lstm_native._backward import GradientNeeds, OutputGradients
from lstm_native._extension import core
from lstm_native._run import CellWeights, ForwardCall, Problem
from shapes import Shape, make_case

BOUND_US = 3.0
SHAPES = (
    Shape("tiny", 1, 1, 8, 16),
    Shape("small", 5, 4, 16, 32),
    Shape("stacked", 5, 4, 16, 32, 2, True),
)
# Short turns, so that some of them find the machine quiet.
_CALLS = 100
_ROUNDS = 200
Timed = tuple[str, Callable[[], object], Callable[[int], object]]


def ways(shape: Shape, threads: int) -> list[Timed]:
    """A name, the public call, and the driver's work in it, a number of times."""
    case = make_case(shape)
    x, states, weights = case.x, (case.h0, case.c0), case.all_weights
    packed = lstm_native.pack_weights(weights, shape.num_layers, shape.bidirectional)
    lengths = [shape.seq_len - row % 2 for row in range(shape.batch)]
    turned = np.ascontiguousarray(x.swapaxes(0, 1))
    matrices = [w.ravel() for w in weights if w.ndim == 2]
    flat = np.concatenate([*matrices, *(w for w in weights if w.ndim == 1)])
    flags = (shape.num_layers, 0.0, False, shape.bidirectional)
    sizes = (shape.input_size, shape.hidden_size, shape.num_layers, True, shape.bidirectional, 0.0)
    net, training = (lstm_native.LSTM(*sizes, training=kept) for kept in (False, True))
    problem = Problem(packed._sizes, shape.seq_len, shape.batch, threads=threads)
    rows = [shape.batch] * shape.seq_len
    plain = [CellWeights(*weights[first : first + 4]) for first in range(0, len(weights), 4)]
    call = ForwardCall(problem, x, *states, plain)
    of_flat = call._replace(weights=net._cells(flat))
    by_core = call._replace(weights=packed._core)
    ragged = by_core._replace(problem=problem._replace(lengths=lengths))
    sequence = by_core._replace(problem=problem._replace(batch_sizes=rows))
    sequence = sequence._replace(input=x.reshape(-1, shape.input_size))
    options = {"num_threads": threads}

    def lstm(given: object, **changes: object) -> Callable[[], object]:
        return lambda: lstm_native.lstm(given, states, packed, *flags, **options, **changes)

    def driver(described: ForwardCall) -> Callable[[int], object]:
        return lambda count: core.forward(described, count)

    timed: list[Timed] = [
        ("lstm", lstm(x), driver(by_core)),
        ("plain weights", lambda: lstm_native.lstm(x, states, weights, *flags, **options),
         driver(call)),
        ("batch_first", lstm(turned, batch_first=True),
         driver(by_core._replace(input=turned, batch_first=True))),
        ("lengths", lstm(x, lengths=lengths), driver(ragged)),
        ("batch_sizes", lstm(sequence.input, batch_sizes=rows), driver(sequence)),
        ("LSTM", lambda: net(x, *states, flat, **options), driver(of_flat)),
        ("LSTM, training", lambda: training(x, *states, flat, **options),
         driver(of_flat._replace(tape="gates"))),
    ]  # fmt: skip
    for name, recompute in (("pullback", False), ("pullback, recompute", True)):
        outputs, pullback = lstm_native.lstm_vjp(
            x, states, weights, *flags, recompute=recompute, **options
        )
        given = OutputGradients(*outputs)
        work = (pullback._call, pullback._tape, given, GradientNeeds(True, True, True))
        timed.append(
            (
                name,
                lambda pullback=pullback, given=given: pullback(*given),
                lambda count, work=work: core.backward(*work, count),
            )
        )
    return timed


def overhead_us(call: Callable[[], object], work: Callable[[int], object]) -> tuple[float, float]:
    """Times of the call and of the driver's work: the least of rounds that take turns."""
    least = [float("inf"), float("inf")]
    for _ in range(_ROUNDS):
        begin = time.perf_counter()
        for _ in range(_CALLS):
            call()
        between = time.perf_counter()
        work(_CALLS)
        end = time.perf_counter()
        least = [min(least[0], between - begin), min(least[1], end - between)]
    return least[0] / _CALLS * 1e6, least[1] / _CALLS * 1e6


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--threads", type=int, default=1)
    threads = parser.parse_args().threads
    missed = 0
    print(f"{threads} thread(s); us of the call, of the driver's work in it, and beyond it")
    for shape in SHAPES:
        for name, call, work in ways(shape, threads):
            whole, own = overhead_us(call, work)
            missed += whole - own > BOUND_US
            print(f"{shape.label:16} {name:20} {whole:8.2f} {own:8.2f} {whole - own:6.2f}")
    print(f"beyond {BOUND_US} us: {missed}")
    return 1 if missed else 0


if __name__ == "__main__":
    raise SystemExit(main())
