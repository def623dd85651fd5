"""Says how long the kernel kept a process's threads from running, and for how long of an interval.

Two observations: the time that this process's threads were ready to run and did not (the second
number of /proc/PID/task/TID/schedstat), and how late a control process woke up that only sleeps.
The control also sees what the first does not: a machine that stood still as a whole.

python -m bench.measure.scheduling: the control.
"""

from __future__ import annotations

import contextlib
import os
import select
import subprocess
import sys
import threading
import time
from collections import deque
from pathlib import Path

import numpy as np
import numpy.typing as npt

from bench import ROOT

_LOOK_EVERY_S = 0.01
# The control reports wake-ups later than this.
_LATE_S = 0.005
# What is kept: 80 s of looks, in memory that does not grow while it is filled.
_LOOKS = 8192
_LATE = 1024
_NANO = 1e-9

Looks = npt.NDArray[np.float64]  # (n, 2): times in order, and the waits until then
Intervals = list[tuple[float, float]]


class Scheduling:
    """Watches this process and a control, from a thread, between `__enter__` and `__exit__`."""

    def __init__(self) -> None:
        self._ends = threading.Event()
        self._watcher = threading.Thread(target=self._watch, name="scheduling")
        self._listener = threading.Thread(target=self._listen, name="control")
        self._looks = np.full((_LOOKS, 2), -np.inf)
        self._next = 0
        self._late: deque[tuple[float, float]] = deque(maxlen=_LATE)
        self._control = subprocess.Popen(
            [sys.executable, "-m", "bench.measure.scheduling"],
            cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        )  # fmt: skip
        self.latest_s = 0.0  # the control's worst

    def __enter__(self) -> Scheduling:
        self._watcher.start()
        self._listener.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ends.set()
        self._watcher.join()
        assert self._control.stdin is not None
        assert self._control.stdout is not None
        self._control.stdin.close()  # which ends it
        self._listener.join()
        self._control.stdout.close()
        self._control.wait()

    def kept_waiting(self, begin: float, end: float) -> float:
        """Seconds of an interval that the kernel explains: the larger of both observations.

        To be asked a moment later, when both have been looked at again. Makes no objects of the
        looks: these would grow the process whose memory is watched.
        """
        looks = np.roll(self._looks, -self._next, axis=0)
        return seconds_kept(looks[looks[:, 0] >= 0.0], list(self._late), begin, end)

    def _watch(self) -> None:
        while not self._ends.wait(_LOOK_EVERY_S):
            self._looks[self._next] = time.perf_counter(), waits_of_threads()
            self._next = (self._next + 1) % _LOOKS

    def _listen(self) -> None:
        assert self._control.stdout is not None
        for line in self._control.stdout:
            since, to = map(float, line.split())
            self.latest_s = max(self.latest_s, to - since)
            self._late.append((since, to))


def seconds_kept(looks: Looks, late: Intervals, begin: float, end: float) -> float:
    """What `Scheduling.kept_waiting` says.

    late: from when to when the control was late.
    """
    waited = 0.0
    if len(looks) > 0:
        first = max(int(np.searchsorted(looks[:, 0], begin, side="right")) - 1, 0)
        last = min(int(np.searchsorted(looks[:, 0], end, side="left")), len(looks) - 1)
        waited = float(looks[last, 1] - looks[first, 1])
    slept = sum(max(0.0, min(end, to) - max(begin, since)) for since, to in late)
    return max(waited, slept)


def waits_of_threads() -> float:
    """Seconds that the threads of this process were ready to run and did not."""
    total = 0
    for task in os.listdir("/proc/self/task"):  # noqa: PTH208
        with contextlib.suppress(OSError):  # it has ended
            total += int(Path(f"/proc/self/task/{task}/schedstat").read_bytes().split()[1])
    return total * _NANO


def control() -> None:
    """Sleep until the input ends; print each late wake-up: when it was due, and when it came."""
    while True:
        due = time.perf_counter() + _LOOK_EVERY_S
        if select.select([sys.stdin], [], [], _LOOK_EVERY_S)[0]:
            return
        now = time.perf_counter()
        if now - due > _LATE_S:
            print(due, now, flush=True)


if __name__ == "__main__":
    control()
