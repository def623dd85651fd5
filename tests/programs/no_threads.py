"""Calls where three threads can be had: python no_threads.py THREADS..., of the calls before.

OpenMP would end the process where it gets none. Run with tests/native/scarcity.cpp loaded first.
"""

import ctypes
import sys

import numpy as np

from calls import call_lstm
from own_threads import threads_left, threads_of_process
from shapes import Shape, make_case

case = make_case(Shape("rows", 20, 64, 64, 64), np.float32)


def run(threads: int) -> bytes:
    return bytes(call_lstm(case, num_threads=threads)[0])


others = threads_of_process() - 1
expected = run(1)
for threads in map(int, sys.argv[1:]):
    run(threads)
    assert threads_left(others + threads) == others + threads
ctypes.CDLL(None).allow_threads(2)
print(run(16) == expected, run(2) == expected)
