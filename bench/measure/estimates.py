"""Holds the least time that `explain` gives against what calls take.

python -m bench.measure.estimates [--threads N ...]

Exit status 1 where a call takes less than `explain` allows.
"""

from __future__ import annotations

import argparse

import lstm_native
from bench.measure.calls import packed_call
from bench.measure.machine import default_threads
from bench.measure.timing import time_turn
from bench.report.markdown import format_time, table
from bench.report.verdict import exit_status, verdict
from shapes import BENCH_SHAPES, Shape, make_case

_TURNS = 3
_TURN_MS = 100.0


def row_of(shape: Shape, threads: int) -> list[str]:
    case = make_case(shape)
    call = packed_call(case, threads)
    about = lstm_native.explain(
        seq_len=shape.seq_len,
        batch=shape.batch,
        input_size=shape.input_size,
        hidden_size=shape.hidden_size,
        num_layers=shape.num_layers,
        bidirectional=shape.bidirectional,
        num_threads=threads,
    )
    allowed = 1e6 * about.seconds
    taken = min(time_turn(call, _TURN_MS, 3).min_us for _ in range(_TURNS))
    share = f"{allowed / taken:.2f}"
    return [
        shape.label, str(threads), format_time(allowed), format_time(taken), share,
        verdict(allowed <= taken),
    ]  # fmt: skip


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--threads", type=int, nargs="+", default=default_threads(), metavar="N")
    given = parser.parse_args()
    rows = [row_of(shape, threads) for threads in given.threads for shape in BENCH_SHAPES]
    print("The least time by `explain` beside the least of calls with packed weights:\n")
    print(table(["T,N,I/H", "threads", "explain", "call", "ratio", ""], rows, left=1))
    return exit_status(rows)


if __name__ == "__main__":
    raise SystemExit(main())
