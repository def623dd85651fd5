"""Forks in a MemoryPool: python pool_forks.py {goes on,while used}."""

import os
import sys
import threading
import warnings
from collections.abc import Callable

import numpy as np

import lstm_native
from calls import assert_same_bits, call_lstm
from shapes import Shape, make_case

warnings.simplefilter("ignore", DeprecationWarning)  # Python's own, of forks beside threads
case = make_case(Shape("forked", 50, 8, 96, 128, 2, True), np.float32)
short = make_case(Shape("short", 2, 512, 8, 16), np.float32)
pool = lstm_native.MemoryPool()


def in_a_child(work: Callable[[], None]) -> bool:
    child = os.fork()
    if child == 0:
        try:
            work()
            os._exit(0)
        finally:
            os._exit(2)
    return os.waitpid(child, 0)[1] == 0


def goes_on() -> None:
    expected = call_lstm(case)
    with pool:
        call_lstm(case)
        held = pool.nbytes

        def work() -> None:
            assert_same_bits(call_lstm(case), expected)
            assert pool.nbytes == held

        assert in_a_child(work)
        assert_same_bits(call_lstm(case), expected)


def while_used() -> None:
    done = threading.Event()

    def use() -> None:
        with pool:
            while not done.is_set():
                call_lstm(short, num_threads=1)

    def work() -> None:
        with pool:
            call_lstm(short, num_threads=1)

    thread = threading.Thread(target=use)
    thread.start()
    try:
        assert all(in_a_child(work) for _ in range(50))
    finally:
        done.set()
        thread.join()


{"goes on": goes_on, "while used": while_used}[sys.argv[1]]()
