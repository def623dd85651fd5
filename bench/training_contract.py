"""Judges training by what must be reached."""

from __future__ import annotations

from collections.abc import Iterator

from bench.contract_row import Row
from bench.evidence import Evidence, Measure, ratio_of
from bench.ragged_batches import RAGGED_SHAPES
from bench.ratios import tape_share
from bench.results import Report
from bench.training_cases import EVEN_TRAINING_SHAPES
from bench.variants import (
    FADING,
    PACKED_TRAINING,
    RECOMPUTE,
    TORCH_PACKED_TRAINING,
    TORCH_TRAINING,
    TRAINING,
    is_fading_shape,
)


def training_rows(report: Report, threads: int) -> Iterator[Row]:
    even = Evidence(report.training, threads, EVEN_TRAINING_SHAPES)
    torch = ratio_of(TORCH_TRAINING, TRAINING)
    what = "training, forward + backward: geometric mean against torch"
    yield Row(what, 1.8, "2.5", even.mean(torch))
    yield Row("training, every single shape", 1.15, "1.5", even.least(torch))

    ragged = Evidence(report.training, threads, RAGGED_SHAPES)
    packed = ratio_of(TORCH_PACKED_TRAINING, PACKED_TRAINING)
    yield Row("training, ragged: torch packed / ours", 8.0, "30", ragged.least(packed))

    slower = even.most(ratio_of(RECOMPUTE, TRAINING))
    yield Row("recompute=True: time / with the whole tape", 1.35, "-", slower, is_at_most=True)
    tape = even.most(Measure(tape_share, (RECOMPUTE, TRAINING)))
    yield Row("recompute=True: its tape / the whole one", 0.5, "-", tape, is_at_most=True)

    fading = even.only(is_fading_shape).most(ratio_of(FADING, TRAINING))
    what = "gradient that fades into subnormal numbers: time / a steady one's"
    yield Row(what, 1.5, "1", fading, is_at_most=True)
