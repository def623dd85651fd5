"""Gradients against central differences of the package's own results, in float64."""

import numpy as np

from calls import call_lstm, call_vjp, draw_like, flat_gradients


def assert_central_differences(case, **options):
    """Compare every element's gradient; options: of `lstm_vjp`, with a seed if it drops."""
    outputs, pullback = call_vjp(case, **options)
    given = draw_like(outputs)

    def loss():
        got = call_lstm(case, train=True, **options)
        return sum((a * b).sum() for a, b in zip(got, given, strict=True))

    step = 1e-5
    arrays = [case.x, case.h0, case.c0, *case.all_weights]
    for array, gradient in zip(arrays, flat_gradients(pullback(*given)), strict=True):
        for index in np.ndindex(array.shape):
            kept = array[index]
            array[index] = kept + step
            above = loss()
            array[index] = kept - step
            below = loss()
            array[index] = kept
            assert abs((above - below) / (2 * step) - gradient[index]) < 1e-6
