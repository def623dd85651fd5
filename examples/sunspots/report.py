"""Compares forecasts, and prints how."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np

from sunspots.series import Array, Series


class Errors(NamedTuple):
    """Root mean square errors, in sunspot numbers."""

    learnt: float
    held_out: float


def errors_of(forecast: Array, series: Series, learnt: Series, first: int) -> Errors:
    """Compare a forecast (S,) with the series, from its step `first` on."""
    squares = (forecast - series.numbers) ** 2
    end = len(learnt.years)
    return Errors(float(np.sqrt(squares[first:end].mean())), float(np.sqrt(squares[end:].mean())))


def print_series(series: Series, learnt: Series) -> None:
    """Print what there is to learn from and to forecast."""
    years, end = series.years, len(learnt.years)
    print(
        f"Yearly sunspot numbers: {years[0]} to {years[end - 1]} to learn from, "
        f"{years[end]} to {years[-1]} held out"
    )


def print_errors(errors: Mapping[str, Errors]) -> None:
    """Print a table."""
    print("\nForecast of the next year, root mean square error in sunspot numbers")
    print(f"  {'':34s}{'learnt':>8s}{'held out':>10s}")
    for name, (learnt, held_out) in errors.items():
        print(f"  {name:34s}{learnt:8.1f}{held_out:10.1f}")
