"""The ratios that are quoted."""

from __future__ import annotations

from bench.measure.results import Limits, ShapeResult
from bench.peers.cases import filled_fraction
from bench.peers.variants import FLOAT16, PADDED, RECOMPUTE, TRAINING
from bench.report.roofline import FLOAT16_BYTES, FLOAT32_BYTES, limit_us


def speedup(result: ShapeResult, name: str) -> float | None:
    """The best peer's time over ``name``'s."""
    return result.ratio(result.best_peer(), name)


def beside_ideal(result: ShapeResult, name: str) -> float | None:
    """``name``'s time over the ideal: the padded batch's, times the filled fraction."""
    ratio = result.ratio(name, PADDED)
    return None if ratio is None else ratio / filled_fraction(result.shape)


def share_of_limit(result: ShapeResult, name: str, limits: Limits | None) -> float | None:
    """The least possible time over ``name``'s."""
    time = result.time_us(name)
    if time is None or limits is None:
        return None
    weight_bytes = FLOAT16_BYTES if name == FLOAT16 else FLOAT32_BYTES
    return limit_us(result.shape, limits, weight_bytes) / time


def tape_share(result: ShapeResult) -> float | None:
    """The tape of ``recompute=True`` over the whole one."""
    less, whole = (result.outcomes.get(name) for name in (RECOMPUTE, TRAINING))
    if less is None or whole is None or less.tape_bytes is None or whole.tape_bytes is None:
        return None
    return less.tape_bytes / whole.tape_bytes
