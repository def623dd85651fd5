"""Measures what raggedness costs: a packed batch beside the padded one of the same sequences.

python -m bench.measure.ragged [--threads N ...]
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from contextlib import closing

from bench.measure.machine import default_threads
from bench.measure.results import ShapeResult, Status
from bench.measure.rounds import Settings, measure
from bench.measure.workers import Crew
from bench.peers.cases import RAGGED_SHAPES
from bench.peers.variants import RAGGED
from bench.report.tables import render_ragged


def measure_ragged(threads: int, names: Sequence[str], settings: Settings) -> Iterator[ShapeResult]:
    with closing(Crew(names)) as crew:
        for shape in RAGGED_SHAPES:
            yield measure(shape, threads, crew, settings)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--threads", type=int, nargs="+", default=default_threads(), metavar="N")
    for threads in parser.parse_args().threads:
        results = list(measure_ragged(threads, RAGGED, Settings()))
        print(f"threads: {threads}\n\n{render_ragged(results)}\n")
        for name in RAGGED:
            outcome = results[0].outcomes[name]
            if outcome.status is not Status.OK:
                print(f"{name}, {outcome.status.value}: {outcome.detail}\n")


if __name__ == "__main__":
    main()
