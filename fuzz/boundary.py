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
from lstm_native import _core as core

SIZES = (0, 1, 2, 3, 7, 8, 16, 17, 33)
ODD_SIZES = (*SIZES, -1, -(2**63), 2**31, 2**40, 2**62, 2**63 - 1)
EXPECTED = (TypeError, ValueError, MemoryError, RuntimeError, IndexError)


def array(reader: Reader, *shape: int, dtype: Any) -> Any:
    return reader.generator().standard_normal(shape).astype(dtype)


def maybe_spoilt(reader: Reader, value: Any) -> Any:
    """Return the array, or now and then another in its place."""
    if not reader.once_in(8):
        return value
    other = plain(spoil(reader, value))
    return value if other is None else other


def cells(reader: Reader, sizes: tuple[int, int, int, int], dtype: Any) -> list[Any]:
    """Return weights, or places for their gradients."""
    features, hidden, layers, directions = sizes
    listed = []
    for layer in range(layers):
        width = features if layer == 0 else hidden * directions
        for _ in range(directions):
            w_ih = array(reader, 4 * hidden, width, dtype=dtype)
            w_hh = array(reader, 4 * hidden, hidden, dtype=dtype)
            if reader.once_in(4):
                w_ih, w_hh = np.asfortranarray(w_ih), np.asfortranarray(w_hh)
            b = [array(reader, 4 * hidden, dtype=dtype) for _ in range(2)]
            both = [None if reader.once_in(4) else maybe_spoilt(reader, bias) for bias in b]
            listed.append((maybe_spoilt(reader, w_ih), maybe_spoilt(reader, w_hh), *both))
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
        self.sizes = (self.features, self.hidden, self.layers, self.directions)
        state = (self.layers * self.directions, self.batch, self.hidden)
        x = array(reader, *rows, self.features, dtype=self.dtype)
        self.x = maybe_spoilt(reader, x)
        if self.lengths and self.x.size > LARGEST:
            self.x = x  # for each step of such a batch the core takes 8 bytes
        self.h = maybe_spoilt(reader, array(reader, *state, dtype=self.dtype))
        self.c = maybe_spoilt(reader, array(reader, *state, dtype=self.dtype))
        self.state = state

    def output(self, reader: Reader) -> Any:
        width = self.hidden * self.directions
        return maybe_spoilt(reader, np.zeros((*self.rows, width), self.dtype))

    def states(self, reader: Reader) -> Any:
        return maybe_spoilt(reader, np.zeros(self.state, self.dtype))

    def tape(self, reader: Reader, recompute: bool) -> Any:
        steps, batch = self.steps, self.batch
        try:
            elements = core.tape_elements(
                *(steps, batch, self.features, self.hidden, self.layers, self.directions == 2),
                batch_sizes=self.batch_sizes,
                lengths=self.lengths,
                recompute=recompute,
            )
        except EXPECTED:
            elements = 64
        return maybe_spoilt(reader, np.zeros(elements, self.dtype))


def options(reader: Reader, drawn: Drawn) -> dict[str, Any]:
    return {
        "bidirectional": drawn.directions == 2,
        "batch_sizes": drawn.batch_sizes,
        "lengths": drawn.lengths,
        "dropout": reader.choose([0.0, 0.5, 1.0, -1.0, float("nan")]),
        "dropout_key": reader.choose([0, 2**64 - 1]),
        "dropout_counter": reader.choose([0, 2**64 - 1]),
        "threads": reader.choose([1, 2, 3, 0, -1, 200]),
        "recompute": reader.once_in(2),
    }


