"""Distances of the activations from the correctly rounded value, in units of the last place."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from lstm_native._core import testing


def float64_sigmoid(x: NDArray[np.float64]) -> NDArray[np.float64]:
    # Two forms, so that neither overflows and neither cancels.
    e = np.exp(-np.abs(x))
    return np.where(x < 0, e / (1 + e), 1 / (1 + e))


FUNCTIONS = {"sigmoid": (testing.sigmoid, float64_sigmoid), "tanh": (testing.tanh, np.tanh)}


def ordered(values: NDArray[Any]) -> NDArray[np.int64]:
    """Floats as integers in the same order, neighbours one apart; both zeros are 0."""
    integer = np.int32 if values.dtype == np.float32 else np.int64
    bits = values.view(integer).astype(np.int64)
    return np.where(bits < 0, np.iinfo(integer).min - bits, bits)


def worst_ulp(name: str, isa: str, x: NDArray[np.float32]) -> int:
    """The largest distance over `x`; NaN must give NaN, and nothing else may."""
    ours, reference = FUNCTIONS[name]
    got = ours(x, isa)
    nan = np.isnan(x)
    assert np.array_equal(np.isnan(got), nan)
    with np.errstate(all="ignore"):
        expected = reference(x.astype(np.float64)).astype(np.float32)
    distance = np.abs(ordered(got[~nan]) - ordered(expected[~nan]))
    return int(distance.max(initial=0))
