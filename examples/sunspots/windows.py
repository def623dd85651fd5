"""Draws the windows of years from which the LSTM learns."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from sunspots.series import Array

# Four cycles of the sun; the first one serves to find out where in its cycle the sun is.
WINDOW_YEARS = 44
WARM_UP_YEARS = 11
BATCH = 64

# Cycles differ in strength by more than the years learnt from show: the strongest on record is of
# 1957. So windows are made weaker and stronger, by up to this factor in sunspot numbers.
STRONGEST = 2.0


def draw_windows(values: Array, steps: int, rng: np.random.Generator) -> Iterator[Array]:
    """Yield `steps` batches of windows (T + 1, N), each of successive values (S,), times a factor.

    A window's step t is what is known, its step t + 1 what is to be forecast.
    """
    windows = np.lib.stride_tricks.sliding_window_view(values, WINDOW_YEARS + 1).T
    for _ in range(steps):
        drawn = windows[:, rng.integers(windows.shape[1], size=BATCH)]
        # The values are roots of sunspot numbers.
        exponents = rng.uniform(-0.5, 0.5, BATCH)
        yield drawn * (STRONGEST**exponents).astype(np.float32)
