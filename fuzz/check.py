"""Runs one call and judges what came of it."""

from __future__ import annotations

import re
import warnings
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from tolerances import TOLERANCES

# What a call may raise; anything else, a crash, a hang or a wrong result is what fuzzing looks for.
REFUSALS = (TypeError, ValueError, MemoryError)


class FindingError(AssertionError):
    """Something that must not happen."""


def outcome(call: Callable[[], Any], names: Sequence[str]) -> Any:
    """Return what a call returns, or the exception by which it refused.

    A TypeError or ValueError must begin with the name of an argument.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            warnings.filterwarnings("ignore", "dropout: ", UserWarning)
            return call()
    except REFUSALS as refusal:
        if isinstance(refusal, MemoryError):
            return refusal
        named = re.match(r"(\w+)", str(refusal))
        if named is None or named[1] not in names:
            raise FindingError(f"an error that names no argument: {refusal!r}") from refusal
        return refusal


def refused(result: Any) -> bool:
    return isinstance(result, BaseException)


def expect(valid: bool, result: Any, what: str) -> bool:
    """Compare whether a call was refused with whether it was to be; return whether it computed."""
    if isinstance(result, MemoryError):
        return False
    if valid and refused(result):
        raise FindingError(f"{what}: a valid call was refused") from result
    if not valid and not refused(result):
        raise FindingError(f"{what}: an invalid call was accepted")
    return not refused(result)


def close(got: Sequence[Any], expected: Sequence[Any], dtype: Any, what: str) -> None:
    """Compare results with float64 ones, to the tests' tolerance where all is finite."""
    if len(got) != len(expected):
        raise FindingError(f"{what}: {len(got)} results, expected {len(expected)}")
    dtype = np.dtype(dtype).newbyteorder("=")
    tolerance = TOLERANCES["value"].of(dtype)
    for place, (ours, theirs) in enumerate(zip(got, expected, strict=True)):
        if ours.shape != theirs.shape or ours.dtype != dtype:
            raise FindingError(f"{what}: result {place} is {ours.dtype} {ours.shape}")
        finite = np.isfinite(theirs)
        scale = np.maximum(np.abs(theirs), 1.0)
        with np.errstate(invalid="ignore"):
            apart = np.abs(ours - theirs) > tolerance * scale
        if (apart & finite).any() or not np.isfinite(ours[finite]).all():
            worst = np.abs(ours - theirs)[finite].max(initial=0)
            raise FindingError(f"{what}: result {place} is off by {worst}")
