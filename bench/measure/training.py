"""Measures training, forward and backward, beside PyTorch: even shapes and ragged batches.

python -m bench.measure.training [--threads N ...] [--rounds N]
"""

from __future__ import annotations

import argparse
import dataclasses
from collections.abc import Collection, Iterator
from contextlib import closing

from bench.measure.machine import default_threads
from bench.measure.results import ShapeResult, Status
from bench.measure.rounds import Settings, measure
from bench.measure.workers import Crew
from bench.peers import OURS, package_of
from bench.peers.cases import EVEN_TRAINING_SHAPES, RAGGED_SHAPES
from bench.peers.variants import EVEN_TRAINING, RAGGED_TRAINING
from bench.report.tables import render_training

# Calls take several times as long as in inference, PyTorch's of packed sequences up to seconds.
_EVEN_ROUNDS, _RAGGED_ROUNDS = 5, 3


def measure_training(
    threads: int, packages: Collection[str], settings: Settings
) -> Iterator[ShapeResult]:
    """Measure those packages, in at most the number of rounds that training needs."""
    for shapes, variants, rounds, min_samples in (
        (EVEN_TRAINING_SHAPES, EVEN_TRAINING, _EVEN_ROUNDS, 2),
        (RAGGED_SHAPES, RAGGED_TRAINING, _RAGGED_ROUNDS, 1),
    ):
        names = [name for name in variants if package_of(name) in packages]
        fewer = dataclasses.replace(
            settings,
            rounds=min(rounds, settings.rounds),
            min_samples=min(min_samples, settings.min_samples),
        )
        for shape in shapes:
            # New processes for each shape, as people train one: what the C library's allocator has
            # seen before decides which memory is had from the system, page by page, at each call.
            # On two Zen 5 cores 50,128,64 took 3.6 ms by itself and 5.6 ms after smaller shapes.
            with closing(Crew(names)) as crew:
                yield measure(shape, threads, crew, fewer)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--threads", type=int, nargs="+", default=default_threads(), metavar="N")
    parser.add_argument("--rounds", type=int, default=Settings().rounds, metavar="N")
    given = parser.parse_args()
    settings = Settings(rounds=given.rounds)
    for threads in given.threads:
        results = list(measure_training(threads, (OURS, "torch"), settings))
        print(f"threads: {threads}\n\n{render_training(results)}\n", flush=True)
        for result in results:
            for name, outcome in result.outcomes.items():
                if outcome.status not in (Status.OK, Status.LEFT_OUT):
                    print(f"{result.shape.name}: {name}, {outcome.status.value}: {outcome.detail}")


if __name__ == "__main__":
    main()
