"""Calls beside, and inside, one that has all threads which the process may have."""

import threading

import numpy as np

import lstm_native
from cancellation import CancelledError, cancel_at, hook
from own_threads import end_if_a_thread_fails

MOST = 128
x = np.full((2, 1280, 2048), 0.01, np.float32)
state = np.ones((1, 1280, 16), np.float32)
weights = [np.full(shape, 0.1, np.float32) for shape in ((64, 2048), (64, 16), 64, 64)]
packed = lstm_native.pack_weights(weights, 1, False)


def call(rows: int, threads: int) -> bytes:
    states = (state[:, :rows], state[:, :rows])
    arguments = (x[:, :rows], states, packed, 1, 0.0, False, False)
    return bytes(lstm_native.lstm(*arguments, num_threads=threads)[0])


about = lstm_native.explain(x, (state, state), packed, 1, 0.0, False, False, num_threads=MOST)
assert about.threads == MOST, about
expected = [call(4, 1), call(1280, 1)]
results: list[bytes] = []
begun, inside, leave = threading.Event(), threading.Event(), threading.Event()


def hold(_place: str, _work: int) -> None:
    if begun.is_set():
        return
    begun.set()
    results.append(call(4, 3))  # as a signal's handler may: it does not wait for its own threads
    inside.set()
    leave.wait()


def have_all() -> None:
    with hook(hold):
        results.append(call(1280, MOST))


end_if_a_thread_fails()
other = threading.Thread(target=have_all)
other.start()
inside.wait()
for check in range(3):  # each in the wait for threads: no other one comes before
    try:
        cancel_at(lambda: call(4, 2), check)
    except CancelledError:
        print("cancelled", end=" ")
leave.set()
other.join()
print(results == expected, call(4, 2) == expected[0])