def of_forward(reader: Reader) -> None:
    """Call core.forward, then with the same tape core.backward."""
    drawn = Drawn(reader)
    chosen = options(reader, drawn)
    weights: Any = cells(reader, drawn.sizes, drawn.dtype)
    tape = drawn.tape(reader, chosen["recompute"])
    with contextlib.suppress(*EXPECTED):
        given = weights
        if reader.once_in(3):
            name = reader.choose(["native", "native", "float16"])
            given = core.PackedWeights(weights, drawn.directions == 2, name)
        core.forward(
            *(drawn.x, drawn.h, drawn.c, given, drawn.output(reader)),
            *(drawn.states(reader), drawn.states(reader)),
            tape=None if reader.once_in(3) else tape,
            split=reader.choose(
                [None, None, (1, 1, 1), (2, 1, 1), (1, 3, 1), (1, 1, 2), (0, -1, 9)]
            ),
            **chosen,
        )
    of_backward(reader, drawn, chosen, weights, tape)


def of_backward(
    reader: Reader, drawn: Drawn, chosen: dict[str, Any], weights: Any, tape: Any
) -> None:
    """Call core.backward with any of its arrays left out."""

    def maybe(value: Any) -> Any:
        return None if reader.once_in(4) else value

    shape = tape.shape if not chosen["recompute"] else drawn.tape(reader, False).shape
    with contextlib.suppress(*EXPECTED):
        core.backward(
            *(drawn.x, drawn.h, drawn.c, weights, tape, maybe(drawn.output(reader))),
            *(maybe(drawn.states(reader)), maybe(drawn.states(reader))),
            maybe(maybe_spoilt(reader, np.zeros((*drawn.rows, drawn.features), drawn.dtype))),
            *(maybe(drawn.states(reader)), maybe(drawn.states(reader))),
            maybe(cells(reader, drawn.sizes, drawn.dtype)),
            maybe(np.zeros(shape, drawn.dtype)),
            hidden_size=reader.choose([drawn.hidden] * 7 + [drawn.hidden + 1]),
            num_layers=reader.choose([drawn.layers] * 7 + [reader.choose(ODD_SIZES)]),
            accumulate=reader.once_in(2),
            has_steps=reader.once_in(4),
            **chosen,
        )


def of_sizes(reader: Reader) -> None:
    """Ask for sizes that arithmetic may wrap."""
    sizes = [reader.choose(ODD_SIZES) for _ in range(5)]
    ragged = {
        "batch_sizes": [reader.choose(ODD_SIZES) for _ in range(reader.integer(0, 3))],
        "lengths": [reader.choose(ODD_SIZES) for _ in range(reader.integer(0, 3))],
    }
    with contextlib.suppress(*EXPECTED):
        core.tape_elements(*sizes, reader.once_in(2), **ragged, recompute=reader.once_in(2))
    with contextlib.suppress(*EXPECTED):
        core.explain(
            *sizes,
            bidirectional=reader.once_in(2),
            **ragged,
            threads=reader.choose([0, 1, 2, 128, -5]),
            element_bytes=reader.choose([4, 8]),
            weight_dtype=reader.choose(["native", "float16", "bfloat16", "x"]),
            packed=reader.once_in(2),
            even_rows=reader.once_in(2),
            drops=reader.once_in(2),
        )


def of_stream(reader: Reader) -> None:
    """Use a core stream with arrays that do not fit."""
    drawn = Drawn(reader)
    with contextlib.suppress(*EXPECTED):
        weights = cells(reader, (drawn.features, drawn.hidden, drawn.layers, 1), drawn.dtype)
        packed = core.PackedWeights(weights, reader.once_in(8), "native")
        stream = core.Stream(packed, reader.choose(ODD_SIZES), reader.choose([1, 2, 0]))
        for _ in range(reader.integer(0, 3)):
            x = maybe_spoilt(reader, array(reader, 2, 1, drawn.features, dtype=drawn.dtype))
            out = maybe_spoilt(reader, array(reader, 2, 1, drawn.hidden, dtype=drawn.dtype))
            stream.run(x, reader.choose([None, out]), True)
            stream.set_state(drawn.h, drawn.c)
            for given in (packed, [array for cell in weights for array in cell]):
                core.run_if_usual(drawn.x, (drawn.h, drawn.c), given, drawn.layers, False, 2)
            packed.matrices(reader.choose(ODD_SIZES))


SURFACES = (of_forward, of_sizes, of_stream)
