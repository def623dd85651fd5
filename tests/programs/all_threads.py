"""Calls beside, and inside, one that has all threads which the process may have."""

import threading

import numpy as np

import lstm_native
from cancellation import CancelledError, cancel_at, hook

MOST = 128
x = np.full((2, 1280, 2048), 0.01, np.float32)
state = np.ones((1, 1280, 16), np.float32)
weights = [np.full(shape, 0.1, np.float32) for shape in ((64, 2048), (64, 16), 64, 64)]
packed = lstm_native.pack_weights(weights, 1, False)


def call(threads: int) -> bytes:
    arguments = (x, (state, state), packed, 1, 0.0, False, False)
    return bytes(lstm_native.lstm(*arguments, num_threads=threads)[0])


about = lstm_native.explain(x, (state, state), packed, 1, 0.0, False, False, num_threads=MOST)
assert about.threads == MOST, about
expected = call(1)
results: list[bytes] = []
inside, leave = threading.Event(), threading.Event()


def hold(_place: str, _work: int) -> None:
    if inside.is_set():
        return
    inside.set()
    results.append(call(3))  # as a signal's handler may: it does not wait for its own threads
    leave.wait()


def have_all() -> None:
    with hook(hold):
        results.append(call(MOST))


other = threading.Thread(target=have_all)
other.start()
inside.wait()
for check in range(3):
    try:
        cancel_at(lambda: call(2), check, "ThreadBudget")
    except CancelledError:
        print("cancelled", end=" ")
leave.set()
other.join()
results.append(call(2))
print(set(results) == {expected}, len(results))
