"""Renders the times of forward and backward."""

from __future__ import annotations

from collections.abc import Sequence

from bench.markdown import format_ratio, format_time, table
from bench.ratios import tape_share
from bench.results import NOT_APPLICABLE, ShapeResult, geometric_mean
from bench.variants import (
    EVEN_TRAINING,
    FADING,
    PACKED_TRAINING,
    RAGGED_TRAINING,
    RECOMPUTE,
    TORCH_PACKED_TRAINING,
    TORCH_TRAINING,
    TRAINING,
)

_EXPLANATION = (
    "Forward and backward, for the gradients of input, states and weights; plain weights. "
    "`recompute` is `recompute=True`, with its tape beside the whole one. The gradient that fades "
    "is subnormal for most steps."
)


def render_training(results: Sequence[ShapeResult]) -> str:
    """One table of the even shapes, one of the ragged batches; of those that there are."""
    even = [result for result in results if set(EVEN_TRAINING) & set(result.outcomes)]
    ragged = [result for result in results if set(RAGGED_TRAINING) & set(result.outcomes)]
    parts = [_EXPLANATION]
    if even:
        parts.append(_even_table(even))
    if ragged:
        parts.append(_ragged_table(ragged))
    return "\n\n".join(parts)


def _even_table(results: Sequence[ShapeResult]) -> str:
    header = [
        *("shape", "T,N,I/H", "lstm_native", "recompute", "fading", "torch"),
        *("torch / ours", "recompute / ours", "its tape", "fading / ours"),
    ]
    rows = [
        [
            *_cells(result, (TRAINING, RECOMPUTE, FADING, TORCH_TRAINING)),
            format_ratio(result.ratio(TORCH_TRAINING, TRAINING)),
            format_ratio(result.ratio(RECOMPUTE, TRAINING)),
            format_ratio(tape_share(result)),
            format_ratio(result.ratio(FADING, TRAINING)),
        ]
        for result in results
    ]
    mean = _mean(results, TORCH_TRAINING, TRAINING)
    rows.append(["geometric mean", *[""] * 5, mean, "", "", ""])
    return table(header, rows, left=2)


def _ragged_table(results: Sequence[ShapeResult]) -> str:
    header = ["packed sequences", "T,N,I/H", "lstm_native", "torch", "torch / ours"]
    rows = [
        [
            *_cells(result, (PACKED_TRAINING, TORCH_PACKED_TRAINING)),
            format_ratio(result.ratio(TORCH_PACKED_TRAINING, PACKED_TRAINING)),
        ]
        for result in results
    ]
    mean = _mean(results, TORCH_PACKED_TRAINING, PACKED_TRAINING)
    rows.append(["geometric mean", "", "", "", mean])
    return table(header, rows, left=2)


def _cells(result: ShapeResult, names: Sequence[str]) -> list[str]:
    return [result.shape.name, result.shape.label, *(_cell(result, name) for name in names)]


def _cell(result: ShapeResult, name: str) -> str:
    outcome = result.outcomes.get(name)
    if outcome is None or outcome.min_us is not None or outcome.status in NOT_APPLICABLE:
        return format_time(result.time_us(name))
    return outcome.status.value


def _mean(results: Sequence[ShapeResult], name: str, unit: str) -> str:
    ratios = [ratio for result in results if (ratio := result.ratio(name, unit)) is not None]
    return format_ratio(geometric_mean(ratios))
