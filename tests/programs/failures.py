"""Fails every request for memory of some public calls, and cancels them: nothing may be left.

Run with tests/native/allocations.cpp loaded first, which counts and fails requests. Prints how many
requests of each call failed.
"""

import contextlib
import ctypes
import gc
import itertools
import json
import sys
from collections.abc import Callable
from typing import Any

import numpy as np

import lstm_native
from calls import call_lstm, pack
from cancellation import WAITING, CancelledError, cancel_at, checks
from public_calls import SMALL, public_calls
from shapes import Shape, make_case

shim = ctypes.CDLL(None)
shim.bytes_live.restype = ctypes.c_longlong
lstm_native.set_num_threads(2)
calls = public_calls(threads=2)
gc.collect()
gc.freeze()  # a collection is asked for after each failure, and need not look at what stays
case = make_case(Shape("steps", 9, 2, 6, 20, 2), np.float32)
steps = itertools.cycle([3, 5])
stream = lstm_native.Stream(pack(case), 2)
calls.by_name["Stream.run, other steps"] = lambda: stream.run(case.x[: next(steps)])
masked = make_case(SMALL, np.float32)


def states() -> list[bytes]:
    return [state.tobytes() for one in (stream, calls.stream) for state in one.state]


def masks() -> bytes:
    return bytes(call_lstm(masked, dropout=0.5, train=True)[0])


def fails(call: Callable[[], Any], request: int) -> bool:
    """Whether the call gets no memory where it asks for this one of its requests."""
    shim.watch_allocations(request)
    try:
        call()
    except MemoryError:
        failed = True
    else:
        failed = False
    seen = shim.allocations_seen()
    assert failed == (seen > request), "a failure was passed over"
    return failed


def cancel(call: Callable[[], Any], place: str) -> None:
    with contextlib.suppress(CancelledError):
        cancel_at(call, 0, place)


def sweep(name: str, call: Callable[[], Any]) -> int:
    for _ in range(2):  # whatever is kept from a first call on
        call()
    lstm_native.manual_seed(5)
    call()
    masks_after_it = masks()
    places = {check.place for check in checks(call)} - WAITING
    lstm_native.manual_seed(5)
    gc.collect()
    live, before = shim.bytes_live(), states()

    def nothing_is_left() -> bool:
        gc.collect()
        # A stream gives up its memory for the old number of steps first.
        return states() == before and (shim.bytes_live() == live or name.endswith("other steps"))

    for place in places:
        cancel(call, place)
        assert nothing_is_left(), (name, "cancelled", place, shim.bytes_live() - live)
    for request in itertools.count():
        if not fails(call, request):
            break
        assert nothing_is_left(), (name, "failed", request, shim.bytes_live() - live)
    # The one that succeeded drew what masks it needs, the others none.
    assert masks() == masks_after_it, name

    # An array, or another object of Python's, that the failure of any request leaves would show.
    rounds = 5
    grown: list[int] = []
    while len(grown) < 60:  # Python's own caches fill, more and more slowly
        gc.collect()
        blocks = sys.getallocatedblocks()
        for _ in range(rounds):
            for failing in range(request):
                fails(call, failing)
            cancel(call, min(places, default=""))
        gc.collect()
        grown.append(sys.getallocatedblocks() - blocks)
        if grown[-1] < rounds:
            break
    assert grown[-1] < rounds, (name, grown)
    return request


print(
    json.dumps(
        {
            name: sweep(name, call)
            for name, call in calls.by_name.items()
            if name.split(",")[0].split(".")[0] in sys.argv[1:]
        }
    )
)
