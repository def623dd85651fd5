"""Computes the gradients that are expected of everyone who trains.

As in `oracle.py` whole batches are stepped through, and a test holds the result against the tests'
readable reference.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bench.peers.cases import lengths_of, output_gradient
from bench.peers.layers import layers_of
from shapes import Case, Shape, make_case

Array = NDArray[np.float64]
Running = NDArray[np.bool_]


@functools.cache
def expected_training(
    shape: Shape, seed: int, *, is_ragged: bool = False, fades: bool = False
) -> tuple[Array, ...]:
    """(output, h_n, c_n, d_input, d_h_0, d_c_0, *d_weights) in float64."""
    lengths = lengths_of(shape) if is_ragged else None
    d_output = output_gradient(shape, seed, is_ragged=is_ragged, fades=fades)
    return trained_lstm(make_case(shape, np.float32, seed), d_output, lengths)


def trained_lstm(
    case: Case, d_output: NDArray[np.floating], lengths: Sequence[int] | None = None
) -> tuple[Array, ...]:
    """Run the whole batch forward and backward; weights' gradients are in all_weights' order."""
    shape = case.shape
    steps = np.arange(shape.seq_len)[:, None, None]
    runs = steps < np.array(lengths or [shape.seq_len] * shape.batch)[:, None]
    x = case.x.astype(np.float64)
    states = [case.h0.astype(np.float64), case.c0.astype(np.float64)]
    ends = [np.empty_like(state) for state in states]
    passes: list[list[_Direction]] = []
    for layer, weights in enumerate(layers_of(case)):
        passes.append([])
        outputs = []
        for direction in range(shape.num_directions):
            cell = layer * shape.num_directions + direction
            arrays = (weights.w_ih, weights.w_hh, weights.b_ih + weights.b_hh.astype(np.float64))
            one = _Direction(*(a[direction].astype(np.float64) for a in arrays), direction == 1)
            outputs.append(one.forward(x, runs, states[0][cell], states[1][cell]))
            ends[0][cell], ends[1][cell] = one.ends
            passes[-1].append(one)
        x = np.concatenate(outputs, axis=2)

    d_x = d_output.astype(np.float64)
    d_states = [np.empty_like(state) for state in states]
    d_weights: list[Array] = []
    for layer in reversed(range(shape.num_layers)):
        parts = np.split(d_x, shape.num_directions, axis=2)
        d_x = np.zeros(())
        d_layer: list[Array] = []
        for direction, one in enumerate(passes[layer]):
            d_below, d_h, d_c, d_arrays = one.backward(parts[direction])
            d_x = d_x + d_below
            cell = layer * shape.num_directions + direction
            d_states[0][cell], d_states[1][cell] = d_h, d_c
            d_layer += d_arrays
        d_weights = d_layer + d_weights
    return (x, *ends, d_x, *d_states, *d_weights)


@dataclass
class _Direction:
    """One direction of one layer: forward keeps what backward needs."""

    w_ih: Array
    w_hh: Array
    bias: Array
    is_reverse: bool

    def forward(self, x: Array, runs: Running, h: Array, c: Array) -> Array:
        order = slice(None, None, -1 if self.is_reverse else 1)
        self._order, self._x, self._runs = order, x[order], runs[order]
        self._befores: list[tuple[Array, Array]] = []
        self._gates: list[list[Array]] = []
        output = []
        for from_input, running in zip(self._x @ self.w_ih.T + self.bias, self._runs, strict=True):
            i, f, g, o = np.split(from_input + h @ self.w_hh.T, 4, axis=1)
            i, f, g, o = _sigmoid(i), _sigmoid(f), np.tanh(g), _sigmoid(o)
            self._befores.append((h, c))
            next_c = f * c + i * g
            self._gates.append([i, f, g, o, np.tanh(next_c)])
            h = np.where(running, o * np.tanh(next_c), h)
            c = np.where(running, next_c, c)
            output.append(np.where(running, h, 0.0))
        self.ends = (h, c)
        return np.stack(output)[order]

    def backward(self, d_output: Array) -> tuple[Array, Array, Array, list[Array]]:
        """Return the gradients of x, the first h and c, and of w_ih, w_hh, b_ih and b_hh."""
        d_output = d_output[self._order]
        d_h, d_c = (np.zeros_like(end) for end in self.ends)
        d_gates = np.empty((*d_output.shape[:2], len(self.bias)))
        for step in reversed(range(len(d_output))):
            i, f, g, o, tanh_c = self._gates[step]
            _, c = self._befores[step]
            d_out = d_output[step] + d_h
            d_next = d_c + d_out * o * (1 - tanh_c**2)
            d_pre = np.concatenate(
                [
                    d_next * g * i * (1 - i),
                    d_next * c * f * (1 - f),
                    d_next * i * (1 - g**2),
                    d_out * tanh_c * o * (1 - o),
                ],
                axis=1,
            )
            # Where a sequence doesn't run its state passes through, and so do the gradients.
            running = self._runs[step]
            d_gates[step] = np.where(running, d_pre, 0.0)
            d_h = np.where(running, d_pre @ self.w_hh, d_h)
            d_c = np.where(running, d_next * f, d_c)
        flat = d_gates.reshape(-1, d_gates.shape[2])
        h_before = np.concatenate([h for h, _ in self._befores])
        d_bias = flat.sum(axis=0)
        d_weights = [flat.T @ self._x.reshape(len(flat), -1), flat.T @ h_before, d_bias, d_bias]
        return (d_gates @ self.w_ih)[self._order], d_h, d_c, d_weights


def _sigmoid(x: Array) -> Array:
    # exp(-x) would overflow for very negative x; tanh saturates.
    return 0.5 * np.tanh(0.5 * x) + 0.5
