"""Renders the parts of a report as Markdown tables. Single benchmarks print theirs, too."""

from __future__ import annotations

from collections.abc import Sequence

from bench.measure.results import (
    NOT_APPLICABLE,
    Limits,
    Outcome,
    ShapeResult,
    StreamLatency,
    geometric_mean,
)
from bench.peers.cases import filled_fraction
from bench.peers.variants import (
    EVEN_TRAINING,
    FADING,
    LENGTHS,
    PACKED_SEQUENCE,
    PACKED_TRAINING,
    PADDED,
    RAGGED_TRAINING,
    RECOMPUTE,
    TORCH_PACKED_SEQUENCE,
    TORCH_PACKED_TRAINING,
    TORCH_TRAINING,
    TRAINING,
)
from bench.report.contract import Row
from bench.report.markdown import format_bytes, format_ratio, format_time, table, threads_heading
from bench.report.ratios import beside_ideal, tape_share
from bench.report.verdict import verdict

# What a step of a stream may cost beyond the kernel itself.
MOST_OVERHEAD_US = 3.0


def outcome_cell(outcome: Outcome | None) -> str:
    """The time, or why there is none; a dash where none was to be expected."""
    if outcome is None or outcome.status in NOT_APPLICABLE:
        return "-"
    return outcome.status.value if outcome.min_us is None else format_time(outcome.min_us)


def render_limits(limits: Sequence[Limits]) -> str:
    """One column per number of threads, one row per instruction set or part of L1 to memory."""
    header = ["resource", *(threads_heading(one.threads) for one in limits)]
    isas = dict.fromkeys(isa for one in limits for isa in one.gflops)
    rows = [
        [f"FMA peak, {isa}", *(f"{one.gflops[isa]:.0f} GFLOP/s" for one in limits)] for isa in isas
    ]
    # With more threads a part of L3 may be too little for each to be told from L2.
    levels = [b.level for b in max((one.bandwidths for one in limits), key=len, default=())]
    rows += [[f"read, {level}", *(_bandwidth(one, level) for one in limits)] for level in levels]
    return table(header, rows)


def _bandwidth(limits: Limits, level: str) -> str:
    measured = next((b for b in limits.bandwidths if b.level == level), None)
    if measured is None:
        return "-"
    return f"{measured.gb_per_s:.0f} GB/s ({format_bytes(measured.bytes_per_thread)} each)"


def render_streams(streams: Sequence[StreamLatency]) -> str:
    header = ["H = I", "threads", "step", "step, out=", "run, per step", "kernel", "overhead", ""]
    rows = [
        [
            str(stream.hidden_size),
            str(stream.threads),
            *(
                _us(time)
                for time in (stream.step, stream.step_into, stream.run_step, stream.kernel)
            ),
            _us(stream.overhead),
            verdict(stream.overhead <= MOST_OVERHEAD_US),
        ]
        for stream in streams
    ]
    explanation = (
        "One sequence, float32. The overhead is what the slower kind of step takes beyond "
        f"the same step repeated inside the core: at most {MOST_OVERHEAD_US:g} us."
    )
    return f"{explanation}\n\n{table(header, rows, left=0)}"


def _us(time: float) -> str:
    return f"{time:.2f} us"


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
    return f"{explanation}\n\n{table(header, [_ragged_row(result) for result in results], left=2)}"


def _ragged_row(result: ShapeResult) -> list[str]:
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
        *_cells(result, times),
        *(format_ratio(ratio) for ratio in ratios),
    ]


_TRAINING_EXPLANATION = (
    "Forward and backward, for the gradients of input, states and weights; plain weights. "
    "`recompute` is `recompute=True`, with its tape beside the whole one. The gradient that fades "
    "is subnormal for most steps."
)


def render_training(results: Sequence[ShapeResult]) -> str:
    """One table of the even shapes, one of the ragged batches; of those that there are."""
    even = [result for result in results if set(EVEN_TRAINING) & set(result.outcomes)]
    ragged = [result for result in results if set(RAGGED_TRAINING) & set(result.outcomes)]
    parts = [_TRAINING_EXPLANATION]
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
            *(result.shape.name, result.shape.label),
            *_cells(result, (TRAINING, RECOMPUTE, FADING, TORCH_TRAINING)),
            format_ratio(result.ratio(TORCH_TRAINING, TRAINING)),
            format_ratio(result.ratio(RECOMPUTE, TRAINING)),
            format_ratio(tape_share(result)),
            format_ratio(result.ratio(FADING, TRAINING)),
        ]
        for result in results
    ]
    mean = _mean_ratio(results, TORCH_TRAINING, TRAINING)
    rows.append(["geometric mean", *[""] * 5, mean, "", "", ""])
    return table(header, rows, left=2)


def _ragged_table(results: Sequence[ShapeResult]) -> str:
    header = ["packed sequences", "T,N,I/H", "lstm_native", "torch", "torch / ours"]
    rows = [
        [
            *(result.shape.name, result.shape.label),
            *_cells(result, (PACKED_TRAINING, TORCH_PACKED_TRAINING)),
            format_ratio(result.ratio(TORCH_PACKED_TRAINING, PACKED_TRAINING)),
        ]
        for result in results
    ]
    mean = _mean_ratio(results, TORCH_PACKED_TRAINING, PACKED_TRAINING)
    rows.append(["geometric mean", "", "", "", mean])
    return table(header, rows, left=2)


def _cells(result: ShapeResult, names: Sequence[str]) -> list[str]:
    return [outcome_cell(result.outcomes.get(name)) for name in names]


def _mean_ratio(results: Sequence[ShapeResult], name: str, unit: str) -> str:
    ratios = [ratio for result in results if (ratio := result.ratio(name, unit)) is not None]
    return format_ratio(geometric_mean(ratios))


def render_contract(rows: Sequence[Row]) -> str:
    header = ["what", "at least", "aim", "reached", "verdict"]
    lines = [
        [row.what, _bound(row), row.aim, _reached(row), "; ".join([row.verdict, *row.figure.gaps])]
        for row in rows
    ]
    return table(header, lines, left=len(header))


def _bound(row: Row) -> str:
    if row.bound is None:
        return "-"
    return f"at most {row.bound:g}" if row.is_at_most else f"{row.bound:g}"


def _reached(row: Row) -> str:
    figure = row.figure
    return format_ratio(figure.value) + (f" ({figure.note})" if figure.note else "")
