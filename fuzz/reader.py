"""Decisions taken from bytes: the same bytes, the same call. No bytes left: the simplest one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

import numpy as np

Choice = TypeVar("Choice")


class Reader:
    """Reads decisions off the front of some bytes."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0

    def byte(self) -> int:
        if self._at >= len(self._data):
            return 0
        self._at += 1
        return self._data[self._at - 1]

    def integer(self, low: int, high: int) -> int:
        """Return an int within [low, high], low where no bytes are left."""
        span = high - low + 1
        number = self.byte()
        while span > 256:
            number = number << 8 | self.byte()
            span >>= 8
        return low + number % (high - low + 1)

    def choose(self, choices: Sequence[Choice]) -> Choice:
        return choices[self.integer(0, len(choices) - 1)]

    def once_in(self, times: int) -> bool:
        """Return True for one byte in ``times``; False where no bytes are left."""
        return self.byte() % times == times - 1

    def generator(self) -> np.random.Generator:
        """Return a generator of numbers whose values do not matter to the fuzzer."""
        return np.random.default_rng(self.byte())
