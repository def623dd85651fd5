"""Reads the series, and brings it into the form in which it is learnt."""

# statsmodels is imported where it is used, so that its absence can be reported.
# ruff: noqa: PLC0415

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]


class Series(NamedTuple):
    """The mean sunspot number (S,) of each year (S,), in the order of the years."""

    years: Array
    numbers: Array

    def until(self, year: int) -> Series:
        """Return the part up to `year`, included."""
        end = int(np.searchsorted(self.years, year, side="right"))
        return Series(self.years[:end], self.numbers[:end])


def load_series() -> Series:
    """Read the yearly sunspot numbers, 1700 to 2008, that statsmodels carries."""
    from statsmodels.datasets import sunspots

    data = sunspots.load_pandas().data
    return Series(data["YEAR"].to_numpy().astype(int), data["SUNACTIVITY"].to_numpy())


class Scale:
    """Square roots of sunspot numbers, in units of their deviation in the years learnt from.

    Roots, because strong cycles scatter more than weak ones. Zero stays zero, so that a cycle of
    another strength is the same values times a factor.
    """

    def __init__(self, learnt: Array) -> None:
        self._unit = np.sqrt(learnt).std()

    def values(self, numbers: Array) -> Array:
        """Map sunspot numbers to float32 values of the same shape."""
        values: Array = (np.sqrt(numbers) / self._unit).astype(np.float32)
        return values

    def numbers(self, values: Array) -> Array:
        """Map values back to sunspot numbers; there are none below zero."""
        numbers: Array = np.square(np.maximum(values, 0) * self._unit, dtype=np.float64)
        return numbers
