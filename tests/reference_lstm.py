"""The oracle: an LSTM in float64 NumPy, step by step, written to be read.

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
class Steps:
    """The values inside one layer and direction, in packed rows (R)."""

    hidden: Array  # (R, H), or (R, P) with a projection
    cells: Array  # (R, H)
    gates: Array  # (4, R, H): activated i, f, g, o
    sums: Array  # (4, R, H): the gates' pre-activations with peepholes, before a bound
    previous_hidden: Array  # as hidden: what the step began with
    previous_cells: Array

    @classmethod
    def of(cls, rows: int, output_size: int, hidden_size: int) -> Steps:
        states, cells = (rows, output_size), (rows, hidden_size)
        return cls(*map(np.zeros, (states, cells, (4, *cells), (4, *cells), states, cells)))


@dataclass(frozen=True)
class Answer:
    """What an LSTM returns; and the values inside, of each layer and direction."""

    output: Array
    h_n: Array
    c_n: Array
    inside: list[Steps]


def rows_of_steps(batch_sizes: Sequence[int]) -> list[slice]:
    """The packed rows of each step: one of each sequence that is as long, in the batch's order."""
    ends = np.cumsum(batch_sizes)
    return [slice(end - size, end) for end, size in zip(ends, batch_sizes, strict=True)]


def run_direction(
    x: Array,
    h: Array,
    c: Array,
    weights: Sequence[Array | None],
    batch_sizes: Sequence[int],
    reverse: bool,
    cell: ReferenceCell = STANDARD,
    direction: int = 0,
    factors: Array | float = 1.0,
) -> tuple[Array, Array, Steps]:
    """Packed rows (R, I) through one direction, from h (N, H) or (N, P) and c (N, H).

    factors: of h_(t-1), on its way to the gates. Returns h and c of each sequence's last step.
    """
    w_ih, w_hh, b_ih, b_hh, peephole, w_hr = weights
    hidden_size = c.shape[1]
    p_i, p_f, p_o = np.zeros((3, hidden_size)) if peephole is None else peephole.reshape(3, -1)
    f_of_gates, f_of_g, f_of_h = cell.functions(direction)
    h, c = np.array(h), np.array(c)
    of_input = x @ w_ih.T
    for bias in (b_ih, b_hh):
        of_input = of_input if bias is None else of_input + bias
    done = Steps.of(len(x), h.shape[1], hidden_size)
    steps = rows_of_steps(batch_sizes)
    for rows in reversed(steps) if reverse else steps:
        there = slice(rows.stop - rows.start)
        done.previous_hidden[rows], done.previous_cells[rows] = h[there], c[there]
        pre = of_input[rows] + (h * factors)[there] @ w_hh.T
        s_i, s_f, s_g, s_o = np.split(pre, 4, axis=1)
        s_i, s_f = s_i + p_i * c[there], s_f + p_f * c[there]
        i, f = f_of_gates(cell.bounded(s_i)), f_of_gates(cell.bounded(s_f))
        g = f_of_g(cell.bounded(s_g))
        if cell.input_forget:
            f = 1.0 - i
        c[there] = f * c[there] + i * g
        s_o = s_o + p_o * c[there]
        o = f_of_gates(cell.bounded(s_o))
        new = o * f_of_h(c[there])
        h[there] = new if w_hr is None else new @ w_hr.T
        done.hidden[rows], done.cells[rows] = h[there], c[there]
        done.gates[:, rows], done.sums[:, rows] = (i, f, g, o), (s_i, s_f, s_g, s_o)
    return h, c, done


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
    layer_input = np.asarray(x, np.float64)
    h_n = np.array(h0, np.float64)
    c_n = np.array(c0, np.float64)
    inside: list[Steps] = []
    for layer in range(num_layers):
        for direction in range(directions):
            state = layer * directions + direction
            h_n[state], c_n[state], steps = run_direction(
                layer_input,
                h_n[state],
                c_n[state],
                cells_weights[state],
                batch_sizes,
                reverse or direction == 1,
                cell,
                direction,
                1.0 if factors is None else factors[state],
            )
            inside.append(steps)
        layer_input = np.concatenate([steps.hidden for steps in inside[-directions:]], axis=1)
        if drop is not None and layer + 1 < num_layers:
            layer_input = drop(layer, layer_input)
    return Answer(layer_input, h_n, c_n, inside)


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
