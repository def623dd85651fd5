"""Times lstm_native.torch.LSTM beside torch.nn.LSTM, and what it adds to the function it calls.

python -m bench.measure.adapter [--threads N ...] [--rounds N]
"""

from __future__ import annotations

import argparse

import numpy as np

from bench.measure.machine import default_threads
from bench.measure.results import geometric_mean
from bench.measure.side_process import run_program
from shapes import shapes_by_name

SHAPES = ("single_step_h64", "stream_h128", "forecast_h32", "sensor_batch_h64", "medium_batch_h512")
WAYS = ("training", "inference")
SECONDS_PER_TURN = 0.3
# Of the sum of a result's magnitudes, in float32.
TOLERANCE = 1e-3


def best_times(shape: str, threads: int, way: str, rounds: int) -> dict[str, float]:
    """Microseconds, minima over all turns; ValueError where the results differ."""
    best = dict.fromkeys(("module", "torch", "function"), float("inf"))
    sums: dict[str, list[float]] = {}
    for _ in range(rounds):
        for name in best:
            arguments = [name, shape, str(threads), way, str(SECONDS_PER_TURN)]
            (result,) = run_program("bench.measure.adapter_worker", arguments)
            sums[name] = result["sums"]
            best[name] = min(best[name], result["min_us"])
        for name in ("module", "torch"):
            if not np.allclose(sums[name], sums["function"], rtol=TOLERANCE):
                raise ValueError(f"{shape}, {way}: results differ: {sums}")
    return best


def report(threads: int, way: str, rounds: int) -> None:
    ratios = []
    for name in SHAPES:
        best = best_times(name, threads, way, rounds)
        ratios.append(best["torch"] / best["module"])
        print(
            f"{shapes_by_name()[name].label:16}{way:10}{threads:3} threads  "
            f"module {best['module']:10.1f} us  torch {best['torch']:10.1f} us  "
            f"ratio {ratios[-1]:5.2f}  over the function "
            f"{best['module'] - best['function']:6.1f} us",
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
