"""Renders a report as Markdown."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from bench.measure.results import (
    NOT_APPLICABLE,
    Limits,
    Report,
    ShapeResult,
    Status,
    geometric_mean,
)
from bench.peers import IMPLEMENTATIONS, OURS
from bench.report.contract import judge
from bench.report.markdown import format_ratio, format_share, table, threads_heading
from bench.report.ratios import share_of_limit, speedup
from bench.report.tables import (
    outcome_cell,
    render_contract,
    render_limits,
    render_ragged,
    render_streams,
    render_training,
)


def render(report: Report, picture: str = "") -> str:
    """The circumstances, the limits, tables per number of threads, then what is missing."""
    sections = [_circumstances(report, picture)]
    if report.limits:
        sections += ["## Limits of the machine", render_limits(report.limits)]
    for threads in sorted({result.threads for result in report.results}):
        sections += _thread_sections(report, threads)
    if report.streams:
        sections += ["## Streams, step by step", render_streams(report.streams)]
    missing = [*_omissions(report), *_problems(report)]
    if missing:
        sections += ["## Not timed", "\n".join(missing)]
    return "\n\n".join(sections) + "\n"


def _circumstances(report: Report, picture: str) -> str:
    context = report.context
    machine, commit = context["machine"], context["commit"]
    versions = [
        f"{package} {version}"
        for packages in context["versions"].values()
        for package, version in packages.items()
    ]
    dirty = " with uncommitted changes" if commit["dirty"] else ""
    load = context["load_average_before"]
    lines = [
        "# LSTM inference and training, float32",
        "",
        f"- CPU: {machine['cpu']}, {machine['cores']} cores, {_caches(machine['caches'])}",
        f"- load average before: {'unknown' if load is None else format(load, '.2f')}",
        f"- commit: {commit['hash']}{dirty}, {context['date']}",
        f"- versions: {', '.join(dict.fromkeys(versions))}",
        f"- {OURS}: {_build(context['config'].get(OURS, {}))}",
        f"- command: `{context['command']}`",
        "",
        f"Times are minima over all rounds; **bold** is the best peer. The column best peer / ours "
        f"is its time divided by that of {OURS} with packed weights: above 1 we are faster. The "
        "last one is the least time over ours, as the roofline estimates it from the machine's "
        "measured limits (`bench/report/roofline.py`). The estimate is rough with weights beyond "
        "L2, and where other work slowed the measuring of the limits: above 100 % is possible.",
    ]
    if picture:
        lines += ["", f"![Speed relative to the best peer, and beside the limits]({picture})"]
    return "\n".join(lines)


def _build(config: Mapping[str, Any]) -> str:
    """Our instruction set and BLAS, as far as our configuration tells."""
    isa = (config.get("isa") or {}).get("in_use", "unknown")
    blas = config.get("blas") or {}
    parts = [str(blas[key]) for key in ("name", "version", "kernel") if blas.get(key)]
    return f"ISA in use {isa}, BLAS {' '.join(parts) or 'unknown'}"


def _caches(caches: dict[str, str]) -> str:
    return ", ".join(f"{name} {size}" for name, size in caches.items()) or "caches unknown"


def _thread_sections(report: Report, threads: int) -> Iterator[str]:
    results = [result for result in report.results if result.threads == threads]
    main = [name for name in report.implementations if name in IMPLEMENTATIONS]
    yield f"## {threads_heading(threads)}"
    yield _shapes_table(results, main, report.limits_with(threads))
    if report.variants:
        yield f"### Variants of {OURS}, {threads_heading(threads)}"
        yield "In parentheses: the best peer's time divided by the variant's."
        yield _variants_table(results, [OURS, *report.variants])
    ragged = [result for result in report.ragged if result.threads == threads]
    if ragged:
        yield f"### Ragged batches, {threads_heading(threads)}"
        yield render_ragged(ragged)
    training = [result for result in report.training if result.threads == threads]
    if training:
        yield f"### Training, {threads_heading(threads)}"
        yield render_training(training)
    yield f"### What must be reached, {threads_heading(threads)}"
    yield render_contract(judge(report, threads))


def _shapes_table(
    results: Sequence[ShapeResult], names: Sequence[str], limits: Limits | None
) -> str:
    header = ["shape", "T,N,I/H", *names, "best peer / ours", "of the limit"]
    rows = [_shape_row(result, names, limits) for result in results]
    return table(header, [*rows, _mean_row(results, names)], left=2)


def _shape_row(result: ShapeResult, names: Sequence[str], limits: Limits | None) -> list[str]:
    best = result.best_peer()
    cells = [outcome_cell(result.outcomes.get(name)) for name in names]
    cells = [f"**{c}**" if name == best else c for name, c in zip(names, cells, strict=True)]
    share = format_share(share_of_limit(result, OURS, limits))
    return [result.shape.name, result.shape.label, *cells, _speedup(result, OURS), share]


def _speedup(result: ShapeResult, name: str) -> str:
    return format_ratio(speedup(result, name))


def _mean_row(results: Sequence[ShapeResult], names: Sequence[str]) -> list[str]:
    """Geometric means: of each peer's time over ours, then of the best peer's."""
    means = [
        "" if name == OURS else _mean([result.ratio(name, OURS) for result in results])
        for name in names
    ]
    best = _mean([speedup(result, OURS) for result in results])
    return ["geometric mean, peer / ours", "", *means, best, ""]


def _mean(ratios: Sequence[float | None]) -> str:
    return format_ratio(geometric_mean([ratio for ratio in ratios if ratio is not None]))


def _variants_table(results: Sequence[ShapeResult], names: Sequence[str]) -> str:
    rows = [
        [result.shape.name, result.shape.label, *(_variant_cell(result, name) for name in names)]
        for result in results
    ]
    means = [_mean([speedup(result, name) for result in results]) for name in names]
    rows.append(["geometric mean over its shapes", "", *means])
    return table(["shape", "T,N,I/H", *names], rows, left=2)


def _variant_cell(result: ShapeResult, name: str) -> str:
    text = outcome_cell(result.outcomes.get(name))
    return text if result.time_us(name) is None else f"{text} ({_speedup(result, name)})"


def _omissions(report: Report) -> Iterator[str]:
    return (f"- {part}: {reason}" for part, reason in report.omissions.items())


def _problems(report: Report) -> Iterator[str]:
    """One line per implementation and reason, with the shapes that it concerns."""
    results = (*report.results, *report.ragged, *report.training)
    concerned: dict[tuple[str, Status, str], list[str]] = {}
    candidates: dict[str, int] = {}
    for result in results:
        for name, outcome in result.outcomes.items():
            candidates[name] = candidates.get(name, 0) + 1
            if outcome.status is not Status.OK:
                where = f"{result.shape.name} ({result.threads})"
                concerned.setdefault((name, outcome.status, outcome.detail), []).append(where)
    for (name, status, detail), places in concerned.items():
        first_line, *further_lines = f"{name}, {status.value}: {detail}".splitlines()
        # What doesn't apply depends only on the shape; the tables show a dash.
        is_obvious = status in NOT_APPLICABLE or len(places) == candidates[name]
        yield f"- {first_line}" + ("" if is_obvious else f"; shapes (threads): {', '.join(places)}")
        yield from (f"      {line}" for line in further_lines)
