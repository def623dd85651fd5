"""Calls of the C++ core past the Python layer's checks: an exception, or a result; never a crash.

Only the sanitizers and the process's end can judge here: what the core makes of arrays that the
Python layer would never hand in is not promised.
"""

from __future__ import annotations

import contextlib
from typing import Any

import numpy as np

from fuzz.arrays import LARGEST, REALS, plain, spoil
from fuzz.reader import Reader
from lstm_native import Cell
from lstm_native import _core as core
from lstm_native._backward import GradientNeeds, OutputGradients
from lstm_native._run import CellWeights, Dropout, ForwardCall, Problem
from lstm_native._sizes import Sizes

SIZES = (0, 1, 2, 3, 7, 8, 16, 17, 33)
ODD_SIZES = (*SIZES, -1, -(2**63), 2**31, 2**40, 2**62, 2**63 - 1)
CELLS = (
    *[Cell()] * 4,
    Cell(input_forget=True),
    Cell(peepholes=True),
    Cell(
        activations=("HardSigmoid", "Softplus", "Elu", "Relu", "ScaledTanh", "Softsign"),
        clip=0.5,
        peepholes=True,
    ),
)
EXPECTED = (TypeError, ValueError, MemoryError, RuntimeError, IndexError)


def array(reader: Reader, *shape: int, dtype: Any) -> Any:
    return reader.generator().standard_normal(shape).astype(dtype)


def maybe_spoilt(reader: Reader, value: Any) -> Any:
    """Return the array, or now and then another in its place."""
    if not reader.once_in(8):
        return value
    other = plain(spoil(reader, value))
    return value if other is None else other


def cells(reader: Reader, sizes: Sizes, dtype: Any, cell: Cell = CELLS[0]) -> list[Any]:
    """Return weights, or places for their gradients."""
    hidden, outputs = sizes.hidden_size, sizes.output_size
    listed = []
    has_peepholes = cell.peepholes != reader.once_in(8)
    for layer in range(sizes.num_layers):
        width = sizes.layer_input_size(layer)
        for _ in range(sizes.directions):
            w_ih = array(reader, 4 * hidden, width, dtype=dtype)
            w_hh = array(reader, 4 * hidden, outputs, dtype=dtype)
            w_hr = None
            if sizes.proj_size:
                w_hr = maybe_spoilt(reader, array(reader, outputs, hidden, dtype=dtype))
            if reader.once_in(4):
                w_ih, w_hh = np.asfortranarray(w_ih), np.asfortranarray(w_hh)
            b = [array(reader, 4 * hidden, dtype=dtype) for _ in range(2)]
            both = [None if reader.once_in(4) else maybe_spoilt(reader, bias) for bias in b]
            matrices = (maybe_spoilt(reader, w_ih), maybe_spoilt(reader, w_hh))
            peephole = None
            if has_peepholes:
                peephole = maybe_spoilt(reader, array(reader, 3 * hidden, dtype=dtype))
            listed.append(CellWeights(*matrices, *both, peephole, w_hr))
    if reader.once_in(8):
        listed = listed[:-1] if reader.once_in(2) else listed * 2
    return listed


