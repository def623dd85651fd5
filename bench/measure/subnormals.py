"""Measures what states and gradients cost that have faded into subnormal numbers.

python -m bench.measure.subnormals [--threads N ...]
"""

from __future__ import annotations

import argparse
from collections.abc import Callable

import numpy as np
from numpy.typing import DTypeLike

import lstm_native
from bench.measure.calls import backward_call, packed_call
from bench.measure.machine import default_threads
from bench.measure.streams import least_us
from bench.report.markdown import table
from bench.report.verdict import exit_status, verdict
from shapes import Shape, fading_case, make_case

SHAPES = (
    Shape("stream", 1000, 1, 64, 128),
    Shape("wide stream", 200, 1, 256, 512),
    Shape("batch", 200, 16, 64, 128),
    Shape("stack", 200, 8, 32, 64, 2, True),
)
# What a fading state may cost beside an ordinary one.
MOST_RATIO = 1.5


def measure(shape: Shape, dtype: DTypeLike) -> list[list[str]]:
    """Rows of the table: forward and backward."""
    ordinary, fading = make_case(shape, dtype), fading_case(shape, dtype)
    tiny = float(np.finfo(dtype).tiny)
    rows = []
    for name, steady, faded in (
        ("forward", packed_call(ordinary), packed_call(fading)),
        (
            "backward",
            backward_call(ordinary, gradients=1.0),
            backward_call(ordinary, gradients=4.0 * tiny),
        ),
    ):

        def kept(call: Callable[[], object] = faded) -> None:
            lstm_native.set_flush_subnormals(False)
            call()
            lstm_native.set_flush_subnormals(True)

        times = least_us(steady, faded, kept)
        ratio = times[1] / times[0]
        sizes = [shape.label, np.dtype(dtype).name, name]
        shown = [f"{time / 1e3:.3f} ms" for time in times]
        ratios = f"{ratio:.2f}", f"{times[2] / times[0]:.2f}"
        rows.append([*sizes, *shown, *ratios, verdict(ratio <= MOST_RATIO)])
    return rows


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--threads", type=int, nargs="+", default=default_threads(), metavar="N")
    header = ["T,N,I/H", "dtype", "", "ordinary", "fading", "kept", "fading / ordinary", "kept", ""]
    status = 0
    for threads in parser.parse_args().threads:
        lstm_native.set_num_threads(threads)
        rows = [
            row for shape in SHAPES for dtype in (np.float32, np.float64)
            for row in measure(shape, dtype)
        ]  # fmt: skip
        print(f"threads: {threads}; kept: with set_flush_subnormals(False)\n")
        print(table(header, rows, left=3), end="\n\n")
        status |= exit_status(rows)
    return status


if __name__ == "__main__":
    raise SystemExit(main())
