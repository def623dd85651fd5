"""The oracle for gradients: back-propagation in float64 NumPy, one sequence at a time.

It shares no code with the package.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from reference_lstm import Array, DropBetweenLayers, by_cell, reference_packed, rows_of_sequences


@dataclass(frozen=True)
class GradientsOf:
    """Of input, initial states, and each of the weights in its place."""

    input: Array
    h_0: Array
    c_0: Array
    weights: list[Array]


def direction_backward(
    x, h_0, c_0, weights, gates, cells, reverse, d_hidden, d_h, d_c, input_forget=False
):
    """One sequence through one direction: gradients of x, h_0, c_0, w_ih, w_hh and the bias."""
    w_ih, w_hh = weights[:2]
    order = range(len(x))[:: -1 if reverse else 1]
    d_pre = np.zeros((len(x), len(w_ih)))  # gradients of the four gates' pre-activations
    h_before = np.zeros(d_hidden.shape)
    for place in reversed(range(len(order))):
        t = order[place]
        i, f, g, o = gates[t]
        before = cells[order[place - 1]] if place else c_0
        h_before[t] = gates[order[place - 1]][3] * np.tanh(before) if place else h_0
        tanh_c = np.tanh(cells[t])
        d_h = d_h + d_hidden[t]
        d_c = d_c + d_h * o * (1 - tanh_c**2)
        d_i, d_f = d_c * g, d_c * before
        if input_forget:  # f = 1 - i
            d_i, d_f = d_i - d_f, np.zeros_like(d_f)
        d_pre[t] = np.concatenate(
            [
                d_i * i * (1 - i),
                d_f * f * (1 - f),
                d_c * i * (1 - g**2),
                d_h * tanh_c * o * (1 - o),
            ]
        )
        d_h, d_c = w_hh.T @ d_pre[t], d_c * f
    return d_pre @ w_ih, d_h, d_c, d_pre.T @ x, d_pre.T @ h_before, d_pre.sum(axis=0)


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
    input_forget: bool = False,
) -> GradientsOf:
    """x is (sum(batch_sizes), I); drop multiplies each element by a factor of its own."""
    directions = 2 if bidirectional else 1
    hidden = h_0.shape[2]
    answer = reference_packed(
        x, h_0, c_0, all_weights, bidirectional, batch_sizes, biases, drop, input_forget
    )
    weights = by_cell(all_weights, biases)
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
                [
                    answer.gates[s][:, 3] * np.tanh(answer.cells[s])
                    for s in range((layer - 1) * directions, layer * directions)
                ],
                axis=1,
            )
            features = drop(layer - 1, features) if drop else features
        d_below = np.zeros(features.shape)
        for direction in range(directions):
            state = layer * directions + direction
            own = slice(direction * hidden, (direction + 1) * hidden)
            w_ih, w_hh, b_ih, b_hh = weights[state]
            sums = [np.zeros(w_ih.shape), np.zeros(w_hh.shape), np.zeros(4 * hidden)]
            for n, rows in enumerate(sequences):
                d_x, d_h_0[state, n], d_c_0[state, n], *parts = direction_backward(
                    features[rows],
                    np.asarray(h_0[state, n], np.float64),
                    np.asarray(c_0[state, n], np.float64),
                    (w_ih, w_hh),
                    answer.gates[state][rows],
                    answer.cells[state][rows],
                    direction == 1,
                    d_features[rows][:, own],
                    np.asarray(d_h_n[state, n], np.float64),
                    np.asarray(d_c_n[state, n], np.float64),
                    input_forget,
                )
                d_below[rows] += d_x
                sums = [total + part for total, part in zip(sums, parts, strict=True)]
            kept = sum(bias is not None for bias in (b_ih, b_hh))
            d_weights[state] = [*sums[:2], *[sums[2]] * kept]
        if layer > 0 and drop is not None:
            d_below = d_below * drop(layer - 1, np.ones(d_below.shape))
        d_features = d_below
    flat = [array for cell in d_weights for array in cell]
    return GradientsOf(d_features, d_h_0, d_c_0, flat)
