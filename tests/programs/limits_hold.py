"""Limits of threadpoolctl: what was made before has no thread more. Run with OMP_NUM_THREADS=4."""

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import threadpoolctl

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
from shapes import Shape, make_case

case = make_case(Shape("wide", 50, 64, 64, 64), np.float32)
packed, net, flat = pack(case), operator_for(case), flat_weight(case)
assert "openmp" in {pool["user_api"] for pool in threadpoolctl.threadpool_info()}
default = lstm_native.get_num_threads()
assert default == 4
gradient = gradient_for(case)
stream = lstm_native.Stream(packed, 64)
outputs, pullback = call_vjp(case)
called = net(case.x, case.h0, case.c0, flat)


def limited() -> None:
    start = threads_of_process()
    with threadpoolctl.threadpool_limits(1):
        assert lstm_native.get_num_threads() == 1
        for weights in (case.all_weights, packed):
            call_lstm(case, all_weights=weights)
        for one in (pullback, call_vjp(case)[1]):
            one(*outputs)
        streams = (stream, lstm_native.Stream(packed, 64))
        runs = [[one.run(case.x), one.step(case.x[0])] for one in streams]
        for earlier, later in zip(*runs, strict=True):
            assert earlier.tobytes() == later.tobytes()
        net(case.x, case.h0, case.c0, flat)
        gradient(*gradient_arguments(case, flat, called))
        assert threads_left(start) == start
        call_lstm(case, num_threads=3)  # as told
        assert threads_left(start + 2) == start + 2


with ThreadPoolExecutor(1) as pool:  # a thread that OpenMP has given no others yet
    pool.submit(limited).result()
assert lstm_native.get_num_threads() == default
with threadpoolctl.threadpool_limits(4, user_api="blas"):
    assert lstm_native.get_config()["blas"]["threads"] == 1
lstm_native.set_num_threads(7)  # OpenMP's own number at first is no limit
assert lstm_native.get_num_threads() == 7
for limit in (1, 2, 5, 6):
    with threadpoolctl.threadpool_limits(limit):
        assert lstm_native.get_num_threads() == limit
with threadpoolctl.threadpool_limits(8):
    assert lstm_native.get_num_threads() == 7
