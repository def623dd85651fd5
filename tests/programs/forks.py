"""Forks this process in the situation that is named, and computes in parent and child.

    python forks.py SITUATION LIBRARY COUNT

The library is tests/native/team.cpp, which has parallel regions of its own. COUNT: of forks beside
threads that compute.
"""

import ctypes
import hashlib
import os
import sys
import threading
import warnings
from collections.abc import Callable

import numpy as np

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
from cancellation import hook
from lstm_native._random import generator
from own_threads import end_if_a_thread_fails, threads_left, threads_of_process
from public_calls import arrays
from shapes import Shape, make_case

# Python itself warns of forks where there are threads, from 3.12 on.
warnings.simplefilter("ignore", DeprecationWarning)

CASE = make_case(Shape("forked", 20, 8, 24, 72, 2, True), np.float32)
WAVE = make_case(Shape("wave", 40, 1, 32, 32, 4), np.float32)
PACKED, PACKED_WAVE = pack(CASE), pack(WAVE)
STREAM = lstm_native.Stream(PACKED_WAVE, num_threads=2)
NET, FLAT, GRADIENT = operator_for(CASE, 0.5), flat_weight(CASE), gradient_for(CASE, 0.5)


def run() -> bytes:
    """Return what calls of every kind compute, the same each time."""
    STREAM.reset()
    lstm_native.manual_seed(3)
    outputs, pullback = call_vjp(CASE, num_threads=3)
    results = [*outputs, *arrays(pullback(*outputs))]
    results += call_lstm(CASE, all_weights=PACKED, num_threads=2)
    results += call_lstm(WAVE, all_weights=PACKED_WAVE, num_threads=4)
    called = NET(CASE.x, CASE.h0, CASE.c0, FLAT, num_threads=2)
    results += called
    results += GRADIENT(*gradient_arguments(CASE, FLAT, called), num_threads=3)
    results += pack(CASE).unpack()
    results += [STREAM.run(WAVE.x), STREAM.step(WAVE.x[0])]
    return hashlib.sha256(b"".join(np.asarray(a).tobytes() for a in results)).digest()


def in_a_child(check: Callable[[], bool]) -> bool:
    child = os.fork()
    if child == 0:
        code = 1
        try:
            code = 0 if check() else 2
        finally:
            os._exit(code)
    return os.waitpid(child, 0)[1] == 0


def after_a_call() -> None:
    expected = run()
    assert in_a_child(lambda: run() == expected)
    assert run() == expected


def before_any_call() -> None:
    received, sent = os.pipe()
    assert in_a_child(lambda: os.write(sent, run()) > 0)
    assert os.read(received, 100) == run()


def of_a_child() -> None:
    expected = run()
    assert in_a_child(lambda: in_a_child(lambda: run() == expected))


def inside_a_thread() -> None:
    expected = run()
    same = []

    def fork() -> None:
        run()
        same.append(in_a_child(lambda: run() == expected))

    forker = threading.Thread(target=fork)
    forker.start()
    forker.join()
    assert same == [True]
    assert run() == expected


def forks_beside(work: Callable[[], object], check: Callable[[], bool], count: int) -> None:
    """Fork while two other threads do the work over and over."""
    done = threading.Event()

    def repeat() -> None:
        while not done.is_set():
            work()

    threads = [threading.Thread(target=repeat) for _ in range(2)]
    for thread in threads:
        thread.start()
    same = [in_a_child(check) for _ in range(count)]
    done.set()
    for thread in threads:
        thread.join()
    assert all(same)
    assert check()


def while_others_compute() -> None:
    expected = run()

    def work() -> None:
        call_lstm(CASE, num_threads=2)
        call_lstm(CASE, dropout=0.5, train=True, num_threads=3)

    forks_beside(work, lambda: run() == expected, int(sys.argv[3]))


def while_others_are_in_blas() -> None:
    # Small products: OpenBLAS's lock is a good part of their time, at least with its kernels for
    # old CPUs.
    many = make_case(Shape("many", 1, 2, 8, 8, 400), np.float32)
    outputs, pullback = call_vjp(many, num_threads=1)

    def gradient() -> bytes:
        (d_input,) = arrays(pullback(*outputs, needs=["input"]))
        return bytes(d_input)

    expected = gradient()
    forks_beside(gradient, lambda: gradient() == expected, int(sys.argv[3]))


def while_another_draws_masks() -> None:
    expected = run()
    held, leave = threading.Event(), threading.Event()

    def hold() -> None:
        with generator._lock:
            held.set()
            leave.wait()

    holder = threading.Thread(target=hold)
    holder.start()
    held.wait()
    assert in_a_child(lambda: run() == expected)
    leave.set()
    holder.join()


def while_another_uses_a_stream() -> None:
    # In the child, it is in the middle of a step for ever.
    inside, leave = threading.Event(), threading.Event()

    def hold(_place: str, _work: int) -> None:
        inside.set()
        leave.wait()

    def use() -> None:
        with hook(hold):
            STREAM.run(WAVE.x)

    def is_refused() -> bool:
        try:
            STREAM.step(WAVE.x[0])
        except RuntimeError as error:
            return "in use by another thread" in str(error)
        return False

    user = threading.Thread(target=use)
    user.start()
    inside.wait()
    refused = in_a_child(is_refused)
    leave.set()
    user.join()
    assert refused


def has_threads_of_its_own() -> None:
    # libgomp's own, which would hang there, end at the fork.
    call_lstm(CASE, num_threads=3)

    def check() -> bool:
        before = threads_of_process()
        call_lstm(CASE, num_threads=3)
        return (before, threads_left(3)) == (1, 3)

    assert all(in_a_child(check) for _ in range(3))
    assert in_a_child(lambda: in_a_child(check))
    assert run() == run()


IN_PYTHON = ctypes.CFUNCTYPE(None, ctypes.c_int)


def by_the_leader_of_anothers_region(inside: bool) -> None:
    team = ctypes.CDLL(sys.argv[2]).in_a_team
    received, sent = os.pipe()
    well = []

    def fork(index: int = 0) -> None:
        if index == 0:
            well.append(in_a_child(lambda: os.write(sent, run()) > 0))

    if inside:
        team(2, 2, IN_PYTHON(fork))
    else:
        team(2, 2, IN_PYTHON(lambda _: None))
        fork()
    assert well == [True]
    assert os.read(received, 100) == run()


SITUATIONS: dict[str, Callable[[], None]] = {
    "after a call": after_a_call,
    "before any call": before_any_call,
    "of a child": of_a_child,
    "inside a thread": inside_a_thread,
    "while others compute": while_others_compute,
    "while others are in BLAS": while_others_are_in_blas,
    "while another draws masks": while_another_draws_masks,
    "while another uses a stream": while_another_uses_a_stream,
    "has threads of its own": has_threads_of_its_own,
    "after leading another's region": lambda: by_the_leader_of_anothers_region(inside=False),
    "inside another's region": lambda: by_the_leader_of_anothers_region(inside=True),
}

if __name__ == "__main__":
    end_if_a_thread_fails()
    SITUATIONS[sys.argv[1]]()