class Drawn:
    """Sizes of a call, and the arrays that both directions of it need."""

    def __init__(self, reader: Reader) -> None:
        self.dtype = reader.choose(REALS)
        self.steps, self.batch = reader.integer(1, 5), reader.integer(0, 9)
        self.features, self.hidden = reader.choose(SIZES[1:]), reader.choose(SIZES[1:])
        self.layers, self.directions = reader.integer(1, 3), reader.integer(1, 2)
        self.cell = reader.choose(CELLS)
        proj_size = self.hidden // 2 if reader.once_in(3) else 0
        self.batch_sizes: list[int] = []
        self.lengths: list[int] = []
        kind = reader.integer(0, 2)
        rows: tuple[int, ...] = (self.steps, self.batch)
        if kind == 1:
            self.lengths = [reader.integer(0, self.steps) for _ in range(self.batch)]
        elif kind == 2:
            sizes = sorted((reader.integer(1, 6) for _ in range(self.steps)), reverse=True)
            self.batch_sizes, self.batch, rows = sizes, sizes[0], (sum(sizes),)
        if reader.once_in(8):
            broken = self.batch_sizes if kind == 2 else self.lengths
            broken.append(reader.choose([0, -1, 1, 100, 2**62]))
        self.rows = rows
        self.sizes = Sizes(self.features, self.hidden, self.layers, self.directions == 2, proj_size)
        states = (self.layers * self.directions, self.batch)
        self.hidden_state = (*states, self.sizes.output_size)
        self.cell_state = (*states, self.hidden)
        x = array(reader, *rows, self.features, dtype=self.dtype)
        self.x = maybe_spoilt(reader, x)
        if self.lengths and self.x.size > LARGEST:
            self.x = x  # for each step of such a batch the core takes 8 bytes
        self.h = maybe_spoilt(reader, array(reader, *self.hidden_state, dtype=self.dtype))
        self.c = maybe_spoilt(reader, array(reader, *self.cell_state, dtype=self.dtype))

    def output(self, reader: Reader) -> Any:
        width = self.sizes.output_size * self.directions
        return maybe_spoilt(reader, np.zeros((*self.rows, width), self.dtype))

    def states(self, reader: Reader) -> tuple[Any, Any]:
        """Return a hidden and a cell state."""
        shapes = (self.hidden_state, self.cell_state)
        first, second = (maybe_spoilt(reader, np.zeros(shape, self.dtype)) for shape in shapes)
        return first, second

    def problem(self, reader: Reader) -> Problem:
        return Problem(
            self.sizes._replace(
                hidden_size=reader.choose([self.hidden] * 7 + [self.hidden + 1]),
                num_layers=reader.choose([self.layers] * 7 + [reader.choose(ODD_SIZES)]),
            ),
            reader.choose([self.steps] * 7 + [reader.choose(ODD_SIZES)]),
            reader.choose([self.batch] * 7 + [reader.choose(ODD_SIZES)]),
            batch_sizes=self.batch_sizes,
            lengths=self.lengths,
            dropout=masks(reader),
            threads=reader.choose([1, 2, 3, 0, -1, 200]),
            split=reader.choose(
                [None, None, (1, 1, 1), (2, 1, 1), (1, 3, 1), (1, 1, 2), (0, -1, 9)]
            ),
            cell=self.cell,
            reverse=reader.once_in(4),
        )

    def tape(self, reader: Reader, problem: Problem, recompute: bool) -> Any:
        try:
            elements = core.tape_elements(problem, recompute)
            tape = np.zeros((elements if elements < LARGEST else 64, 1), self.dtype)
        except EXPECTED:
            tape = np.zeros((64, 1), self.dtype)
        return maybe_spoilt(reader, tape)


def masks(reader: Reader) -> Dropout:
    return Dropout(
        reader.choose([0.0, 0.5, 1.0, -1.0, float("nan")]),
        reader.choose([0, 2**64 - 1]),
        reader.choose([0, 2**64 - 1]),
    )


def of_call(reader: Reader) -> None:
    """Call the core forward, then with any tape backward."""
    drawn = Drawn(reader)
    call = ForwardCall(
        problem=drawn.problem(reader),
        input=drawn.x,
        h_0=drawn.h,
        c_0=drawn.c,
        weights=cells(reader, drawn.sizes, drawn.dtype, drawn.cell),
        batch_first=reader.once_in(4),
        tape=reader.choose([None, "gates", "hidden"]),
    )
    with contextlib.suppress(*EXPECTED):
        weights: Any = call.weights
        if reader.once_in(3):
            name = reader.choose(["native", "native", "float16", "int8"])
            weights = core.PackedWeights(call.weights, drawn.directions == 2, name, drawn.cell)
        core.forward(call._replace(weights=weights))
    with contextlib.suppress(*EXPECTED):
        core.explain(call)
    of_backward(reader, drawn, call)


