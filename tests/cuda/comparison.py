"""Runs the same call on the CPU and on the device, and compares."""

from __future__ import annotations

from typing import Any

import numpy as np

import lstm_native
from calls import call_lstm, call_vjp, draw_like, flat_gradients
from tolerances import TOLERANCES

# A plan's steps run at once, then they are captured, then the graph is launched again.
RUNS = 3


def assert_same(got: Any, expected: Any) -> None:
    for ours, theirs in zip(got, expected, strict=True):
        assert ours.dtype == theirs.dtype
        assert ours.shape == theirs.shape
        scale = max(1.0, float(np.abs(theirs).max(initial=0)))
        tolerance = TOLERANCES["cuda"]
        np.testing.assert_allclose(
            ours, theirs, rtol=0, atol=scale * tolerance.of(theirs.dtype), err_msg=tolerance.reason
        )


def assert_lstm_agrees(case: Any, runs: int = RUNS, **changes: Any) -> None:
    expected = call_lstm(case, **changes)
    for _ in range(runs):
        assert_same(call_lstm(case, device="cuda", **changes), expected)


def assert_vjp_agrees(case: Any, runs: int = RUNS, needs: Any = None, **changes: Any) -> None:
    options = {} if needs is None else {"needs": needs}
    outputs, pullback = call_vjp(case, **changes)
    given = draw_like(outputs)
    expected = flat_gradients(pullback(*given, **options))
    for _ in range(runs):
        outputs_there, pullback_there = call_vjp(case, device="cuda", **changes)
        assert_same(outputs_there, outputs)
        assert_same(flat_gradients(pullback_there(*given, **options)), expected)


def on_device(*arrays: Any) -> list[Any]:
    return [lstm_native.cuda.to_device(array) for array in arrays]


def to_host(arrays: Any) -> list[Any]:
    return [array.to_host() for array in arrays]
