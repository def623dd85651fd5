"""Times training, forward and backward, beside PyTorch: each in its own process, taking turns.

python -m bench.training [--threads N ...] [--rounds N]
"""

from __future__ import annotations

import argparse

import numpy as np

from bench.machine import default_threads
from bench.ragged_batches import RAGGED_SHAPES
from bench.results import geometric_mean
from bench.side_process import run_program
from shapes import Shape, shapes_by_name

EVEN = (
    *("forecast_h32", "stream_h128", "sensor_batch_h64", "small_batch_h512", "medium_batch_h512"),
    *("large_batch_h512", "large_batch_h1024", "stream_h1536"),
)
SECONDS_PER_TURN = 0.5
# Of the sum of a gradient's magnitudes, in float32.
TOLERANCE = 1e-3


def best_times(shape: Shape, threads: int, way: str, rounds: int) -> dict[str, float]:
    """Microseconds, minima over all turns; ValueError where the gradients differ."""
    best = dict.fromkeys(("ours", "torch"), float("inf"))
    sums: dict[str, list[float]] = {}
    for _ in range(rounds):
        for name in best:
            arguments = [name, shape.name, str(threads), way, str(SECONDS_PER_TURN)]
            (result,) = run_program("bench.training_worker", arguments)
            sums[name] = result["sums"]
            best[name] = min(best[name], result["min_us"])
        if not np.allclose(sums["ours"], sums["torch"], rtol=TOLERANCE):
            raise ValueError(f"{shape.name}: gradients differ: {sums}")
    return best


def report(shapes: list[Shape], threads: int, way: str, rounds: int) -> None:
    ratios = []
    for shape in shapes:
        best = best_times(shape, threads, way, rounds)
        ratios.append(best["torch"] / best["ours"])
        print(
            f"{shape.label:24}{way:8}{threads:3} threads  ours {best['ours'] / 1e3:9.3f} ms  "
            f"torch {best['torch'] / 1e3:9.3f} ms  ratio {ratios[-1]:.2f}",
            flush=True,
        )
    print(f"{way}, {threads} threads: geometric mean {geometric_mean(ratios):.2f}\n", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--threads", type=int, nargs="+", default=default_threads(), metavar="N")
    parser.add_argument("--rounds", type=int, default=3, metavar="N")
    arguments = parser.parse_args()
    even = [shapes_by_name()[name] for name in EVEN]
    for threads in arguments.threads:
        report(even, threads, "even", arguments.rounds)
        report(list(RAGGED_SHAPES), threads, "ragged", arguments.rounds)


if __name__ == "__main__":
    main()
