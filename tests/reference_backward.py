"""The oracle for gradients: back-propagation in float64 NumPy, one sequence at a time.

It shares no code with the package.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from reference_cell import STANDARD, Array, ReferenceCell
from reference_lstm import DropBetweenLayers, by_cell, reference_packed, rows_of_sequences


@dataclass(frozen=True)
class GradientsOf:
    """Of input, initial states, and each of the weights in its place."""

    input: Array
    h_0: Array
    c_0: Array
    weights: list[Array]


def direction_backward(
    x, h_0, c_0, weights, recorded, reverse, d_hidden, d_h, d_c, cell=STANDARD, direction=0,
    factors=1.0,
):  # fmt: skip
    """One sequence through one direction.

    Returns the gradients of x, h_0, c_0, w_ih, w_hh, the bias, the peepholes and w_hr. recorded:
    gates, cells, hidden states and sums, as `Answer` has them.
    """
    w_ih, w_hh, _, _, peephole, w_hr = weights
    gates, cells, hidden, sums = recorded
    p_i, p_f, p_o = np.split(np.zeros(3 * len(c_0)) if peephole is None else peephole, 3)
    f_of_gates, f_of_g, f_of_h = cell.functions(direction)
    order = range(len(x))[:: -1 if reverse else 1]
    d_pre = np.zeros((len(x), len(w_ih)))  # gradients of the four gates' pre-activations
    h_before = np.zeros(d_hidden.shape)
    c_before = np.zeros(cells.shape)
    d_w_hr = np.zeros((len(h_0), len(c_0)))

    def through(function, s, gradient):
        return cell.through_bound(s, gradient * function.derivative(cell.bounded(s)))

    for place in reversed(range(len(order))):
        t = order[place]
        i, f, g, o = gates[t]
        s_i, s_f, s_g, s_o = sums[t]
        c_before[t] = cells[order[place - 1]] if place else c_0
        h_before[t] = (hidden[order[place - 1]] if place else h_0) * factors
        d_h = d_h + d_hidden[t]
        if w_hr is not None:
            d_w_hr += np.outer(d_h, o * f_of_h(cells[t]))
            d_h = w_hr.T @ d_h
        d_o = through(f_of_gates, s_o, d_h * f_of_h(cells[t]))
        d_c = d_c + d_h * o * f_of_h.derivative(cells[t]) + p_o * d_o
        d_i, d_f = d_c * g, d_c * c_before[t]
        if cell.input_forget:  # f = 1 - i
            d_i, d_f = d_i - d_f, np.zeros_like(d_f)
        d_i, d_f = through(f_of_gates, s_i, d_i), through(f_of_gates, s_f, d_f)
        d_pre[t] = np.concatenate([d_i, d_f, through(f_of_g, s_g, d_c * i), d_o])
        d_h, d_c = (w_hh.T @ d_pre[t]) * factors, d_c * f + p_i * d_i + p_f * d_f
    d_i, d_f, _, d_o = np.split(d_pre, 4, axis=1)
    d_peephole = [(d_i * c_before).sum(0), (d_f * c_before).sum(0), (d_o * cells).sum(0)]
    of_matrices = (d_pre.T @ x, d_pre.T @ h_before)
    of_weights = (*of_matrices, d_pre.sum(axis=0), np.concatenate(d_peephole), d_w_hr)
    return d_pre @ w_ih, d_h, d_c, *of_weights


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
    outputs, hidden = h_0.shape[2], c_0.shape[2]
    answer = reference_packed(
        x, h_0, c_0, all_weights, bidirectional, batch_sizes, biases, drop, cell, reverse, factors
    )
    weights = by_cell(all_weights, biases, cell.peepholes, outputs != hidden)
    sequences = rows_of_sequences(batch_sizes)
    layers = len(weights) // directions
    d_h_0, d_c_0 = np.zeros(h_0.shape), np.zeros(c_0.shape)
    d_weights: list[list[Array]] = [[] for _ in weights]
    d_features = np.array(d_output, np.float64)
    for layer in reversed(range(layers)):
        if layer == 0:
            features = np.asarray(x, np.float64)
        else:
            features = np.concatenate(
                answer.hidden[(layer - 1) * directions : layer * directions], axis=1
            )
            features = drop(layer - 1, features) if drop else features
        d_below = np.zeros(features.shape)
        for direction in range(directions):
            state = layer * directions + direction
            own = slice(direction * outputs, (direction + 1) * outputs)
            w_ih, w_hh, b_ih, b_hh, peephole, w_hr = weights[state]
            shapes = (w_ih.shape, w_hh.shape, 4 * hidden, 3 * hidden, (outputs, hidden))
            sums = [np.zeros(shape) for shape in shapes]
            kept = (answer.gates, answer.cells, answer.hidden, answer.sums)
            for n, rows in enumerate(sequences):
                d_x, d_h_0[state, n], d_c_0[state, n], *parts = direction_backward(
                    features[rows],
                    np.asarray(h_0[state, n], np.float64),
                    np.asarray(c_0[state, n], np.float64),
                    weights[state],
                    [each[state][rows] for each in kept],
                    reverse or direction == 1,
                    d_features[rows][:, own],
                    np.asarray(d_h_n[state, n], np.float64),
                    np.asarray(d_c_n[state, n], np.float64),
                    cell,
                    direction,
                    1.0 if factors is None else factors[state, n],
                )
                d_below[rows] += d_x
                sums = [total + part for total, part in zip(sums, parts, strict=True)]
            biases_here = sum(bias is not None for bias in (b_ih, b_hh))
            d_weights[state] = [*sums[:2], *[sums[2]] * biases_here]
            d_weights[state] += [] if peephole is None else [sums[3]]
            d_weights[state] += [] if w_hr is None else [sums[4]]
        if layer > 0 and drop is not None:
            d_below = d_below * drop(layer - 1, np.ones(d_below.shape))
        d_features = d_below
    flat = [array for cell in d_weights for array in cell]
    return GradientsOf(d_features, d_h_0, d_c_0, flat)
