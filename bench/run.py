"""Runs the benchmark from the command line."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Sequence
from contextlib import closing
from pathlib import Path

from bench.circumstances import describe_run
from bench.crew import Crew
from bench.machine import cpu_slug
from bench.options import Options, parse
from bench.peers import OURS
from bench.results import Report, ShapeResult, Status
from bench.rounds import measure
from bench.table import format_time, render


def main(argv: Sequence[str] | None = None) -> int:
    """Return 1 if our own implementation was not timed on every shape."""
    arguments = sys.argv[1:] if argv is None else list(argv)
    options = parse(arguments)
    context = describe_run(arguments, options.settings, options.implementations)
    results = tuple(_measure_all(options))
    report = Report(context, options.implementations, results)
    _write(report, options.out / f"{cpu_slug()}{options.name_suffix}.json")
    return 0 if all(result.outcomes[OURS].status is Status.OK for result in results) else 1


def _measure_all(options: Options) -> Iterator[ShapeResult]:
    for threads in options.threads:
        # New processes for each number of threads: some pools can't be resized once started.
        with closing(Crew(options.implementations)) as crew:
            for shape in options.shapes:
                result = measure(shape, threads, crew, options.settings)
                _tell(_progress(result))
                yield result


def _progress(result: ShapeResult) -> str:
    times = [
        f"{name} {outcome.status.value if outcome.min_us is None else format_time(outcome.min_us)}"
        for name, outcome in result.outcomes.items()
        if outcome.status is not Status.UNSUPPORTED
    ]
    return f"{result.shape.name}, threads {result.threads}: {', '.join(times)}"


def _write(report: Report, path: Path) -> None:
    table = render(report, OURS)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(report.to_json(), indent=1) + "\n", encoding="utf-8")
    path.with_suffix(".md").write_text(table, encoding="utf-8")
    print(table)
    _tell(f"written: {path}, {path.with_suffix('.md')}")


def _tell(line: str) -> None:
    print(line, file=sys.stderr, flush=True)
