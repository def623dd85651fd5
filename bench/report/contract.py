"""Judges a run by what must be reached."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial

from bench.measure.results import Report, ShapeResult
from bench.peers import OURS, PEERS
from bench.peers.cases import EVEN_TRAINING_SHAPES, RAGGED_SHAPES
from bench.peers.variants import (
    FADING,
    FLOAT16,
    ISAS,
    LENGTHS,
    PACKED_SEQUENCE,
    PACKED_TRAINING,
    PADDED,
    PLAIN,
    RECOMPUTE,
    TORCH_PACKED_SEQUENCE,
    TORCH_PACKED_TRAINING,
    TORCH_TRAINING,
    TRAINING,
    base_isa,
    is_fading_shape,
    is_float16_shape,
    is_plain_shape,
    isa_variant,
)
from bench.report.evidence import Evidence, Figure, Measure, ratio_of
from bench.report.ratios import beside_ideal, share_of_limit, speedup, tape_share
from shapes import BENCH_SHAPES, Shape


@dataclass(frozen=True)
class Row:
    """One requirement with what was reached, and the verdict."""

    what: str
    bound: float | None
    """None where nothing is required."""

    aim: str
    figure: Figure
    is_at_most: bool = False

    @property
    def verdict(self) -> str:
        value = self.figure.value
        if self.bound is None:
            return "-"
        if value is None:
            return "not judged"
        passes = value <= self.bound if self.is_at_most else value >= self.bound
        if self.figure.gaps and (passes or not self.figure.is_worst):
            return "not judged"
        return "ok" if passes else "MISSED"


_SINGLE_STEPS = {64: 2.5, 256: 1.4, 512: 1.1}


def judge(report: Report, threads: int) -> list[Row]:
    """All rows for one number of threads, whether they can be judged or not."""
    return [
        *_float32_rows(report, threads),
        *_variant_rows(report, threads),
        *_training_rows(report, threads),
    ]


def _float32_rows(report: Report, threads: int) -> Iterator[Row]:
    evidence = Evidence(report.results, threads, BENCH_SHAPES)
    ours = _speedup_of(OURS)
    share = _share_note(report, OURS, threads)
    yield Row("float32, packed weights: geometric mean", 1.5, "2", evidence.mean(ours))
    yield Row("every single shape", 1.0, "1.25", evidence.least(ours, share))
    for hidden_size, bound in _SINGLE_STEPS.items():
        steps = evidence.only(partial(_is_single_step, hidden_size=hidden_size))
        yield Row(f"T = 1, N = 1, H = {hidden_size}", bound, "the limit", steps.least(ours, share))
    large = evidence.only(lambda shape: shape.batch >= 16 and shape.hidden_size >= 256)
    aim = "80 % of the FMA peak"
    yield Row("N >= 16, H >= 256, each", 1.15, aim, large.least(ours, share))


def _variant_rows(report: Report, threads: int) -> Iterator[Row]:
    evidence = Evidence(report.results, threads, BENCH_SHAPES)

    halves = evidence.only(is_float16_shape)
    share = _share_note(report, FLOAT16, threads)
    what, aim = "N = 1, H >= 512, 16-bit weights", "the bytes' limit"
    yield Row(f"{what}: geometric mean", 1.8, aim, halves.mean(_speedup_of(FLOAT16)))
    yield Row(f"{what}: each", 1.8, aim, halves.least(_speedup_of(FLOAT16), share))

    ragged = Evidence(report.ragged, threads, RAGGED_SHAPES)
    for name, what in ((PACKED_SEQUENCE, "ragged, packed"), (LENGTHS, "ragged, lengths=")):
        ideal = Measure(partial(beside_ideal, name=name), (name, PADDED))
        figure = ragged.most(ideal)
        yield Row(f"{what}: time / (padded x filled)", 1.15, "1.05", figure, is_at_most=True)
    torch = ratio_of(TORCH_PACKED_SEQUENCE, PACKED_SEQUENCE)
    yield Row("ragged: torch packed / ours", 3.0, "6", ragged.least(torch))

    plain = evidence.only(is_plain_shape).most(ratio_of(PLAIN, OURS))
    what = "plain weights at each call, T >= 25: time / packed"
    yield Row(what, 1.1, "1.03", plain, is_at_most=True)

    for isa in _isas_to_judge(report):
        name = OURS if isa == _isa_in_use(report) else isa_variant(isa)
        is_required = isa == "avx2"
        how = "in use" if name == OURS else "forced"
        yield Row(
            f"{isa} {how}: geometric mean",
            1.0 if is_required else None,
            "1.2" if is_required else "-",
            evidence.mean(_speedup_of(name)),
        )


def _isas_to_judge(report: Report) -> list[str]:
    """AVX2, on which there is a requirement, with whatever else was forced."""
    forced = [isa for isa in ISAS if isa_variant(isa) in report.implementations]
    return list(dict.fromkeys(["avx2", *forced]))


def _isa_in_use(report: Report) -> str | None:
    config = report.context["config"].get(OURS, {})
    in_use = (config.get("isa") or {}).get("in_use")
    return None if in_use is None else base_isa(in_use)


def _is_single_step(shape: Shape, hidden_size: int) -> bool:
    return shape.seq_len == shape.batch == 1 and shape.hidden_size == hidden_size


def _speedup_of(name: str) -> Measure:
    """Against the best peer, which it is only if all of them were there."""
    return Measure(partial(speedup, name=name), (name, *PEERS))


def _share_note(report: Report, name: str, threads: int) -> Callable[[ShapeResult], str]:
    limits = report.limits_with(threads)

    def note(result: ShapeResult) -> str:
        share = share_of_limit(result, name, limits)
        return "" if share is None else f"{100 * share:.0f} % of the limit"

    return note


def _training_rows(report: Report, threads: int) -> Iterator[Row]:
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
