"""Runs a stream in a finalizer, as the interpreter ends: python finalizer.py {step,checks}.

Where it checks, each check looks for signals, as those of a long call do when no code of Python can
run any more.
"""

import os
import sys

import numpy as np

import lstm_native
from calls import pack
from lstm_native._core import testing
from shapes import Shape, make_case

case = make_case(Shape("last", 300, 1, 64, 64), np.float32)


class Last:
    def __init__(self, checks: bool) -> None:
        self.stream = lstm_native.Stream(pack(case), num_threads=1 if checks else 2)
        self.x, self.write = case.x if checks else case.x[:1], os.write
        self.seen: dict[str, int] = {}
        self.hook = self.seen.setdefault if checks else None  # no code of Python
        self.set_hook = testing.set_hook
        self.expected = self.stream.run(self.x).tobytes()
        self.itself = self  # until the interpreter ends

    def __del__(self) -> None:
        self.stream.reset()
        self.set_hook(self.hook)
        same = self.stream.run(self.x).tobytes() == self.expected
        self.write(1, b"same" if same else b"other")
        if (self.hook is None) != (not self.seen):
            self.write(1, b", but without checks")


Last(sys.argv[1] == "checks")
