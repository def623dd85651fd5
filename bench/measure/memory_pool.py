"""Measures what calls and training steps gain from a `MemoryPool`.

python -m bench.measure.memory_pool [--threads N ...]
"""

from __future__ import annotations

import argparse
from collections.abc import Callable

import numpy as np

import lstm_native
from bench.measure.machine import default_threads
from bench.measure.streams import least_us
from bench.report.markdown import table
from shapes import Case, Shape, make_case

SHAPES = (
    Shape("sensors", 50, 128, 64, 64),
    Shape("batch", 25, 16, 512, 512),
    Shape("large batch", 25, 64, 1024, 1024),
    Shape("large", 50, 1, 1536, 1536),
)


def forward_of(case: Case) -> Callable[[], object]:
    return lambda: lstm_native.lstm(
        *(case.x, (case.h0, case.c0), case.all_weights, 1, 0.0, False, False)
    )


def training_of(case: Case) -> Callable[[], object]:
    def train() -> object:
        outputs, pullback = lstm_native.lstm_vjp(
            *(case.x, (case.h0, case.c0), case.all_weights, 1, 0.0, True, False)
        )
        return pullback(outputs[0])

    return train


def measure(shape: Shape) -> list[list[str]]:
    """Rows of the table: a call with plain weights, and a training step."""
    case = make_case(shape, np.float32)
    rows = []
    for name, call in (("plain weights", forward_of(case)), ("training", training_of(case))):
        pool = lstm_native.MemoryPool()

        def in_pool(call: Callable[[], object] = call, pool: lstm_native.MemoryPool = pool) -> None:
            with pool:
                call()

        without, within = least_us(call, in_pool)
        times = [f"{time / 1e3:.3f} ms" for time in (without, within)]
        held = f"{pool.nbytes / 1e6:.1f} MB"
        rows.append([shape.label, name, *times, f"{without / within:.2f}", held])
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--threads", type=int, nargs="+", default=default_threads(), metavar="N")
    header = ["T,N,I/H", "", "without", "in a pool", "without / in", "the pool"]
    for threads in parser.parse_args().threads:
        lstm_native.set_num_threads(threads)
        rows = [row for shape in SHAPES for row in measure(shape)]
        print(f"threads: {threads}\n")
        print(table(header, rows, left=2), end="\n\n")


if __name__ == "__main__":
    main()
