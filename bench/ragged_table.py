"""Renders the times of ragged batches."""

from __future__ import annotations

from collections.abc import Sequence

from bench.markdown import format_ratio, format_time, table
from bench.ragged_batches import filled_fraction
from bench.ratios import beside_ideal
from bench.results import ShapeResult
from bench.variants import LENGTHS, PACKED_SEQUENCE, PADDED, TORCH_PACKED_SEQUENCE


def render_ragged(results: Sequence[ShapeResult]) -> str:
    header = [
        "shape",
        "T,N,I/H",
        "filled",
        "padded",
        "packed sequence",
        "lengths=",
        "torch packed",
        "packed / ideal",
        "lengths / ideal",
        "torch / ours, packed",
    ]
    explanation = (
        "Batches of sequences of different lengths; ideal is the padded batch's time, times the "
        "filled fraction of its rows."
    )
    return f"{explanation}\n\n{table(header, [_row(result) for result in results], left=2)}"


def _row(result: ShapeResult) -> list[str]:
    times = (PADDED, PACKED_SEQUENCE, LENGTHS, TORCH_PACKED_SEQUENCE)
    ratios = (
        beside_ideal(result, PACKED_SEQUENCE),
        beside_ideal(result, LENGTHS),
        result.ratio(TORCH_PACKED_SEQUENCE, PACKED_SEQUENCE),
    )
    return [
        result.shape.name,
        result.shape.label,
        format_ratio(filled_fraction(result.shape)),
        *(_cell(result, name) for name in times),
        *(format_ratio(ratio) for ratio in ratios),
    ]


def _cell(result: ShapeResult, name: str) -> str:
    outcome = result.outcomes.get(name)
    if outcome is None or outcome.min_us is not None:
        return format_time(result.time_us(name))
    return outcome.status.value
