"""Calls inside another library's parallel region: python in_a_region.py LIBRARY."""

import ctypes
import sys

import numpy as np

from calls import call_lstm, call_vjp, pack
from public_calls import arrays
from shapes import Shape, make_case

case = make_case(Shape("nested", 30, 8, 24, 72, 2, True), np.float32)
packed = pack(case)


def results(threads: int) -> list[bytes]:
    outputs, pullback = call_vjp(case, num_threads=threads)
    gradients = arrays(pullback(*outputs))
    of_packed = call_lstm(case, all_weights=packed, num_threads=threads)
    return [array.tobytes() for array in (*outputs, *gradients, *of_packed)]


expected = results(1)
same: list[bool] = []


def body(_: int) -> None:
    same.append(results(2) == expected)


team = ctypes.CDLL(sys.argv[1]).in_a_team
in_python = ctypes.CFUNCTYPE(None, ctypes.c_int)(body)
body(0)  # with threads of its own first
for _ in range(5):
    team(3, 6, in_python)
body(0)
print(len(same), all(same))
