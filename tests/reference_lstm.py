"""The oracle: an LSTM in float64 NumPy, one sequence at a time, written to be read.

It shares no code with the package.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from reference_cell import STANDARD, Array, ReferenceCell

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
    hidden: list[Array]  # (rows, H), or (rows, P) with a projection
    sums: list[Array]  # (rows, 4, H): the gates' pre-activations with peepholes, before a bound


def run_direction(
    x: Array,
    h: Array,
    c: Array,
    weights: Sequence[Array | None],
    reverse: bool,
    cell: ReferenceCell = STANDARD,
    direction: int = 0,
    factors: Array | float = 1.0,
) -> tuple[Array, Array, Array, Array]:
    """One sequence (T, I) through one direction. factors: of h_(t-1), on its way to the gates.

    Returns hidden (T, H) or (T, P), cells (T, H), gates and their pre-activations (T, 4, H).
    """
    w_ih, w_hh, b_ih, b_hh, peephole, w_hr = weights
    p_i, p_f, p_o = np.split(np.zeros(3 * len(c)) if peephole is None else peephole, 3)
    f_of_gates, f_of_g, f_of_h = cell.functions(direction)
    steps, hidden_size = len(x), len(c)
    hidden = np.zeros((steps, len(h)))
    cells = np.zeros((steps, hidden_size))
    gates = np.zeros((steps, 4, hidden_size))
    sums = np.zeros((steps, 4, hidden_size))
    of_input = x @ w_ih.T
    for bias in (b_ih, b_hh):
        of_input = of_input if bias is None else of_input + bias
    for t in reversed(range(steps)) if reverse else range(steps):
        pre = of_input[t] + w_hh @ (h * factors)
        s_i, s_f, s_g, s_o = np.split(pre, 4)
        s_i, s_f = s_i + p_i * c, s_f + p_f * c
        i, f = f_of_gates(cell.bounded(s_i)), f_of_gates(cell.bounded(s_f))
        g = f_of_g(cell.bounded(s_g))
        if cell.input_forget:
            f = 1.0 - i
        c = f * c + i * g
        s_o = s_o + p_o * c
        o = f_of_gates(cell.bounded(s_o))
        h = o * f_of_h(c)
        if w_hr is not None:
            h = w_hr @ h
        hidden[t], cells[t], gates[t], sums[t] = h, c, (i, f, g, o), (s_i, s_f, s_g, s_o)
    return hidden, cells, gates, sums


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
    all_weights: Sequence[Array],
    biases: tuple[bool, bool],
    peepholes: bool = False,
    projects: bool = False,
) -> list[tuple[Array, Array, Array | None, Array | None, Array | None, Array | None]]:
    """The flat weights as w_ih, w_hh, b_ih, b_hh, peephole, w_hr of each layer and direction."""
    queue = [np.asarray(w, np.float64) for w in all_weights]
    cells = []
    while queue:
        w_ih, w_hh = queue.pop(0), queue.pop(0)
        b_ih = queue.pop(0) if biases[0] else None
        b_hh = queue.pop(0) if biases[1] else None
        peephole = queue.pop(0) if peepholes else None
        w_hr = queue.pop(0) if projects else None
        cells.append((w_ih, w_hh, b_ih, b_hh, peephole, w_hr))
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
    cell: ReferenceCell = STANDARD,
    reverse: bool = False,
    factors: Array | None = None,
) -> Answer:
    """x is (sum(batch_sizes), I); so is the output. reverse: of one direction, where it begins.

    A projection's states differ in their width. factors: shaped as h0, of h_(t-1).
    """
    directions = 2 if bidirectional else 1
    output_size, hidden_size = h0.shape[2], c0.shape[2]
    cells_weights = by_cell(all_weights, biases, cell.peepholes, output_size != hidden_size)
    num_layers = len(cells_weights) // directions
    sequences = rows_of_sequences(batch_sizes)
    layer_input = np.asarray(x, np.float64)
    h_n = np.array(h0, np.float64)
    c_n = np.array(c0, np.float64)
    all_gates, all_cells, all_hidden, all_sums = [], [], [], []
    for layer in range(num_layers):
        outputs = []
        for direction in range(directions):
            state = layer * directions + direction
            output = np.zeros((len(layer_input), output_size))
            cells = np.zeros((len(layer_input), hidden_size))
            gates = np.zeros((len(layer_input), 4, hidden_size))
            sums = np.zeros((len(layer_input), 4, hidden_size))
            backwards = reverse or direction == 1
            for n, rows in enumerate(sequences):
                output[rows], cells[rows], gates[rows], sums[rows] = run_direction(
                    layer_input[rows],
                    h_n[state, n],
                    c_n[state, n],
                    cells_weights[state],
                    backwards,
                    cell,
                    direction,
                    1.0 if factors is None else factors[state, n],
                )
                last = rows[0] if backwards else rows[-1]
                h_n[state, n], c_n[state, n] = output[last], cells[last]
            outputs.append(output)
            all_gates.append(gates)
            all_cells.append(cells)
            all_hidden.append(output)
            all_sums.append(sums)
        layer_input = np.concatenate(outputs, axis=1)
        if drop is not None and layer + 1 < num_layers:
            layer_input = drop(layer, layer_input)
    return Answer(layer_input, h_n, c_n, all_gates, all_cells, all_hidden, all_sums)


def reference(
    x: Array,
    h0: Array,
    c0: Array,
    all_weights: Sequence[Array],
    bidirectional: bool,
    biases: tuple[bool, bool] = (True, True),
    drop: DropBetweenLayers | None = None,
    cell: ReferenceCell = STANDARD,
    reverse: bool = False,
    factors: Array | None = None,
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
        cell,
        reverse,
        factors,
    )
    return replace(packed, output=packed.output.reshape(seq_len, batch, packed.output.shape[1]))
