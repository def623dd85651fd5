"""Prints what calls take of the core's memory at most, beside what is said of them; as JSON.

Run with tests/native/allocations.cpp loaded first. Rows are of the way, the bytes taken, what
explain() says (of a forward call its workspace, of a backward one the lanes), the call's options
and sizes.
"""

import ctypes
import json
import tracemalloc
from collections.abc import Callable
from typing import Any

import numpy as np

import lstm_native
from calls import call_lstm, call_vjp, pack, transposed_weights
from shapes import Case, Shape, make_case

shim = ctypes.CDLL(None)
shim.bytes_live.restype = shim.most_bytes_live.restype = ctypes.c_longlong
rows: list[list[Any]] = []


def most_bytes(call: Callable[[], object]) -> int:
    call()
    before = int(shim.bytes_live())
    shim.watch_allocations(-1)
    call()
    shim.allocations_seen()
    return int(shim.most_bytes_live()) - before


def sizes_of(case: Case) -> list[int]:
    shape = case.shape
    return [
        *(shape.seq_len, shape.batch, shape.input_size, shape.hidden_size, shape.num_layers),
        shape.num_directions,
    ]


def forward(case: Case, x: Any, weights: Any, **call: Any) -> None:
    shape = case.shape
    states = (case.h0, case.c0)
    used = most_bytes(lambda: call_lstm(case, input=x, all_weights=weights, **call))
    arguments = (x, states, weights, shape.num_layers, 0.0, False, shape.bidirectional)
    about = lstm_native.explain(*arguments, **call)
    rows.append(["forward", used, about.workspace_bytes, call, sizes_of(case)])


def backward(case: Case, x: Any, recompute: bool, **call: Any) -> None:
    outputs, pullback = call_vjp(case, input=x, recompute=recompute, **call)
    used = most_bytes(lambda: pullback(*outputs))
    sizes: dict[str, Any] = {"seq_len": 1, "batch": 1, "input_size": 1, "hidden_size": 1}
    lanes = lstm_native.explain(**sizes, dtype=x.dtype.name).lanes
    call = {**call, "element": x.itemsize, "recompute": recompute}
    rows.append(["backward", used, lanes, call, sizes_of(case)])


rng = np.random.default_rng(1)
for k in range(24):
    T, N, I, H, L, D = (int(rng.integers(1, top + 1)) for top in (60, 40, 90, 90, 4, 2))  # noqa: E741
    if k % 5 == 0:
        I += 250  # noqa: E741 -- sums over rows then pack both factors
    shape = Shape("random", T, N, I, H, L, D == 2)
    case = make_case(shape, np.float64 if k % 3 == 0 else np.float32)
    call: dict[str, Any] = {"num_threads": int(rng.integers(1, 5))}
    x = case.x
    if k % 4 == 1:
        call["lengths"] = rng.integers(0, T + 1, N).tolist()
    if k % 4 >= 2:
        x, call["batch_first"] = np.ascontiguousarray(np.swapaxes(x, 0, 1)), True
    for weights in (case.all_weights, pack(case)):
        forward(case, x, weights, **call)
    backward(case, x, recompute=k % 2 == 1, **call)

# Whether BLAS can read the input in place decides what is packed: 8 MiB here.
for batch in (1, 8):
    case = make_case(Shape("wide", 30, batch, 2048, 256), np.float32)
    wider = np.ones((30, batch, 2051), np.float32)
    for x in (
        wider[..., :2048],
        np.repeat(case.x, 2, axis=1)[:, ::2],
        case.x[::-1],
        np.broadcast_to(case.x[:, :1], case.x.shape),
    ):
        forward(case, x, case.all_weights, num_threads=1)
case = make_case(Shape("one_step", 1, 30, 2048, 256), np.float32)
forward(case, case.x.swapaxes(0, 1).copy(), case.all_weights, num_threads=1, batch_first=True)
for batch in (2, 16):
    case = make_case(Shape("large", 4, batch, 1024, 1024), np.float32)
    forward(case, case.x, case.all_weights, num_threads=1)
transposed = {"weights_transposed": True, "num_threads": 1}
forward(case, case.x, transposed_weights(case), **transposed)

# Of few rows they are copied for the time of the call, by NumPy.
case = make_case(Shape("large", 4, 2, 1024, 1024), np.float32)
matrices = transposed_weights(case)
tracemalloc.start()
forward(case, case.x, matrices, **transposed)
copied = tracemalloc.get_traced_memory()[1] - tracemalloc.get_traced_memory()[0]
rows[-1][:2] = "copied", rows[-1][1] + copied
print(json.dumps(rows))
