"""The oracle: an LSTM in float64 NumPy, one sequence at a time, written to be read.

It shares no code with the package.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
# (layer, outputs of that layer in packed rows) -> the same after dropout
DropBetweenLayers = Callable[[int, Array], Array]


@dataclass(frozen=True)
class Answer:
    """What an LSTM returns; and the values inside, one array per layer and direction."""

    output: Array
    h_n: Array
    c_n: Array
    gates: list[Array]  # (rows, 4, H): activated i, f, g, o
    cells: list[Array]  # (rows, H)


def sigmoid(x: Array) -> Array:
    return 1.0 / (1.0 + np.exp(-x))


def run_direction(
    x: Array,
    h: Array,
    c: Array,
    weights: Sequence[Array | None],
    reverse: bool,
    input_forget: bool = False,
) -> tuple[Array, Array, Array]:
    """One sequence (T, I) through one direction: hidden (T, H), cells (T, H), gates (T, 4, H)."""
    w_ih, w_hh, b_ih, b_hh = weights
    steps, hidden_size = len(x), len(h)
    hidden = np.zeros((steps, hidden_size))
    cells = np.zeros((steps, hidden_size))
    gates = np.zeros((steps, 4, hidden_size))
    of_input = x @ w_ih.T
    for bias in (b_ih, b_hh):
        of_input = of_input if bias is None else of_input + bias
    for t in reversed(range(steps)) if reverse else range(steps):
        pre = of_input[t] + w_hh @ h
        i, f, g, o = np.split(pre, 4)
        i, f, g, o = sigmoid(i), sigmoid(f), np.tanh(g), sigmoid(o)
        if input_forget:
            f = 1.0 - i
        c = f * c + i * g
        h = o * np.tanh(c)
        hidden[t], cells[t], gates[t] = h, c, (i, f, g, o)
    return hidden, cells, gates


def rows_of_sequences(batch_sizes: Sequence[int]) -> list[list[int]]:
    """Which packed rows belong to each sequence, in time order."""
    rows: list[list[int]] = [[] for _ in range(max(batch_sizes, default=0))]
    start = 0
    for size in batch_sizes:
        for sequence in range(size):
            rows[sequence].append(start + sequence)
        start += size
    return rows


def by_cell(
    all_weights: Sequence[Array], biases: tuple[bool, bool]
) -> list[tuple[Array, Array, Array | None, Array | None]]:
    """The flat weights as one (w_ih, w_hh, b_ih, b_hh) per layer and direction, in float64."""
    queue = [np.asarray(w, np.float64) for w in all_weights]
    cells = []
    while queue:
        w_ih, w_hh = queue.pop(0), queue.pop(0)
        b_ih = queue.pop(0) if biases[0] else None
        b_hh = queue.pop(0) if biases[1] else None
        cells.append((w_ih, w_hh, b_ih, b_hh))
    return cells


def reference_packed(
    x: Array,
    h0: Array,
    c0: Array,
    all_weights: Sequence[Array],
    bidirectional: bool,
    batch_sizes: Sequence[int],
    biases: tuple[bool, bool] = (True, True),
    drop: DropBetweenLayers | None = None,
    input_forget: bool = False,
) -> Answer:
    """x is (sum(batch_sizes), I); so is the output."""
    directions = 2 if bidirectional else 1
    cells_weights = by_cell(all_weights, biases)
    num_layers = len(cells_weights) // directions
    sequences = rows_of_sequences(batch_sizes)
    hidden_size = h0.shape[2]
    layer_input = np.asarray(x, np.float64)
    h_n = np.array(h0, np.float64)
    c_n = np.array(c0, np.float64)
    all_gates, all_cells = [], []
    for layer in range(num_layers):
        outputs = []
        for direction in range(directions):
            state = layer * directions + direction
            output = np.zeros((len(layer_input), hidden_size))
            cells = np.zeros((len(layer_input), hidden_size))
            gates = np.zeros((len(layer_input), 4, hidden_size))
            for n, rows in enumerate(sequences):
                output[rows], cells[rows], gates[rows] = run_direction(
                    layer_input[rows],
                    h_n[state, n],
                    c_n[state, n],
                    cells_weights[state],
                    reverse=direction == 1,
                    input_forget=input_forget,
                )
                last = rows[0] if direction == 1 else rows[-1]
                h_n[state, n], c_n[state, n] = output[last], cells[last]
            outputs.append(output)
            all_gates.append(gates)
            all_cells.append(cells)
        layer_input = np.concatenate(outputs, axis=1)
        if drop is not None and layer + 1 < num_layers:
            layer_input = drop(layer, layer_input)
    return Answer(layer_input, h_n, c_n, all_gates, all_cells)


def reference(
    x: Array,
    h0: Array,
    c0: Array,
    all_weights: Sequence[Array],
    bidirectional: bool,
    biases: tuple[bool, bool] = (True, True),
    drop: DropBetweenLayers | None = None,
    input_forget: bool = False,
) -> Answer:
    """x is (T, N, I), which is a packed sequence of N sequences of one length."""
    seq_len, batch = x.shape[:2]
    packed = reference_packed(
        x.reshape(seq_len * batch, x.shape[2]),
        h0,
        c0,
        all_weights,
        bidirectional,
        [batch] * seq_len,
        biases,
        drop,
        input_forget,
    )
    output = packed.output.reshape(seq_len, batch, packed.output.shape[1])
    return Answer(output, packed.h_n, packed.c_n, packed.gates, packed.cells)
