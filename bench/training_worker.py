"""Times forward and backward of one implementation on one shape, in a process of its own.

python -m bench.training_worker (ours|torch) shape threads (even|ragged) seconds --json
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from typing import Any

import numpy as np

from bench.ragged_batches import RAGGED_SHAPES, batch_sizes_of, lengths_of, pack
from bench.timing import time_turn
from shapes import BENCH_SHAPES, Case, Shape, make_case, shapes_by_name

_SHAPES = shapes_by_name(BENCH_SHAPES + RAGGED_SHAPES)

# Gradients of input, h_0, c_0 and of all weights.
Step = Callable[[], list[Any]]


def output_gradient(shape: Shape, rows: tuple[int, ...]) -> Any:
    rng = np.random.default_rng(1)
    return rng.standard_normal((*rows, shape.num_directions * shape.hidden_size)).astype(np.float32)


def our_step(case: Case, threads: int, ragged: bool) -> Step:
    from lstm_native import lstm_vjp  # noqa: PLC0415

    shape = case.shape
    x = pack(case.x, shape) if ragged else case.x
    sizes = batch_sizes_of(shape) if ragged else None
    d_output = output_gradient(shape, x.shape[:-1])

    def step() -> list[Any]:
        _, pullback = lstm_vjp(
            *(x, (case.h0, case.c0), case.all_weights, shape.num_layers, 0.0, True),
            shape.bidirectional,
            batch_sizes=sizes,
            num_threads=threads,
        )
        d_input, d_states, d_weights = pullback(d_output)
        return [d_input, *d_states, *(d_weights or ())]

    return step


def torch_step(case: Case, threads: int, ragged: bool) -> Step:
    import torch  # noqa: PLC0415

    from bench.peers.torch import _module  # noqa: PLC0415

    torch.set_num_threads(threads)
    shape = case.shape
    module = _module(case).train()
    x: Any = torch.from_numpy(case.x)
    if ragged:
        x = torch.nn.utils.rnn.pack_padded_sequence(x, torch.tensor(lengths_of(shape)))
    features = x.data if ragged else x
    features.requires_grad_()
    states = [torch.from_numpy(a).requires_grad_() for a in (case.h0, case.c0)]
    leaves = [features, *states, *module.parameters()]
    d_output = torch.from_numpy(output_gradient(shape, tuple(features.shape[:-1])))

    def step() -> list[Any]:
        for leaf in leaves:
            leaf.grad = None
        output, _ = module(x, tuple(states))
        (output.data if ragged else output).backward(d_output)
        return [leaf.grad for leaf in leaves]

    return step


def main() -> None:
    name, shape, threads, way, seconds = sys.argv[1:6]
    make = {"ours": our_step, "torch": torch_step}[name]
    step = make(make_case(_SHAPES[shape], np.float32, 0), int(threads), way == "ragged")
    # What a wrong implementation would hardly get right by chance: the size of each gradient.
    sums = [float(np.abs(np.asarray(gradient, np.float64)).sum()) for gradient in step()]
    turn = time_turn(step, float(seconds) * 1e3, 3)
    print(json.dumps([{"sums": sums, "min_us": turn.min_us}]))


if __name__ == "__main__":
    main()
