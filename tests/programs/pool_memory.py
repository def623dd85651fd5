"""What the core has taken and not given back, beside what a MemoryPool says that it holds.

Run with tests/native/allocations.cpp loaded first, which counts the core's memory.
"""

import ctypes

import numpy as np

import lstm_native
from calls import call_lstm
from shapes import Shape, make_case

shim = ctypes.CDLL(None)
shim.bytes_live.restype = ctypes.c_longlong

# Small results that are kept hold no large blocks: working memory of 8 MB, outputs of 0.1 MB.
case = make_case(Shape("wide", 50, 1, 64, 512), np.float32)
pool = lstm_native.MemoryPool()
with pool:
    outputs = [call_lstm(case)[0] for _ in range(10)]
    held, live = pool.nbytes, shim.bytes_live()
    outputs += [call_lstm(case)[0] for _ in range(10)]
    assert pool.nbytes == held
    assert shim.bytes_live() - live < 20 * outputs[0].nbytes

# What is at rest is given back.
case = make_case(Shape("wide", 40, 64, 512, 512), np.float32)
pool = lstm_native.MemoryPool()
with pool:
    call_lstm(case)
    held, live = pool.nbytes, shim.bytes_live()
    assert held > 10e6
    pool.clear()
    assert pool.nbytes == 0
    assert live - shim.bytes_live() >= held
