"""Measures the memory of forked workers with one model, packed before the fork or in each.

python -m bench.measure.workers_memory [--workers N] [--units H]
"""

from __future__ import annotations

import argparse
import os
from pathlib import Path

import numpy as np

import lstm_native
from bench.report.markdown import format_bytes, table
from shapes import Case, Shape, make_case

_CLIENTS = 20


def shared_bytes() -> int:
    """This process's share of its memory: of what several have, its part."""
    for line in Path("/proc/self/smaps_rollup").read_text(encoding="ascii").splitlines():
        if line.startswith("Pss:"):
            return int(line.split()[1]) * 1024
    raise RuntimeError("/proc/self/smaps_rollup has no line 'Pss'")


def pack(case: Case) -> lstm_native.PackedWeights:
    return lstm_native.pack_weights(case.all_weights, case.shape.num_layers, False)


def of_workers(workers: int, case: Case, packed: lstm_native.PackedWeights | None) -> int:
    """The sum of their shares, while all of them are there and have stepped.

    packed: None where each packs by itself.
    """
    reader, writer = os.pipe()
    go, start = os.pipe()
    end, leave = os.pipe()
    children = []
    for _ in range(workers):
        child = os.fork()
        if child == 0:
            try:
                os.close(start), os.close(leave)
                weights = packed or pack(case)
                sessions = lstm_native.Sessions(weights, _CLIENTS)
                ids = [sessions.open() for _ in range(_CLIENTS)]
                sessions.step(ids, np.zeros((_CLIENTS, weights.input_size), np.float32))
                os.write(writer, b"ready   \n")
                os.read(go, 1)  # until all are ready
                os.write(writer, f"{shared_bytes():<8}\n".encode())
                os.read(end, 1)  # until all have looked
            finally:
                os._exit(0)
        children.append(child)
    os.close(writer), os.close(go), os.close(end)
    with os.fdopen(reader) as lines:
        for _ in children:
            lines.readline()
        os.close(start)
        total = sum(int(lines.readline()) for _ in children)
        os.close(leave)
    for child in children:
        os.waitpid(child, 0)
    return total


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--workers", type=int, default=3)
    parser.add_argument("--units", type=int, default=1024)
    given = parser.parse_args()
    case = make_case(Shape("workers", 1, 1, given.units, given.units, 2), np.float32)
    in_each = of_workers(given.workers, case, None)
    weights = pack(case)
    before = of_workers(given.workers, case, weights)
    print(
        f"{given.workers} forked workers, 2 layers of {given.units} units, "
        f"{format_bytes(weights.nbytes)} of packed weights, {_CLIENTS} sessions each:\n"
    )
    rows = [
        ["packed before the fork", format_bytes(before)],
        ["packed in each", format_bytes(in_each)],
    ]
    print(table(["weights", "memory of all workers"], rows))


if __name__ == "__main__":
    main()
