"""The generator of dropout masks: Philox4x32-10, a counter-based generator.

A mask is a pure function of a key (the seed), a counter (the calls since the seed) and an element's
position. So any number of threads, or a backward pass, can compute it again.
"""

from __future__ import annotations

import os
import threading
from types import TracebackType
from typing import TYPE_CHECKING, Any

import numpy as np

from lstm_native import _validate
from lstm_native._arrays import as_array

if TYPE_CHECKING:
    import numpy.typing as npt

_WORD = 1 << 64


class _Generator:
    """The process-wide key and counter."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        # Key and counter in one object, which can be read without the lock.
        self._place = int.from_bytes(os.urandom(8), "little"), 0

    def seed(self, key: int) -> None:
        with self._lock:
            self._place = key, 0

    def peek(self) -> tuple[int, int]:
        return self._place

    def take(self) -> tuple[int, int]:
        """Return key and counter for one call, and advance past it."""
        with self._lock:
            taken = key, counter = self._place
            self._place = key, (counter + 1) % _WORD
            return taken

    def give_back(self, key: int, counter: int) -> None:
        """Undo `take()`, unless the generator has gone on since."""
        with self._lock:
            if self._place == (key, (counter + 1) % _WORD):
                self._place = key, counter

    def after_fork(self) -> None:
        """Replace the lock: a thread of the parent may have held it."""
        self._lock = threading.Lock()


generator = _Generator()
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=generator.after_fork)


class MasksOfCall:
    """Encloses the work of a call with these masks, so that a call that fails draws none.

    drawn: whether its place in the stream was taken from the process-wide generator.

    A class, because `contextlib.contextmanager` adds most of a microsecond to every call.
    """

    __slots__ = ("_counter", "_drawn", "_key")

    def __init__(self, key: int, counter: int, drawn: bool) -> None:
        self._key, self._counter, self._drawn = key, counter, drawn

    def __enter__(self) -> None:
        pass

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if kind is not None and self._drawn:
            generator.give_back(self._key, self._counter)


def manual_seed(seed: int) -> None:
    """Set the seed of every dropout mask drawn from now on, in this process.

    Parameters
    ----------
    seed : int
        From 0 to 2**64 - 1. Without a call of this function the seed comes from the operating
        system and differs from run to run.

    Raises
    ------
    TypeError
        If `seed` is not an int.
    ValueError
        If `seed` is outside of its range.
    """
    generator.seed(check_seed(seed))


def check_seed(seed: Any) -> int:
    """Return a seed that fits the key."""
    return _validate.integer(seed, "seed", 0, _WORD - 1)


def to_state(key: int, counter: int) -> npt.NDArray[np.int64]:
    """Return key and counter as the (2, 1) int64 array that `LSTM` calls `state`."""
    return np.array([[key], [counter]], dtype=np.uint64).view(np.int64)


def from_state(state: Any) -> tuple[int, int]:
    """Return the key and counter of a `state` array."""
    array = as_array(state, "state")
    if array.dtype.kind not in "iu" or array.dtype.itemsize != 8:
        raise TypeError(f"state: expected dtype int64, got {array.dtype}")
    _validate.shape(array, "state", (2, 1), ("2", "1"))
    for row in state if isinstance(state, list | tuple) else ():
        _validate.no_bools(row, "state")
    key, counter = (int(word) % _WORD for word in array[:, 0])
    return key, counter
