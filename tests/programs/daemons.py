"""Ends while daemon threads compute: python daemons.py WORK THREADS."""

import sys
import threading
from collections.abc import Callable

import numpy as np

import lstm_native
from calls import call_lstm, call_vjp, pack
from lstm_native._core import testing
from own_threads import end_if_a_thread_fails
from public_calls import MULTIPLIED_BACK_BY_BLAS, PROJECTED_BY_BLAS
from shapes import Shape, make_case

NAME, THREADS = sys.argv[1], int(sys.argv[2])


def short() -> Callable[[], object]:
    case = make_case(Shape("short", 1, 1, 64, 64), np.float32)
    packed = pack(case)
    stream = lstm_native.Stream(packed, num_threads=THREADS)

    def work() -> None:
        stream.run(case.x)
        call_lstm(case, all_weights=packed, num_threads=THREADS)

    return work


def long() -> Callable[[], object]:
    case = make_case(Shape("long", 1, 1, 64, 64), np.float32)
    x, packed = np.broadcast_to(case.x, (30_000, 1, 64)), pack(case)
    return lambda: call_lstm(case, input=x, all_weights=packed, num_threads=THREADS)


def by_blas() -> Callable[[], object]:
    case = make_case(PROJECTED_BY_BLAS, np.float32)
    return lambda: call_lstm(case, num_threads=THREADS)


def gradients() -> Callable[[], object]:
    case = make_case(MULTIPLIED_BACK_BY_BLAS, np.float32)
    outputs, pullback = call_vjp(case, num_threads=THREADS)
    return lambda: pullback(*outputs)


WORK = {"short": short, "long": long, "by BLAS": by_blas, "gradients": gradients}
inside = threading.Semaphore(0)


def repeat(work: Callable[[], object]) -> None:
    def tell(_place: str, _work: int) -> None:
        testing.set_hook(None)
        inside.release()

    testing.set_hook(tell)
    while True:
        work()


end_if_a_thread_fails()
for _ in range(2):
    threading.Thread(target=repeat, args=(WORK[NAME](),), daemon=True).start()
for _ in range(2):
    inside.acquire()
