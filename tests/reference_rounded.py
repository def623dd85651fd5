"""An LSTM whose inputs, hidden states and weights are rounded, in NumPy, written to be read.

It shares no code with the package. Sums of integers are exact in float64.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from reference_cell import sigmoid
from reference_lstm import by_cell
from shapes import Case


def to_bfloat16(values: Any) -> Any:
    """The nearest numbers with 8 bits, ties to even, as float64."""
    bits = np.asarray(values, np.float32).view(np.uint32).astype(np.uint64)
    rounded = (bits + 0x7FFF + ((bits >> 16) & 1)) & 0xFFFF0000
    return rounded.astype(np.uint32).view(np.float32).astype(np.float64)


def weights_in_8_bits(matrix: Any) -> tuple[Any, Any]:
    """Integers of at most 127, and the scale of each row: its largest value over 127, rounded up
    to 16 bits."""
    matrix = np.asarray(matrix, np.float32).astype(np.float64)
    mantissa, exponent = np.frexp(np.abs(matrix).max(axis=1) / 127)
    scales = np.ldexp(np.ceil(np.ldexp(mantissa, 16)), exponent - 16)
    safe = np.where(scales > 0, scales, 1.0)[:, None]
    quotients = (matrix.astype(np.float32) / safe.astype(np.float32)).astype(np.float64)
    return np.rint(quotients), scales


def rows_in_integers(rows: Any, most: int) -> tuple[Any, Any]:
    """Integers of at most `most`, and the scale of each row, computed in float32."""
    rows = np.asarray(rows, np.float32)
    bounds = np.maximum(np.abs(rows).max(axis=-1), np.float32(2.0**-100))
    inverse = np.float32(most) / bounds
    return np.rint(rows * inverse[..., None]).astype(np.float64), bounds / np.float32(most)


def rows_in_their_range(rows: Any) -> tuple[Any, Any]:
    """Integers with 253 steps from a row's least value (or 0) to its largest, and their scale."""
    rows = np.asarray(rows, np.float32)
    half = np.float32(0.5)
    most, least = (half * bound(rows, axis=-1, initial=0.0) for bound in (np.max, np.min))
    bounds = np.maximum(most - least, np.float32(2.0**-100))
    inverse = np.float32(126.5) / bounds
    return np.rint(rows * inverse[..., None]).astype(np.float64), bounds / np.float32(126.5)


def states_in_integers(rows: Any) -> tuple[Any, Any]:
    """Integers of at most 127; 128 times as large in rows with values beyond 1."""
    beyond = np.abs(np.asarray(rows, np.float32)).max(axis=-1) > 1
    integers, scales = rows_in_integers(rows, 127)
    more_integers, smaller_scales = rows_in_integers(rows, 127 * 128)
    return (
        np.where(beyond[..., None], more_integers, integers),
        np.where(beyond, smaller_scales, scales),
    )


ToIntegers = Callable[[Any], tuple[Any, Any]]

# Of inputs, by the core's names of formats.
INPUT_IN_INTEGERS: dict[str, ToIntegers] = {
    "int8": lambda rows: rows_in_integers(rows, 127 * 128),
    "int8_products": rows_in_their_range,
}


def products_of_integers(rows: Any, weights: Any, to_integers: ToIntegers) -> Any:
    """rows (N, K) times weights (M, K), as the formats in 8 bits multiply them, in float64."""
    integers, row_scales = to_integers(rows)
    weight_integers, weight_scales = weights_in_8_bits(weights)
    sums = integers @ weight_integers.T
    return sums * row_scales[..., None].astype(np.float64) * weight_scales


@dataclass(frozen=True)
class Rounding:
    """How a format multiplies inputs and hidden states with weights."""

    input_in_integers: ToIntegers | None = None  # None: numbers in bfloat16

    def of_input(self, rows: Any, weights: Any) -> Any:
        if self.input_in_integers is None:
            return to_bfloat16(rows) @ to_bfloat16(weights).T
        return products_of_integers(rows, weights, self.input_in_integers)

    def of_hidden(self, rows: Any, weights: Any) -> Any:
        if self.input_in_integers is None:
            return to_bfloat16(rows) @ to_bfloat16(weights).T
        return products_of_integers(rows, weights, states_in_integers)


# By weight_dtype and compute.
ROUNDINGS = {
    ("bfloat16", "bfloat16"): Rounding(),
    ("int8", None): Rounding(INPUT_IN_INTEGERS["int8"]),
    ("int8", "int8"): Rounding(INPUT_IN_INTEGERS["int8_products"]),
}


def rounded_reference(case: Case, rounding: Rounding) -> tuple[Any, Any, Any]:
    """Output, h_n and c_n; x is (T, N, I)."""
    projects = case.h0.shape != case.c0.shape
    biases = (case.has_ih_bias, case.has_hh_bias)
    cells = by_cell(case.all_weights, biases, projects=projects)
    directions = case.shape.num_directions
    h_n, c_n = np.array(case.h0, np.float64), np.array(case.c0, np.float64)
    layer_input = np.asarray(case.x, np.float64)
    for layer in range(case.shape.num_layers):
        outputs = []
        for direction in range(directions):
            state = layer * directions + direction
            w_ih, w_hh, *vectors, w_hr = cells[state]
            h, c = h_n[state], c_n[state]
            output = np.zeros((len(layer_input), *h.shape))
            bias = sum(b for b in vectors if b is not None)
            for t in range(len(layer_input))[:: -1 if direction else 1]:
                pre = rounding.of_input(layer_input[t], w_ih) + rounding.of_hidden(h, w_hh) + bias
                i, f, g, o = np.split(pre, 4, axis=1)
                c = sigmoid(f) * c + sigmoid(i) * np.tanh(g)
                h = sigmoid(o) * np.tanh(c)
                if w_hr is not None:
                    h = rounding.of_input(h, w_hr)
                output[t] = h
            h_n[state], c_n[state] = h, c
            outputs.append(output)
        layer_input = np.concatenate(outputs, axis=2)
    return layer_input, h_n, c_n
