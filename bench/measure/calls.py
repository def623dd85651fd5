"""Calls to be timed: all that they need has been made before."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

import lstm_native
from shapes import Case


def packed_call(case: Case, num_threads: int | None = None) -> Callable[[], object]:
    shape = case.shape
    weights = lstm_native.pack_weights(case.all_weights, shape.num_layers, shape.bidirectional)
    return _forward_call(case, weights, num_threads)


def plain_call(case: Case, num_threads: int | None = None) -> Callable[[], object]:
    return _forward_call(case, case.all_weights, num_threads)


def backward_call(
    case: Case, num_threads: int | None = None, gradients: float | None = None
) -> Callable[[], object]:
    """A pullback; all given gradients are that number, or else the outputs themselves."""
    shape = case.shape
    outputs, pullback = lstm_native.lstm_vjp(
        *(case.x, (case.h0, case.c0), case.all_weights, shape.num_layers, 0.0, True),
        shape.bidirectional,
        num_threads=num_threads,
    )
    given = outputs
    if gradients is not None:
        given = tuple(np.full_like(array, gradients) for array in outputs)
    return lambda: pullback(*given)


def _forward_call(case: Case, weights: object, num_threads: int | None) -> Callable[[], object]:
    shape = case.shape
    arguments = (case.x, (case.h0, case.c0), weights, shape.num_layers, 0.0, False)
    return lambda: lstm_native.lstm(*arguments, shape.bidirectional, num_threads=num_threads)
