"""Measures what raggedness costs: a packed batch beside the padded one of the same sequences.

A packed batch should cost the padded one's time, times the filled fraction of the padded rows.

python -m bench.ragged [--threads N]
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable

import numpy as np

from calls import call_lstm
from lstm_native import get_num_threads
from shapes import Case, Shape, make_case

# Lengths are uniform from a sixth of the longest to the longest, which fills some 0.58 of the rows.
SHAPES = (
    Shape("encoder", 100, 32, 128, 256, bidirectional=True, reason="a speech encoder's batch"),
    Shape("tagger", 200, 64, 64, 128, reason="sentences of a text tagger"),
    Shape("recogniser", 400, 16, 40, 256, bidirectional=True, reason="utterances, 10 ms frames"),
    Shape("sensor", 1000, 8, 64, 64, reason="long sensor recordings of few subjects"),
)
REPETITIONS = 15


def draw_batch_sizes(shape: Shape, seed: int = 0) -> list[int]:
    rng = np.random.default_rng(seed)
    lengths = rng.integers(shape.seq_len // 6, shape.seq_len, shape.batch, endpoint=True)
    lengths[0] = shape.seq_len
    return [int((lengths > step).sum()) for step in range(shape.seq_len)]


def fastest(runs: tuple[Callable[[], object], ...]) -> list[float]:
    """The least time of each over interleaved repetitions, in milliseconds."""
    times = [float("inf")] * len(runs)
    for _ in range(REPETITIONS):
        for k, run in enumerate(runs):
            begin = time.perf_counter()
            run()
            times[k] = min(times[k], 1e3 * (time.perf_counter() - begin))
    return times


def measure(case: Case, batch_sizes: list[int], threads: int) -> tuple[float, float]:
    packed = np.concatenate([case.x[step, :size] for step, size in enumerate(batch_sizes)])

    padded_ms, packed_ms = fastest(
        (
            lambda: call_lstm(case, num_threads=threads),
            lambda: call_lstm(case, input=packed, batch_sizes=batch_sizes, num_threads=threads),
        )
    )
    return padded_ms, packed_ms


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--threads", type=int, default=get_num_threads())
    threads = parser.parse_args().threads
    print(f"threads: {threads}; least of {REPETITIONS} interleaved runs, float32")
    print(f"{'T,N,I/H':>18}{'filled':>8}{'padded':>11}{'packed':>11}  packed / (padded x filled)")
    for shape in SHAPES:
        batch_sizes = draw_batch_sizes(shape)
        filled = sum(batch_sizes) / (shape.seq_len * shape.batch)
        padded, packed = measure(make_case(shape), batch_sizes, threads)
        ratio = packed / (padded * filled)
        print(f"{shape.label:>18}{filled:8.2f}{padded:8.1f} ms{packed:8.1f} ms{ratio:12.2f}")


if __name__ == "__main__":
    main()
