"""A call whose products are BLAS's, while BLAS gets no memory: {forward,backward}.

OpenBLAS would end the process. Run with tests/native/scarcity.cpp loaded first.
"""

import ctypes
import sys

import numpy as np

from calls import call_lstm, call_vjp
from public_calls import MULTIPLIED_BACK_BY_BLAS, PROJECTED_BY_BLAS
from shapes import make_case

shim = ctypes.CDLL(None)
if sys.argv[1] == "forward":
    case = make_case(PROJECTED_BY_BLAS, np.float32)

    def call() -> None:
        call_lstm(case, num_threads=1)
else:
    outputs, pullback = call_vjp(make_case(MULTIPLIED_BACK_BY_BLAS, np.float32), num_threads=1)

    def call() -> None:
        pullback(*outputs)


shim.allow_maps(ctypes.c_size_t(16 << 20))
try:
    call()
except MemoryError:
    print("MemoryError")
shim.allow_maps(ctypes.c_size_t(-1))
call()
