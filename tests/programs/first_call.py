"""Prints which settings the first call of a process changes: python first_call.py NAME."""

import sys
from collections.abc import Callable

import numpy as np

import lstm_native
from calls import call_lstm, call_vjp, flat_weight, operator_for, pack
from process_settings import settings
from shapes import Shape, make_case

case = make_case(Shape("first", 9, 5, 6, 20), np.float32)
net, flat = operator_for(case), flat_weight(case)


def train() -> None:
    outputs, pullback = call_vjp(case, num_threads=2)
    pullback(*outputs)


calls: dict[str, Callable[[], object]] = {
    "lstm": lambda: call_lstm(case, num_threads=2),
    "lstm, packed": lambda: call_lstm(case, all_weights=pack(case), num_threads=2),
    "Pullback": train,
    "LSTM, called": lambda: net(case.x, case.h0, case.c0, flat, num_threads=2),
    "Stream": lambda: lstm_native.Stream(pack(case), 5, num_threads=2).run(case.x),
}
before = settings()
calls[sys.argv[1]]()
after = settings()
print([key for key in before if before[key] != after[key]])
