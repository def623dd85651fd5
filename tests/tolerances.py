"""Every floating-point tolerance of the tests, with its reason."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np


@dataclass(frozen=True)
class Tolerance:
    """Largest absolute difference, per dtype. Data are of unit scale, outputs within [-1, 1]."""

    float32: float
    float64: float
    reason: str

    def of(self, dtype: Any) -> float:
        return self.float32 if np.dtype(dtype) == np.float32 else self.float64


TOLERANCES = {
    "value": Tolerance(
        2e-5,
        1e-12,
        "output and states against the float64 reference: the project's promise for T up to 100 "
        "and H up to 512; rounding of sums of I + H products, carried from step to step",
    ),
    "layout": Tolerance(
        2e-6,
        1e-14,
        "the same call with arrays laid out otherwise: BLAS sums in another order, nothing else",
    ),
    "peer": Tolerance(
        4e-5,
        2e-12,
        "against another implementation of the same dtype: twice 'value', for it errs as well",
    ),
    "cuda": Tolerance(
        1e-5,
        1e-12,
        "the CUDA target against the CPU's: the same formulas, with sums in another order and "
        "other exponentials; gradients in parts of their array's largest value",
    ),
    "peer gradient": Tolerance(
        1e-4,
        1e-11,
        "gradients against another implementation of the same dtype, divided by their largest "
        "element: what the project promises of gradients",
    ),
    "peer losses": Tolerance(
        1e-6,
        1e-14,
        "losses below 1 over some dozens of steps of training beside another implementation, whose "
        "rounding goes on through the weights; some 30 times what was measured",
    ),
    "bfloat16 results": Tolerance(
        4e-3,
        0.0,
        "rounded to 8 bits at the end, in units of the largest: half of a unit in the last place "
        "is 2**-9; float64 is not rounded",
    ),
    "float16 results": Tolerance(
        5e-4,
        0.0,
        "rounded to 11 bits at the end, in units of the largest: half of a unit is 2**-12",
    ),
    "dropout by inversion": Tolerance(
        1e-3,
        1e-6,
        "what a layer got, from what it gave: atanh of values near 1e-3, times 1000",
    ),
    "gradient": Tolerance(
        1e-4,
        1e-11,
        "gradients against the float64 reference, relative to the largest magnitude in the array: "
        "sums over all steps and rows, with terms of either sign",
    ),
    "float16 weights": Tolerance(
        2e-3,
        0.0,
        "matrices rounded to 11 bits, against those that were not: each weight errs by up to one "
        "part in 2048, most in layers with many inputs (I = 300) and weights up to 0.4; about "
        "three times what was measured; float64 has no such weights",
    ),
    "bfloat16 weights": Tolerance(
        1.6e-2,
        0.0,
        "as with float16, with 8 bits: eight times the rounding, eight times the error; float64 "
        "has no such weights",
    ),
    "bfloat16_products format": Tolerance(
        3e-2,
        0.0,
        "weights, inputs and hidden states rounded to 8 bits, against those that were not",
    ),
    "int8 format": Tolerance(
        5e-2,
        0.0,
        "weights and hidden states in 8 bits, inputs in 15, against those that were not rounded",
    ),
    "int8_products format": Tolerance(
        1e-1,
        0.0,
        "weights, inputs and hidden states in 8 bits, against those that were not rounded",
    ),
    "rounded state": Tolerance(
        5e-3,
        0.0,
        "against a reference that rounds hidden states, too: one that is next to a tie may be "
        "rounded in the other direction, which is 1 / 127, times a weight and a gate's slope",
    ),
}


def assert_close(got: Any, expected: Any, quantity: str, dtype: Any = None) -> None:
    """Compare with the table's tolerance for `quantity`, for got's dtype unless told another."""
    tolerance = TOLERANCES[quantity]
    got = np.asarray(got)
    atol = tolerance.of(got.dtype if dtype is None else dtype)
    np.testing.assert_allclose(got, expected, rtol=0, atol=atol, err_msg=tolerance.reason)


def assert_scaled_close(got: Any, expected: Any, quantity: str) -> None:
    """The same of results that may be beyond [-1, 1]: relative to the largest magnitude."""
    scale = max(1.0, np.abs(expected).max(initial=0))
    assert_close(got / scale, expected / scale, quantity, got.dtype)


def assert_all_close(got: Any, expected: Any, quantity: str) -> None:
    for ours, theirs in zip(got, expected, strict=True):
        assert_close(ours, theirs, quantity)


def assert_rounded_close(got: Any, expected: Any) -> None:
    """Compare with a reference that rounds hidden states, too.

    A state that is rounded in the other direction, as one of many may be, shifts those after it a
    little.
    """
    for ours, theirs in zip(got, expected, strict=True):
        error = np.abs(ours - theirs)
        assert np.median(error) <= TOLERANCES["value"].of(np.float32)
        assert error.max() <= TOLERANCES["rounded state"].of(np.float32)


def assert_gradients_close(got: Any, expected: Any) -> None:
    """Compare gradients, each relative to the largest magnitude in its array.

    Or to a thousandth of the largest in any of them: the terms of a small array may all cancel.
    """
    tolerance = TOLERANCES["gradient"]
    expected = list(expected)
    least = 1e-3 * max((np.abs(theirs).max(initial=0) for theirs in expected), default=0)
    for ours, theirs in zip(got, expected, strict=True):
        assert ours.shape == theirs.shape
        atol = tolerance.of(ours.dtype) * max(least, np.abs(theirs).max(initial=1e-30))
        if not np.abs(ours - theirs).max(initial=0) <= atol:  # assert_allclose by itself is slow
            np.testing.assert_allclose(ours, theirs, rtol=0, atol=atol, err_msg=tolerance.reason)
            raise AssertionError("not finite")
