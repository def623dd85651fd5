"""Three signals come in the middle of one long call: a handler returns, one calls us, one raises.

How far the call has come is read from its output, not from a clock. Left to itself, it would take a
hundred times as long as until the last signal.
"""

import bisect
import os
import signal
import sys
import threading
from types import FrameType

import numpy as np

import lstm_native
from lstm_native._core import testing
from own_threads import end_if_a_thread_fails
from process_settings import round_upward

STEPS, UNITS = 1_000_000, 264
SETTINGS = ~0x3F  # the bits of float_control() that don't tell which exceptions have happened

rng = np.random.default_rng(1)
weights = [rng.standard_normal((4 * UNITS, size)).astype(np.float32) / 16 for size in (1, UNITS)]
packed = lstm_native.pack_weights(weights, 1, False, False, False, False)
stream = lstm_native.Stream(packed, num_threads=2)
x = rng.standard_normal((STEPS, 1, 1)).astype(np.float32)
out = np.zeros((STEPS, 1, UNITS), np.float32)
short = np.zeros((1, 1, UNITS), np.float32)


def call_again() -> bytes:
    output, *_ = lstm_native.lstm(x[:50], (short, short), packed, 1, 0.0, False, False)
    return bytes(output)


def steps_done() -> int:
    return bisect.bisect_left(range(STEPS), True, key=lambda step: out[step, 0, 0] == 0)


progress: list[int] = []
of_handlers: list[bytes] = []
settings: list[int] = []
products: list[float] = []
handled = threading.Semaphore(0)
half = float("0.5")  # not folded


def returns(_number: int, _frame: FrameType | None) -> None:
    progress.append(steps_done())
    settings.append(testing.float_control() & SETTINGS)
    products.append(sys.float_info.min * half)
    handled.release()


def calls_us(_number: int, _frame: FrameType | None) -> None:
    progress.append(steps_done())
    of_handlers.append(call_again())
    handled.release()


def send() -> None:
    while True:  # until the call has begun
        try:
            stream.nbytes  # noqa: B018
        except RuntimeError:  # in use
            break
    for number in (signal.SIGUSR1, signal.SIGUSR2):
        os.kill(os.getpid(), number)
        handled.acquire()
    os.kill(os.getpid(), signal.SIGINT)


signal.signal(signal.SIGUSR1, returns)
signal.signal(signal.SIGUSR2, calls_us)
signal.signal(signal.SIGINT, signal.default_int_handler)  # a background job starts without one
expected = call_again()
round_upward()
callers = testing.float_control() & SETTINGS
end_if_a_thread_fails()
sender = threading.Thread(target=send)
sender.start()
try:
    stream.run(x, out=out)
except KeyboardInterrupt:
    print("KeyboardInterrupt")
finally:
    round_upward(False)
sender.join()

# The call went on after each handler that returned, and ended long before its last step.
assert 0 <= progress[0] <= progress[1] <= steps_done() < STEPS, (progress, steps_done())
assert of_handlers == [expected]
assert settings == [callers]
assert products == [sys.float_info.min / 2]
# Until then it had computed what it computes undisturbed; the stream has not moved.
whole = steps_done() - 1  # without what the other thread may not have finished
alone = lstm_native.Stream(packed, num_threads=1)
assert alone.run(x[:whole]).tobytes() == out[:whole].tobytes()
alone.reset()
assert stream.run(x[:3]).tobytes() == alone.run(x[:3]).tobytes()
