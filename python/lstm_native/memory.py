"""The class `MemoryPool`, and arrays from the pool that the calling thread is in."""

from types import TracebackType

import numpy as np
import numpy.typing as npt

from lstm_native._arrays import RealArray
from lstm_native._extension import core


class MemoryPool:
    """Keeps the memory of calls for the next ones.

    Without one, each call asks the system for its working memory, a tape and its results, and each
    is given back once nobody refers to it. Large blocks then come as fresh pages, which have to be
    cleared: that takes longer than copying them, and varies. In a pool they come from blocks that
    earlier calls are done with::

        pool = lstm_native.MemoryPool()
        with pool:
            for x in batches:
                outputs, pullback = lstm_native.lstm_vjp(x, states, weights, ...)

    All calls that a thread makes inside of `with` take memory from its innermost pool, those of
    `lstm_native.torch` too. Results are the same, bit for bit. A pool may be entered any number of
    times, by any number of threads. Working memory goes back to it at a call's end, a result's
    once its array and all views of it are gone. It holds at most as many blocks as were in use at
    once, each at most as large as the largest; and loses them when `clear` is called, or with the
    last reference to the pool. Results outlive it.

    Blocks under 64 KiB, whatever is on a GPU, and OpenBLAS's buffers are not taken from it.

    Attributes
    ----------
    nbytes : int
        Memory of the blocks that no call and no result uses.
    """

    __slots__ = ("_pool",)

    def __init__(self) -> None:
        self._pool = core.MemoryPool()

    @property
    def nbytes(self) -> int:
        return self._pool.nbytes

    def clear(self) -> None:
        """Give the memory that no call and no result uses back to the system."""
        self._pool.clear()

    def __enter__(self) -> "MemoryPool":
        self._pool.enter()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if not self._pool.leave():
            raise RuntimeError("MemoryPool: left by a thread that had not entered it")


def new_array(shape: tuple[int, ...], dtype: npt.DTypeLike) -> RealArray:
    """Return an uninitialised array."""
    return core.new_array(shape, dtype) if core.in_pool() else np.empty(shape, dtype)


def zeros(shape: tuple[int, ...], dtype: npt.DTypeLike) -> RealArray:
    """Return an array of zeros."""
    if not core.in_pool():
        return np.zeros(shape, dtype)
    array = new_array(shape, dtype)
    array.fill(0.0)
    return array
