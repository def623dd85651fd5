"""Compares an answer with the expected one."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tolerances import TOLERANCES

Array = NDArray[np.floating]

NAMES = ("output", "h_n", "c_n")
_GRADIENTS = ("d_input", "d_h_0", "d_c_0")

# Largest absolute error allowed in float32, with values of order one.
OUR_TOLERANCE = TOLERANCES["value"].float32
# Peers may approximate the non-linearities more coarsely; a wrong gate order is off by 1e-2.
PEER_TOLERANCE = 1e-4
# Weights rounded to 11 bits, with the error carried from step to step.
FLOAT16_TOLERANCE = 1e-3
# Eight bits of everything; a wrong gate order is off by more.
REDUCED_TOLERANCE = 0.2

# Relative to the largest magnitude of each gradient.
OUR_GRADIENT_TOLERANCE = TOLERANCES["gradient"].float32
# As with values; a gradient that is missing, or in another's place, is off by the whole of it.
PEER_GRADIENT_TOLERANCE = 5e-4


@dataclass(frozen=True)
class Verdict:
    """How an answer compares with the expected one."""

    max_abs_error: float
    """Of output and states."""

    problem: str = ""
    """What is wrong with the answer; empty if it is right."""

    max_gradient_error: float | None = None
    """Relative to the largest magnitude of each gradient; None if there are none."""


def names_of(count: int) -> list[str]:
    """Names of an answer's arrays: output and states, then gradients if there are any."""
    weights = [f"d_weights[{index}]" for index in range(count)]
    return [*NAMES, *_GRADIENTS, *weights][:count]


def check_answer(
    answer: Sequence[Array],
    expected: Sequence[Array],
    tolerance: float,
    gradient_tolerance: float = OUR_GRADIENT_TOLERANCE,
) -> Verdict:
    names = names_of(len(expected))
    if len(answer) != len(expected):
        return Verdict(float("inf"), f"{len(answer)} arrays, not {len(expected)}")
    for name, got, want in zip(names, answer, expected, strict=True):
        if got.shape != want.shape:
            return Verdict(float("inf"), f"{name} has shape {got.shape}, not {want.shape}")
    values = len(NAMES)
    errors = [_abs_error(*pair) for pair in zip(answer[:values], expected[:values], strict=True)]
    relative = [
        _abs_error(got, want) / _scale(want, gradient_tolerance)
        for got, want in zip(answer[values:], expected[values:], strict=True)
    ]
    failed = [
        *_failed(names[:values], errors, tolerance),
        *_failed(names[values:], relative, gradient_tolerance),
    ]
    return Verdict(
        float(np.max(errors)),
        ", ".join(failed),
        float(np.max(relative)) if relative else None,
    )


def _failed(names: Sequence[str], errors: Sequence[float], tolerance: float) -> Iterator[str]:
    for name, error in zip(names, errors, strict=True):
        # NaN compares as false, so the question is what passes rather than what fails.
        if not error <= tolerance:
            yield f"{name} is off by {error:.1e} (allowed {tolerance:.0e})"


def _abs_error(got: Array, want: Array) -> float:
    return float(np.max(np.abs(got.astype(np.float64) - want)))


def _scale(want: Array, tolerance: float) -> float:
    """The largest magnitude, or the one whose tolerance is the smallest normal float32.

    Below that number everyone may count zero.
    """
    return max(float(np.max(np.abs(want))), float(np.finfo(np.float32).tiny) / tolerance)
