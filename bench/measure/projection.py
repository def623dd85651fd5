"""Times projections of the hidden state beside torch.nn.LSTM with proj_size.

python -m bench.measure.projection [--threads N ...] [--rounds N]
"""

from __future__ import annotations

import argparse

import numpy as np

from bench.measure.machine import default_threads
from bench.measure.results import geometric_mean
from bench.measure.side_process import run_program
from shapes import Shape

# With the size of the projection: the layers of speech models (512 units to 128, 1024 to 512), and
# what one row and many need.
PROJECTED = {
    shape.name: (shape, proj_size)
    for shape, proj_size in (
        (Shape("step", 1, 1, 128, 512), 128),
        (Shape("stream", 100, 1, 128, 512), 128),
        (Shape("wide_stream", 50, 1, 512, 1024), 512),
        (Shape("small", 100, 8, 64, 128), 64),
        (Shape("batch_16", 25, 16, 128, 512), 128),
        (Shape("batch_64", 25, 64, 256, 512), 256),
        (Shape("both_directions", 50, 32, 128, 256, 2, bidirectional=True), 128),
    )
}
WAYS = ("training", "inference")
SECONDS_PER_TURN = 0.3
# Of the sum of a result's magnitudes, in float32.
TOLERANCE = 1e-3


def best_times(name: str, threads: int, way: str, rounds: int) -> dict[str, float]:
    """Microseconds, minima over all turns; ValueError where the results differ."""
    best = dict.fromkeys(("function", "torch"), float("inf"))
    sums: dict[str, list[float]] = {}
    for _ in range(rounds):
        for which in best:
            arguments = [which, name, str(threads), way, str(SECONDS_PER_TURN)]
            (result,) = run_program("bench.measure.projection_worker", arguments)
            sums[which] = result["sums"]
            best[which] = min(best[which], result["min_us"])
    if not np.allclose(sums["torch"], sums["function"], rtol=TOLERANCE):
        raise ValueError(f"{name}, {way}: results differ: {sums}")
    return best


def report(threads: int, way: str, rounds: int) -> None:
    ratios = []
    for name, (shape, proj_size) in PROJECTED.items():
        best = best_times(name, threads, way, rounds)
        ratios.append(best["torch"] / best["function"])
        print(
            f"{f'{shape.label} to {proj_size}':30}{way:10}{threads:3} threads  "
            f"lstm_native {best['function']:10.1f} us  torch {best['torch']:10.1f} us  "
            f"ratio {ratios[-1]:5.2f}",
            flush=True,
        )
    print(f"{way}, {threads} threads: geometric mean {geometric_mean(ratios):.2f}\n", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--threads", type=int, nargs="+", default=default_threads(), metavar="N")
    parser.add_argument("--rounds", type=int, default=2, metavar="N")
    arguments = parser.parse_args()
    for threads in arguments.threads:
        for way in WAYS:
            report(threads, way, arguments.rounds)


if __name__ == "__main__":
    main()
