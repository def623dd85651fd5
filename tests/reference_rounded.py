"""An LSTM whose inputs, hidden states and weights are rounded, in NumPy, written to be read.

It shares no code with the package. Sums of integers are exact in float64.
"""

from __future__ import annotations

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


def products_of_integers(rows: Any, weights: Any, most: int) -> Any:
    """rows (N, K) times weights (M, K), as the formats in 8 bits multiply them, in float64."""
    integers, row_scales = rows_in_integers(rows, most)
    weight_integers, weight_scales = weights_in_8_bits(weights)
    sums = integers @ weight_integers.T
    return sums * row_scales[..., None].astype(np.float64) * weight_scales


@dataclass(frozen=True)
class Rounding:
    """How a format multiplies inputs and hidden states with weights."""

    input_most: int = 0  # of the integers; 0: numbers in bfloat16

    def of_input(self, rows: Any, weights: Any) -> Any:
        if not self.input_most:
            return to_bfloat16(rows) @ to_bfloat16(weights).T
        return products_of_integers(rows, weights, self.input_most)

    def of_hidden(self, rows: Any, weights: Any) -> Any:
        if not self.input_most:
            return to_bfloat16(rows) @ to_bfloat16(weights).T
        return products_of_integers(rows, weights, 127)


# By weight_dtype and compute.
ROUNDINGS = {
    ("bfloat16", "bfloat16"): Rounding(),
    ("int8", None): Rounding(127 * 128),
    ("int8", "int8"): Rounding(127),
}


def rounded_reference(case: Case, rounding: Rounding) -> tuple[Any, Any, Any]:
    """Output, h_n and c_n; x is (T, N, I)."""
    cells = by_cell(case.all_weights, (case.has_ih_bias, case.has_hh_bias))
    directions = case.shape.num_directions
    h_n, c_n = np.array(case.h0, np.float64), np.array(case.c0, np.float64)
    layer_input = np.asarray(case.x, np.float64)
    for layer in range(case.shape.num_layers):
        outputs = []
        for direction in range(directions):
            state = layer * directions + direction
            w_ih, w_hh, *biases = cells[state]
            h, c = h_n[state], c_n[state]
            output = np.zeros((len(layer_input), *h.shape))
            bias = sum(b for b in biases if b is not None)
            for t in range(len(layer_input))[:: -1 if direction else 1]:
                pre = rounding.of_input(layer_input[t], w_ih) + rounding.of_hidden(h, w_hh) + bias
                i, f, g, o = np.split(pre, 4, axis=1)
                c = sigmoid(f) * c + sigmoid(i) * np.tanh(g)
                h = output[t] = sigmoid(o) * np.tanh(c)
            h_n[state], c_n[state] = h, c
            outputs.append(output)
        layer_input = np.concatenate(outputs, axis=2)
    return layer_input, h_n, c_n
