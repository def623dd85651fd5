"""Runs the benchmark from the command line."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing
from typing import Any, TypeVar

from bench.measure.circumstances import describe_run
from bench.measure.machine import cpu_slug
from bench.measure.ragged import measure_ragged
from bench.measure.results import NOT_APPLICABLE, Report, ShapeResult, Status, StreamLatency
from bench.measure.rounds import measure
from bench.measure.side_process import SideProcessError, run_program
from bench.measure.training import measure_training
from bench.measure.workers import Crew
from bench.options import Options, parse
from bench.peers import OURS, package_of
from bench.peers.variants import RAGGED, isa_variant, narrower_isas
from bench.report.markdown import format_time
from bench.report.output import write
from bench.report.record import read_limits

_Item = TypeVar("_Item")


def main(argv: Sequence[str] | None = None) -> int:
    """Return 1 if our own implementation was not timed on every shape."""
    arguments = sys.argv[1:] if argv is None else list(argv)
    options = parse(arguments)
    begin = time.monotonic()
    context = describe_run(arguments, options.settings, options.implementations)
    report = _Run(options, context).report()
    path = options.out / f"{cpu_slug()}{options.name_suffix}.json"
    table, why_no_picture = write(report, path)
    print(table)
    _tell(f"took {(time.monotonic() - begin) / 60:.1f} minutes")
    _tell(f"written: {path}, {path.with_suffix('.md')}")
    _tell(f"no picture: {why_no_picture}" if why_no_picture else f"{path.with_suffix('.png')}")
    return 0 if all(r.outcomes[OURS].status is Status.OK for r in report.results) else 1


class _Run:
    """Measures part after part; one that fails is noted, and the others go on."""

    def __init__(self, options: Options, context: Mapping[str, Any]) -> None:
        self._options = options
        self._context = context
        self._omissions = dict(options.omissions)

    def report(self) -> Report:
        names = (*self._options.implementations, *self._isa_variants())
        # The limits first, before the others' threads and memory are about.
        limits = self._from_program("limits", read_limits)
        streams = self._from_program("streams", lambda record: StreamLatency(**record))
        results, ragged = tuple(self._shapes(names)), tuple(self._ragged())
        training = tuple(self._training())
        return Report(
            self._context, names, results, ragged, limits, streams, self._omissions, training
        )

    def _isa_variants(self) -> tuple[str, ...]:
        if "narrower-isas" in self._omissions:
            return ()
        isa = self._context["config"].get(OURS, {}).get("isa")
        if not isa:
            self._omissions["narrower-isas"] = f"{OURS} doesn't tell which ones it supports"
            return ()
        return tuple(isa_variant(narrower) for narrower in narrower_isas(isa))

    def _from_program(
        self, part: str, read: Callable[[Mapping[str, Any]], _Item]
    ) -> tuple[_Item, ...]:
        """What the program ``bench.measure.<part>`` measures, in a process of its own."""
        if part in self._omissions:
            return ()
        try:
            threads = [str(number) for number in self._options.threads]
            records = run_program(f"bench.measure.{part}", ["--threads", *threads])
        except SideProcessError as error:
            self._omissions[part] = str(error)
            _tell(f"{part}: {error}")
            return ()
        return tuple(read(record) for record in records)

    def _shapes(self, names: Sequence[str]) -> Iterator[ShapeResult]:
        for threads in self._options.threads:
            # New processes for each number of threads: some pools can't be resized once started.
            with closing(Crew(names)) as crew:
                for shape in self._options.shapes:
                    result = measure(shape, threads, crew, self._options.settings)
                    _tell(_progress(result))
                    yield result

    def _ragged(self) -> Iterator[ShapeResult]:
        if "ragged" in self._omissions:
            return
        names = [name for name in RAGGED if package_of(name) in self._options.implementations]
        for threads in self._options.threads:
            for result in measure_ragged(threads, names, self._options.settings):
                _tell(_progress(result))
                yield result

    def _training(self) -> Iterator[ShapeResult]:
        if "training" in self._omissions:
            return
        for threads in self._options.threads:
            for result in measure_training(
                threads, self._options.implementations, self._options.settings
            ):
                _tell(_progress(result))
                yield result


def _progress(result: ShapeResult) -> str:
    times = [
        f"{name} {outcome.status.value if outcome.min_us is None else format_time(outcome.min_us)}"
        for name, outcome in result.outcomes.items()
        if outcome.status not in NOT_APPLICABLE
    ]
    return f"{result.shape.name}, threads {result.threads}: {', '.join(times)}"


def _tell(line: str) -> None:
    print(line, file=sys.stderr, flush=True)
