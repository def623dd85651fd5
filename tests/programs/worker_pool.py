"""Calls in workers of multiprocessing, which start by the method that is named."""

import multiprocessing
import sys
import warnings
from typing import Any

import numpy as np

from calls import call_lstm, call_vjp, pack
from public_calls import arrays
from shapes import Shape, make_case

warnings.simplefilter("ignore", DeprecationWarning)  # of forks beside threads
CASE = make_case(Shape("pool", 20, 8, 24, 72, 2, True), np.float32)


def work(weights: Any) -> list[bytes]:
    given = CASE.all_weights if weights is None else weights
    outputs = call_lstm(CASE, all_weights=given, num_threads=2)
    results, pullback = call_vjp(CASE, num_threads=3)
    return [a.tobytes() for a in (*outputs, *results, *arrays(pullback(*results)))]


if __name__ == "__main__":
    packed = pack(CASE)  # pickled, and packed again for the CPU that reads it
    expected = [work(None), work(packed)]
    with multiprocessing.get_context(sys.argv[1]).Pool(2) as pool:
        got = pool.map(work, [None, packed] * 6, chunksize=1)
    print(got == expected * 6)
