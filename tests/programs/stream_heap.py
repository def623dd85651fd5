"""Prints how steps of streams change the heap: python stream_heap.py {heap,calls} [results].

heap: glibc's account of it. calls: how often malloc is called, by tests/native/malloc_calls.cpp,
which must be loaded first. results: each step makes an array of its own.
"""

import ctypes
import sys

import numpy as np

import lstm_native

OF_HEAP = sys.argv[1] == "heap"
RESULTS = len(sys.argv) > 2
NAMES = "arena ordblks smblks hblks hblkhd usmblks fsmblks uordblks fordblks keepcost"


class Info(ctypes.Structure):
    _fields_ = [(name, ctypes.c_size_t) for name in NAMES.split()]


libc = ctypes.CDLL(None)
if OF_HEAP:
    libc.mallinfo2.restype = Info
else:
    libc.malloc_calls.restype = ctypes.c_long


def heap() -> list[int]:
    if not OF_HEAP:
        return [libc.malloc_calls()]
    info = libc.mallinfo2()
    return [info.arena, info.hblks, info.hblkhd, info.uordblks]


rng = np.random.default_rng(0)
for hidden, layers, batch, threads in ((13, 3, 2, 1), (33, 1, 1, 1), (264, 2, 1, 2)):
    weights = []
    for layer in range(layers):
        inputs = 5 if layer == 0 else hidden
        weights += [rng.standard_normal((4 * hidden, n)).astype("f") for n in (inputs, hidden)]
    packed = lstm_native.pack_weights(weights, layers, False, False, False, False)
    stream = lstm_native.Stream(packed, batch, num_threads=threads)
    x, out = np.ones((batch, 5), "f"), np.empty((batch, hidden), "f")
    xs, outs = np.ones((7, batch, 5), "f"), np.empty((7, batch, hidden), "f")
    step_out = None if RESULTS else out

    def work(times: int) -> None:
        for _ in range(times):
            stream.step(x, out=step_out)  # noqa: B023
            stream.run(xs, out=outs)  # noqa: B023

    work(3)
    heap()  # ctypes keeps something at its first calls, too
    heap()
    before = heap()
    work(200)
    after = heap()
    print(after == before, *(later - earlier for earlier, later in zip(before, after, strict=True)))
