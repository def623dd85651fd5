"""Runs the same call on the CPU and on the device, and compares."""

from __future__ import annotations

from typing import Any

import numpy as np

import lstm_native
from calls import call_lstm, call_vjp
from tolerances import TOLERANCES

# A plan's steps run at once, then they are captured, then the graph is launched again.
RUNS = 3
DTYPES = (np.float32, np.float64)


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


def draw_like(arrays: Any, seed: int = 5) -> list[Any]:
    rng = np.random.default_rng(seed)
    return [rng.standard_normal(a.shape).astype(a.dtype) for a in arrays]


def flat(gradients: Any) -> list[Any]:
    d_input, (d_h, d_c), d_weights = gradients
    return [a for a in (d_input, d_h, d_c, *(d_weights or ())) if a is not None]


def assert_vjp_agrees(case: Any, runs: int = RUNS, needs: Any = None, **changes: Any) -> None:
    options = {} if needs is None else {"needs": needs}
    outputs, pullback = call_vjp(case, **changes)
    given = draw_like(outputs)
    expected = flat(pullback(*given, **options))
    for _ in range(runs):
        outputs_there, pullback_there = call_vjp(case, device="cuda", **changes)
        assert_same(outputs_there, outputs)
        assert_same(flat(pullback_there(*given, **options)), expected)


def on_device(*arrays: Any) -> list[Any]:
    return [lstm_native.cuda.to_device(array) for array in arrays]


def to_host(arrays: Any) -> list[Any]:
    return [array.to_host() for array in arrays]
