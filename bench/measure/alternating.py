"""Measures what calls cost that alternate with PyTorch's in one process.

python -m bench.measure.alternating [--threads N ...]
"""

from __future__ import annotations

import argparse
import itertools
import time
from collections.abc import Callable

import numpy as np
import torch

import lstm_native
from bench.measure.calls import backward_call, packed_call, plain_call
from bench.measure.machine import default_threads
from bench.report.markdown import table
from bench.report.verdict import exit_status, verdict
from shapes import Shape, make_case

SHAPES = (
    Shape("stream", 100, 1, 64, 128),
    Shape("wide stream", 100, 1, 256, 512),
    Shape("batch", 100, 16, 64, 128),
    Shape("large batch", 50, 64, 256, 256),
)
# The time of our calls between PyTorch's, as a multiple of that without PyTorch's.
MOST_RATIO = 1.3
_ROUNDS = 7
_SECONDS = 0.1


def our_time(ours: Callable[[], object], other: Callable[[], object] | None) -> float:
    """Seconds of one of our calls, on average over some time."""
    spent, calls = 0.0, 0
    end = time.perf_counter() + _SECONDS
    while time.perf_counter() < end:
        if other is not None:
            other()
        start = time.perf_counter()
        ours()
        spent += time.perf_counter() - start
        calls += 1
    return spent / calls


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--threads", type=int, nargs="+", default=default_threads(), metavar="N")
    rows = []
    for threads in parser.parse_args().threads:
        lstm_native.set_num_threads(threads)
        torch.set_num_threads(threads)
        left, right = torch.rand(200, 200), torch.rand(200, 200)
        for shape in SHAPES:
            case = make_case(shape, np.float32)
            kinds = {
                "packed": packed_call(case),
                "plain": plain_call(case),
                "backward": backward_call(case),
            }
            module = torch.nn.LSTM(shape.input_size, shape.hidden_size).eval()
            features = torch.from_numpy(case.x)

            def product(left: torch.Tensor = left, right: torch.Tensor = right) -> None:
                torch.mm(left, right)

            def same(module: torch.nn.LSTM = module, features: torch.Tensor = features) -> None:
                with torch.inference_mode():
                    module(features)

            for (kind, ours), (name, other) in itertools.product(
                kinds.items(), (("product", product), ("the same LSTM", same))
            ):
                pairs = [(our_time(ours, None), our_time(ours, other)) for _ in range(_ROUNDS)]
                alone, between = (min(times) for times in zip(*pairs, strict=True))
                times = [f"{alone * 1e6:.1f} us", f"{between * 1e6:.1f} us"]
                ratio = between / alone
                judged = [f"{ratio:.2f}", verdict(ratio <= MOST_RATIO)]
                rows.append([shape.label, kind, name, str(threads), *times, *judged])
    print("Our calls with one of PyTorch's before each, beside ours alone:\n")
    header = ["T,N,I/H", "", "between", "threads", "alone", "alternating", "ratio", ""]
    print(table(header, rows, left=3))
    return exit_status(rows)


if __name__ == "__main__":
    raise SystemExit(main())
