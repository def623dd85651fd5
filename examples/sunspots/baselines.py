"""Forecasts each year from the years before it without an LSTM."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from sunspots.series import Array, Scale, Series

CYCLE_YEARS = 11
LINEAR_YEARS = 9

LINEAR = f"linear in the {LINEAR_YEARS} years before"


def naive_forecasts(series: Series) -> Mapping[str, Array]:
    """Return the naive forecasts by name: sunspot numbers (S,), NaN where there is none."""
    return {
        "the year before": years_before(series.numbers, 1),
        "one cycle of 11 years before": years_before(series.numbers, CYCLE_YEARS),
    }


def years_before(numbers: Array, years: int) -> Array:
    """Forecast each of the numbers (S,) to be the one of ``years`` years before."""
    return np.concatenate([np.full(years, np.nan), numbers[:-years]])


def linear_forecast(series: Series, learnt: Series, scale: Scale) -> Array:
    """Forecast sunspot numbers (S,) by autoregression, fitted to the years learnt from.

    Nine years are what the literature on this series settled on; of the same roots as the LSTM.
    """
    # Imported here, so that its absence can be reported.
    from statsmodels.tsa.ar_model import AutoReg  # noqa: PLC0415

    def model(part: Series) -> AutoReg:
        return AutoReg(scale.values(part.numbers).astype(np.float64), LINEAR_YEARS)

    values = model(series).predict(model(learnt).fit().params, start=LINEAR_YEARS)
    return np.concatenate([np.full(LINEAR_YEARS, np.nan), scale.numbers(values)])
