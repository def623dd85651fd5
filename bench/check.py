"""Compares an answer with the expected one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tolerances import TOLERANCES

Array = NDArray[np.floating]

NAMES = ("output", "h_n", "c_n")

# Largest absolute error allowed in float32, with values of order one.
OUR_TOLERANCE = TOLERANCES["value"].float32
# Peers may approximate the non-linearities more coarsely; a wrong gate order is off by 1e-2.
PEER_TOLERANCE = 1e-4
# Weights rounded to 11 bits, with the error carried from step to step.
FLOAT16_TOLERANCE = 1e-3


@dataclass(frozen=True)
class Verdict:
    """How an answer compares with the expected one."""

    max_abs_error: float
    problem: str = ""
    """What is wrong with the answer; empty if it is right."""


def check_answer(answer: Sequence[Array], expected: Sequence[Array], tolerance: float) -> Verdict:
    for name, got, want in zip(NAMES, answer, expected, strict=True):
        if got.shape != want.shape:
            return Verdict(float("inf"), f"{name} has shape {got.shape}, not {want.shape}")
    errors = [
        float(np.max(np.abs(got.astype(np.float64) - want)))
        for got, want in zip(answer, expected, strict=True)
    ]
    # NaN compares as false, so the question is what passes rather than what fails.
    failed = [
        f"{name} is off by {error:.1e}"
        for name, error in zip(NAMES, errors, strict=True)
        if not error <= tolerance
    ]
    problem = f"{', '.join(failed)} (allowed {tolerance:.0e})" if failed else ""
    return Verdict(float(np.max(errors)), problem)
