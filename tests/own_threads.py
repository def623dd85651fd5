"""The threads of this process, as the kernel knows them."""

from __future__ import annotations

import os
import threading
import traceback
from collections.abc import Callable
from pathlib import Path

_TASKS = Path("/proc/self/task")


def threads_of_process() -> int:
    return len(list(_TASKS.iterdir()))


def processor_ticks(thread: int) -> int:
    """Return how long a thread has run on a core, in the kernel's ticks."""
    fields = (_TASKS / str(thread) / "stat").read_text().rpartition(")")[2].split()
    return int(fields[11]) + int(fields[12])  # in the thread's own code and in the kernel's


def threads_left(most: int) -> int:
    """Return how many threads there are. The kernel lists one for a while after it was joined."""
    for _ in range(10_000):
        if threads_of_process() <= most:
            break
        os.sched_yield()
    return threads_of_process()


def end_if_a_thread_fails() -> None:
    """End the process where a thread does, or others may wait for it for ever."""

    def fail(error: threading.ExceptHookArgs) -> None:
        traceback.print_exception(error.exc_type, error.exc_value, error.exc_traceback)
        os._exit(1)

    threading.excepthook = fail


def _switches() -> dict[str, tuple[bool, int]]:
    """Of all threads but this one: whether they sleep, and how often they have left a core."""
    found = {}
    for task in _TASKS.iterdir():
        if int(task.name) == threading.get_native_id():
            continue
        try:
            text = (task / "status").read_text()
        except (FileNotFoundError, ProcessLookupError):  # it has ended
            continue
        status = dict(line.split(":", 1) for line in text.splitlines())
        left = sum(int(status[f"{kind}_ctxt_switches"]) for kind in ("voluntary", "nonvoluntary"))
        found[task.name] = status["State"].strip().startswith("S"), left
    return found


def _switches_asleep() -> dict[str, int]:
    """The same once all of them sleep: their pools' threads spin for a while after work."""
    while True:
        now = _switches()
        if all(asleep for asleep, _ in now.values()) and now == _switches():
            return {task: left for task, (_, left) in now.items()}
        os.sched_yield()


def threads_that_run(call: Callable[[], object]) -> int:
    """Return how many threads run during the call, this one included: the least of five attempts.

    The kernel may wake another thread at any time. One that the call needs runs at every attempt.
    """
    return min(_threads_that_ran(call) for _ in range(5))


def _threads_that_ran(call: Callable[[], object]) -> int:
    before = _switches_asleep()
    call()
    after = _switches_asleep()
    return 1 + sum(left != before.get(task) for task, left in after.items())
