"""Computes the answer that is expected of everyone.

The tests' reference goes through one sequence at a time, to be read, and takes minutes for the
large batches here. This one steps whole batches; a test holds it against that reference.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from bench.peers.cases import lengths_of
from bench.peers.layers import LayerWeights, layers_of
from shapes import Case, Shape, make_case

Array = NDArray[np.float64]


@functools.cache
def expected_answer(
    shape: Shape, seed: int, *, is_ragged: bool = False
) -> tuple[Array, Array, Array]:
    """(output, h_n, c_n) in float64, from the float32 inputs that everyone gets."""
    lengths = lengths_of(shape) if is_ragged else None
    return batched_lstm(make_case(shape, np.float32, seed), lengths)


def batched_lstm(case: Case, lengths: Sequence[int] | None = None) -> tuple[Array, Array, Array]:
    """Run the whole batch, each sequence to its own end; the output behind it is zero."""
    # (T, N, 1): a row outside its sequence keeps its state, whichever direction it comes from.
    steps = np.arange(case.shape.seq_len)[:, None, None]
    runs = steps < np.array(lengths or [case.shape.seq_len] * case.shape.batch)[:, None]
    x = case.x.astype(np.float64)
    h_n, c_n = case.h0.astype(np.float64), case.c0.astype(np.float64)
    directions = case.shape.num_directions
    for layer, weights in enumerate(layers_of(case)):
        outputs = []
        for direction in range(directions):
            state = layer * directions + direction
            order = slice(None, None, -1 if direction else 1)
            output, h_n[state], c_n[state] = _run_direction(
                x[order], runs[order], h_n[state], c_n[state], weights, direction
            )
            outputs.append(output[order])
        x = np.concatenate(outputs, axis=2)
    return x, h_n, c_n


def _run_direction(
    x: Array,
    runs: NDArray[np.bool_],
    h: Array,
    c: Array,
    weights: LayerWeights,
    direction: int,
) -> tuple[Array, Array, Array]:
    """Run ``x`` in the order given; return all h, the last h and the last c."""
    w_ih, w_hh, b_ih, b_hh = (
        array[direction].astype(np.float64)
        for array in (weights.w_ih, weights.w_hh, weights.b_ih, weights.b_hh)
    )
    output = []
    for from_input, running in zip(x @ w_ih.T + (b_ih + b_hh), runs, strict=True):
        i, f, g, o = np.split(from_input + h @ w_hh.T, 4, axis=1)
        c = np.where(running, _sigmoid(f) * c + _sigmoid(i) * np.tanh(g), c)
        h = np.where(running, _sigmoid(o) * np.tanh(c), h)
        output.append(np.where(running, h, 0.0))
    return np.stack(output), h, c


def _sigmoid(x: Array) -> Array:
    # exp(-x) would overflow for very negative x; tanh saturates.
    return 0.5 * np.tanh(0.5 * x) + 0.5