def of_backward(reader: Reader, drawn: Drawn, call: ForwardCall) -> None:
    """Compute gradients with any of the arrays left out."""

    def maybe(value: Any) -> Any:
        return None if reader.once_in(4) else value

    tape = drawn.tape(reader, call.problem, call.tape == "hidden")
    workspace = drawn.tape(reader, call.problem, False)
    given = OutputGradients(maybe(drawn.output(reader)), *map(maybe, drawn.states(reader)))
    gradients = cells(reader, drawn.sizes, drawn.dtype, drawn.cell)
    wanted = GradientNeeds(
        input=reader.once_in(2),
        states=reader.once_in(2),
        weights=reader.choose([None, True, gradients]),
        transposed=reader.once_in(2),
        workspace=maybe(workspace),
    )
    for function in (core.backward, core.backward_if_plain):
        with contextlib.suppress(*EXPECTED):
            function(call, tape, given, wanted)
    with contextlib.suppress(*EXPECTED):
        core.weight_gradients(call, tape, workspace, gradients, reader.once_in(2))


def of_plain(reader: Reader) -> None:
    """Call the fast paths."""
    drawn = Drawn(reader)
    listed = cells(reader, drawn.sizes, drawn.dtype)
    states = (drawn.h, drawn.c)
    ragged = reader.choose([None, (drawn.batch_sizes, None), (None, drawn.lengths)])
    form = (drawn.layers, drawn.directions == 2, reader.once_in(4))
    with contextlib.suppress(*EXPECTED):
        flat = [array for cell in listed for array in cell[:4]]
        core.lstm_if_plain(drawn.x, states, flat, form, ragged, reader.choose([0, 1, 3, -1]))
    with contextlib.suppress(*EXPECTED):
        offsets = [
            tuple(reader.choose([-1, 0, 3, *ODD_SIZES]) for _ in range(6))
            for _ in range(drawn.layers * drawn.directions)
        ]
        weight = array(reader, reader.choose(SIZES) ** 2, dtype=drawn.dtype)
        described = (form[2], drawn.cell, reader.once_in(4))
        size = reader.choose([weight.size, 3])
        operator = core.Operator(drawn.sizes, described, size, offsets)
        operator.run_if_plain(drawn.x, states, weight, masks(reader), reader.once_in(2), 2)


def of_sizes(reader: Reader) -> None:
    """Ask for sizes that arithmetic may wrap."""
    features, hidden, layers, steps, batch = (reader.choose(ODD_SIZES) for _ in range(5))
    problem = Problem(
        Sizes(features, hidden, layers, reader.once_in(2), reader.choose([0, *ODD_SIZES])),
        steps,
        batch,
        batch_sizes=[reader.choose(ODD_SIZES) for _ in range(reader.integer(0, 3))],
        lengths=[reader.choose(ODD_SIZES) for _ in range(reader.integer(0, 3))],
        threads=reader.choose([0, 1, 2, 128, -5]),
    )
    with contextlib.suppress(*EXPECTED):
        core.tape_elements(problem, reader.once_in(2))
    with contextlib.suppress(*EXPECTED):
        stored = reader.choose([None, "native", "float16", "bfloat16_products", "int8", "x"])
        core.explain_sizes(problem, reader.once_in(2), reader.choose([4, 8]), stored)


def of_stream(reader: Reader) -> None:
    """Use a core stream with arrays that do not fit."""
    drawn = Drawn(reader)
    with contextlib.suppress(*EXPECTED):
        sizes = drawn.sizes._replace(bidirectional=False)
        weights = cells(reader, sizes, drawn.dtype, drawn.cell)
        packed = core.PackedWeights(weights, reader.once_in(8), "native", drawn.cell)
        batch, threads = reader.choose(ODD_SIZES), reader.choose([1, 2, 0])
        stream = core.Stream(packed, batch, threads, drawn.cell)
        for _ in range(reader.integer(0, 3)):
            x = maybe_spoilt(reader, array(reader, 2, 1, drawn.features, dtype=drawn.dtype))
            width = drawn.sizes.output_size
            out = maybe_spoilt(reader, array(reader, 2, 1, width, dtype=drawn.dtype))
            stream.run(x, reader.choose([None, out]), True)
            stream.set_state(drawn.h, drawn.c)
            form = (drawn.layers, False, False)
            core.lstm_if_plain(drawn.x, (drawn.h, drawn.c), packed, form, None, 2)
            packed.matrices(reader.choose(ODD_SIZES))


SURFACES = (of_call, of_plain, of_sizes, of_stream)
