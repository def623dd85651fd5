"""Prints by how many bytes a process grows when it has made twice as many calls as before.

    python long_lives.py {random,new} CALLS

Two numbers: the core's, by tests/native/allocations.cpp, which must be loaded first; and Python's
and NumPy's, by tracemalloc. Random calls are of twelve kinds, a quarter of them wrong.
"""

import contextlib
import ctypes
import gc
import sys
import tracemalloc
import warnings
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

import lstm_native
from calls import (
    call_lstm,
    call_vjp,
    flat_weight,
    gradient_arguments,
    gradient_for,
    operator_for,
    pack,
)
from own_threads import threads_left, threads_of_process
from shapes import Case, Shape, make_case
from validation_cases import MISTAKES

warnings.filterwarnings("ignore", "dropout")
SHIM = ctypes.CDLL(None)
SHIM.bytes_live.restype = ctypes.c_longlong
THREADS = (1, 2, 3)
POOL = lstm_native.MemoryPool()


def random_shape(rng: np.random.Generator) -> Shape:
    largest = (12, 24, 40, 70, 3)
    T, N, I, H, L = (int(rng.integers(1, top + 1)) for top in largest)  # noqa: E741
    return Shape("random", T, N, I, H, L, bool(rng.integers(2)))


def one_of_many_mistakes(_case: Case, rng: np.random.Generator, **_: Any) -> None:
    with pytest.raises((TypeError, ValueError, OverflowError, MemoryError)):
        MISTAKES[rng.integers(len(MISTAKES))].run()


def wrong_shape(case: Case, _rng: np.random.Generator, **options: Any) -> None:
    with pytest.raises(ValueError, match="input"):
        call_lstm(case, input=case.x[..., None], **options)


def with_lengths(case: Case, rng: np.random.Generator, **options: Any) -> None:
    lengths = rng.integers(0, case.shape.seq_len + 1, case.shape.batch).tolist()
    call_lstm(case, lengths=lengths, **options)


def trained(case: Case, rng: np.random.Generator, **options: Any) -> None:
    recompute = bool(rng.integers(2))
    outputs, pullback = call_vjp(case, recompute=recompute, dropout=0.5, **options)
    pullback(*outputs)


def trained_in_a_pool(case: Case, rng: np.random.Generator, **options: Any) -> None:
    with POOL:
        trained(case, rng, **options)
    if rng.integers(8) == 0:
        POOL.clear()


def trained_operator(case: Case, _rng: np.random.Generator, **options: Any) -> None:
    """The operator, its gradients at once and in halves."""
    flat = flat_weight(case)
    results = operator_for(case, 0.5)(case.x, case.h0, case.c0, flat, **options)
    gradient, given = gradient_for(case, 0.5), gradient_arguments(case, flat, results)
    *_, reserve, state = results
    gradient(*given, **options)
    workspace = gradient.data(*given, **options)[3]
    gradient.weights(case.x, reserve, workspace, state, **options)


def streamed(case: Case, _rng: np.random.Generator, **options: Any) -> None:
    if case.shape.bidirectional:
        return
    stream = lstm_native.Stream(pack(case), case.shape.batch, **options)
    for steps in (1, 3, case.shape.seq_len):
        stream.run(case.x[:steps])


KINDS: tuple[Callable[..., object], ...] = (
    one_of_many_mistakes,
    one_of_many_mistakes,
    wrong_shape,
    lambda case, _, **options: call_lstm(case, **options),
    lambda case, _, **options: call_lstm(case, all_weights=pack(case), **options),
    lambda case, _, **options: call_lstm(case, dropout=0.5, train=True, **options),
    lambda case, _, **options: operator_for(case)(
        case.x, case.h0, case.c0, flat_weight(case), **options
    ),
    with_lengths,
    trained,
    trained_in_a_pool,
    trained_operator,
    streamed,
)


def random_call(rng: np.random.Generator) -> None:
    """One right call, or a wrong one."""
    case = make_case(random_shape(rng), (np.float32, np.float64)[rng.integers(2)])
    KINDS[rng.integers(len(KINDS))](case, rng, num_threads=int(rng.choice(THREADS)))


def random_calls() -> Iterator[None]:
    rng = np.random.default_rng(1)
    while True:
        random_call(rng)
        yield


def calls_of_new_shapes() -> Iterator[None]:
    """Each shape is seen once: a cache by shapes would show."""
    for hidden in range(1, 200):
        for batch in range(1, 41):
            lstm_native.explain(seq_len=2, batch=batch, input_size=3, hidden_size=hidden)
            call_lstm(make_case(Shape("new", 2, batch, 3, hidden), np.float32), num_threads=2)
            yield


def taken() -> tuple[int, int]:
    POOL.clear()  # what it holds follows what was in use of late
    gc.collect()
    return SHIM.bytes_live(), tracemalloc.get_traced_memory()[0]


# What the first of each kind imports, and enters into the interpreter's caches, is no growth.
for mistake in MISTAKES:
    with contextlib.suppress(TypeError, ValueError, OverflowError, MemoryError):
        mistake.run()

calls = {"random": random_calls, "new": calls_of_new_shapes}[sys.argv[1]]()
count = int(sys.argv[2])
tracemalloc.start()
for _ in range(count):
    next(calls)
core, python = taken()
most_threads = max(threads_of_process(), *THREADS) + 1
for _ in range(count):
    next(calls)
assert threads_left(most_threads) <= most_threads
core_later, python_later = taken()
print(core_later - core, python_later - python)
