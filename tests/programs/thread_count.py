"""Prints how many threads a call has made: python thread_count.py CALL THREADS."""

import sys
from typing import Any

import numpy as np

import lstm_native
from calls import call_lstm, flat_weight, operator_for
from own_threads import threads_left, threads_of_process
from shapes import Shape, make_case

name, threads = sys.argv[1], int(sys.argv[2])
case = make_case(Shape("rows", 50, 64, 64, 64), np.float32)
net, flat = operator_for(case), flat_weight(case)
given: dict[str, Any] = {"num_threads": threads}
if "default" in name:
    lstm_native.set_num_threads(threads)
    given = {}
before = threads_of_process()
if "operator" in name:
    net(case.x, case.h0, case.c0, flat, **given)
else:
    call_lstm(case, **given)
print(threads_left(before + threads - 1) - before)
