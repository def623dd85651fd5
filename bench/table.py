"""Renders a report as Markdown."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from bench.results import Outcome, Report, ShapeResult, Status, geometric_mean


def render(report: Report, ours: str) -> str:
    """A heading with the circumstances, one table per number of threads, then what went wrong."""
    sections = [_circumstances(report, ours)]
    for threads in sorted({result.threads for result in report.results}):
        results = [result for result in report.results if result.threads == threads]
        sections.append(_thread_section(threads, results, report.implementations, ours))
    problems = list(_problems(report))
    if problems:
        sections.append("\n".join(["## Not timed", "", *problems]))
    return "\n\n".join(sections) + "\n"


def _circumstances(report: Report, ours: str) -> str:
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
        "# LSTM inference, float32",
        "",
        f"- CPU: {machine['cpu']}, {machine['cores']} cores, {_caches(machine['caches'])}",
        f"- load average before: {'unknown' if load is None else format(load, '.2f')}",
        f"- commit: {commit['hash']}{dirty}, {context['date']}",
        f"- versions: {', '.join(dict.fromkeys(versions))}",
        f"- {ours}: {_build(context['config'].get(ours, {}))}",
        f"- command: `{context['command']}`",
        "",
        "Times are minima over all rounds; **bold** is the best peer. The last column is the best "
        "peer's time divided by ours: above 1 we are faster.",
    ]
    return "\n".join(lines)


def _build(config: Mapping[str, Any]) -> str:
    """Our instruction set and BLAS, as far as our configuration tells."""
    isa = (config.get("isa") or {}).get("in_use", "unknown")
    blas = config.get("blas") or {}
    parts = [str(blas[key]) for key in ("name", "version", "kernel") if blas.get(key)]
    return f"ISA in use {isa}, BLAS {' '.join(parts) or 'unknown'}"


def _caches(caches: dict[str, str]) -> str:
    return ", ".join(f"{name} {size}" for name, size in caches.items()) or "caches unknown"


def _thread_section(
    threads: int, results: Sequence[ShapeResult], implementations: Sequence[str], ours: str
) -> str:
    header = ["shape", "T,N,I/H", *implementations, "best peer / ours"]
    rows = [_row(result, implementations, ours) for result in results]
    rows.append(_mean_row(results, implementations, ours))
    alignment = ["---", "---", *["---:"] * (len(header) - 2)]
    table = "\n".join("| " + " | ".join(row) + " |" for row in (header, alignment, *rows))
    return f"## {threads} {'thread' if threads == 1 else 'threads'}\n\n{table}"


def _row(result: ShapeResult, implementations: Sequence[str], ours: str) -> list[str]:
    best = result.best_peer(ours)
    cells = [_cell(result.outcomes.get(name), name == best) for name in implementations]
    ratio = _format_ratio(result.ratio(best, ours))
    return [result.shape.name, result.shape.label, *cells, ratio]


def _cell(outcome: Outcome | None, is_best: bool) -> str:
    if outcome is None:
        return "-"
    if outcome.min_us is None:
        return "-" if outcome.status is Status.UNSUPPORTED else outcome.status.value
    text = format_time(outcome.min_us)
    return f"**{text}**" if is_best else text


def _mean_row(
    results: Sequence[ShapeResult], implementations: Sequence[str], ours: str
) -> list[str]:
    """Geometric means: of each peer's time over ours, then of the best peer's."""
    means = [
        "" if name == ours else _format_ratio(_mean_ratio(results, [name] * len(results), ours))
        for name in implementations
    ]
    best = _mean_ratio(results, [result.best_peer(ours) for result in results], ours)
    return ["geometric mean, peer / ours", "", *means, _format_ratio(best)]


def _mean_ratio(
    results: Sequence[ShapeResult], peers: Sequence[str | None], ours: str
) -> float | None:
    ratios = [result.ratio(peer, ours) for result, peer in zip(results, peers, strict=True)]
    return geometric_mean([ratio for ratio in ratios if ratio is not None])


def _format_ratio(ratio: float | None) -> str:
    return "-" if ratio is None else f"{ratio:.2f}"


def format_time(us: float) -> str:
    """Three significant digits in the unit that suits them."""
    value, unit = (us, "us") if us < 1000 else (us / 1000, "ms")
    decimals = 2 if value < 10 else 1 if value < 100 else 0
    return f"{value:.{decimals}f} {unit}"


def _problems(report: Report) -> Iterator[str]:
    """One line per implementation and reason, with the shapes that it concerns."""
    concerned: dict[tuple[str, Status, str], list[str]] = {}
    for result in report.results:
        for name, outcome in result.outcomes.items():
            if outcome.status is not Status.OK:
                where = f"{result.shape.name} ({result.threads})"
                concerned.setdefault((name, outcome.status, outcome.detail), []).append(where)
    for (name, status, detail), places in concerned.items():
        first_line, *further_lines = f"{name}, {status.value}: {detail}".splitlines()
        # What is unsupported depends on the shape alone, and the tables' dashes show it.
        is_obvious = status is Status.UNSUPPORTED or len(places) == len(report.results)
        yield f"- {first_line}" + ("" if is_obvious else f"; shapes (threads): {', '.join(places)}")
        yield from (f"      {line}" for line in further_lines)
