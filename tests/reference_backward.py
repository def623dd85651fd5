"""The oracle for gradients: back-propagation in float64 NumPy, step by step.

It shares no code with the package.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from reference_cell import STANDARD, Array, ReferenceCell
from reference_lstm import DropBetweenLayers, Steps, by_cell, reference_packed, rows_of_steps


@dataclass(frozen=True)
class GradientsOf:
    """Of input, initial states, and each of the weights in its place."""

    input: Array
    h_0: Array
    c_0: Array
    weights: list[Array]


def direction_backward(
    x: Array,
    weights: Sequence[Array | None],
    done: Steps,
    batch_sizes: Sequence[int],
    reverse: bool,
    d_hidden: Array,
    d_h: Array,
    d_c: Array,
    cell: ReferenceCell = STANDARD,
    direction: int = 0,
    factors: Array | float = 1.0,
) -> tuple[Array, ...]:
    """Packed rows back through one direction; d_h and d_c are of each sequence's last step.

    Returns the gradients of x, h_0, c_0, w_ih, w_hh, the bias, the peepholes and w_hr.
    """
    w_ih, w_hh, _, _, peephole, w_hr = weights
    hidden_size = d_c.shape[1]
    p_i, p_f, p_o = np.zeros((3, hidden_size)) if peephole is None else peephole.reshape(3, -1)
    f_of_gates, f_of_g, f_of_h = cell.functions(direction)
    d_h, d_c = np.array(d_h), np.array(d_c)
    factors = np.broadcast_to(factors, d_h.shape)
    d_pre = np.zeros((len(x), len(w_ih)))  # gradients of the four gates' pre-activations
    d_w_hr = np.zeros((d_h.shape[1], hidden_size))

    def through(function, s, gradient):
        return cell.through_bound(s, gradient * function.derivative(cell.bounded(s)))

    steps = rows_of_steps(batch_sizes)
    for rows in steps if reverse else reversed(steps):
        there = slice(rows.stop - rows.start)
        i, f, g, o = done.gates[:, rows]
        s_i, s_f, s_g, s_o = done.sums[:, rows]
        d_new = d_h[there] + d_hidden[rows]
        if w_hr is not None:
            d_w_hr += d_new.T @ (o * f_of_h(done.cells[rows]))
            d_new = d_new @ w_hr
        d_o = through(f_of_gates, s_o, d_new * f_of_h(done.cells[rows]))
        d_cell = d_c[there] + d_new * o * f_of_h.derivative(done.cells[rows]) + p_o * d_o
        d_i, d_f = d_cell * g, d_cell * done.previous_cells[rows]
        if cell.input_forget:  # f = 1 - i
            d_i, d_f = d_i - d_f, np.zeros_like(d_f)
        d_i, d_f = through(f_of_gates, s_i, d_i), through(f_of_gates, s_f, d_f)
        d_pre[rows] = np.concatenate([d_i, d_f, through(f_of_g, s_g, d_cell * i), d_o], axis=1)
        d_h[there] = (d_pre[rows] @ w_hh) * factors[there]
        d_c[there] = d_cell * f + p_i * d_i + p_f * d_f
    d_i, d_f, _, d_o = np.split(d_pre, 4, axis=1)
    before = done.previous_cells
    d_peephole = [(d_i * before).sum(0), (d_f * before).sum(0), (d_o * done.cells).sum(0)]
    hidden = done.previous_hidden.copy()
    for rows in steps:
        hidden[rows] *= factors[: rows.stop - rows.start]
    of_weights = (d_pre.T @ x, d_pre.T @ hidden, d_pre.sum(axis=0))
    return d_pre @ w_ih, d_h, d_c, *of_weights, np.concatenate(d_peephole), d_w_hr


def backward_packed(
    x: Array,
    h_0: Array,
    c_0: Array,
    all_weights: Sequence[Array],
    bidirectional: bool,
    batch_sizes: Sequence[int],
    d_output: Array,
    d_h_n: Array,
    d_c_n: Array,
    biases: tuple[bool, bool] = (True, True),
    drop: DropBetweenLayers | None = None,
    cell: ReferenceCell = STANDARD,
    reverse: bool = False,
    factors: Array | None = None,
) -> GradientsOf:
    """x is (sum(batch_sizes), I); drop multiplies each element by a factor of its own."""
    directions = 2 if bidirectional else 1
    outputs = h_0.shape[2]
    answer = reference_packed(
        x, h_0, c_0, all_weights, bidirectional, batch_sizes, biases, drop, cell, reverse, factors
    )
    weights = by_cell(all_weights, biases, cell.peepholes, outputs != c_0.shape[2])
    layers = len(weights) // directions
    d_h_0, d_c_0 = np.array(d_h_n, np.float64), np.array(d_c_n, np.float64)
    d_weights: list[list[Array]] = [[] for _ in weights]
    d_features = np.asarray(d_output, np.float64)
    for layer in reversed(range(layers)):
        if layer == 0:
            features = np.asarray(x, np.float64)
        else:
            below = answer.inside[(layer - 1) * directions : layer * directions]
            features = np.concatenate([steps.hidden for steps in below], axis=1)
            features = drop(layer - 1, features) if drop else features
        d_below = np.zeros(features.shape)
        for direction in range(directions):
            state = layer * directions + direction
            d_x, d_h_0[state], d_c_0[state], d_w_ih, d_w_hh, d_b, d_peephole, d_w_hr = (
                direction_backward(
                    features,
                    weights[state],
                    answer.inside[state],
                    batch_sizes,
                    reverse or direction == 1,
                    d_features[:, direction * outputs : (direction + 1) * outputs],
                    d_h_0[state],
                    d_c_0[state],
                    cell,
                    direction,
                    1.0 if factors is None else factors[state],
                )
            )
            d_below += d_x
            of_each = (d_w_ih, d_w_hh, d_b, d_b, d_peephole, d_w_hr)
            d_weights[state] = [
                of for of, w in zip(of_each, weights[state], strict=True) if w is not None
            ]
        if layer > 0 and drop is not None:
            d_below = d_below * drop(layer - 1, np.ones(d_below.shape))
        d_features = d_below
    flat = [array for cell in d_weights for array in cell]
    return GradientsOf(d_features, d_h_0, d_c_0, flat)
