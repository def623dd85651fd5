"""The class `MemoryPool`, and arrays from the pool that the calling thread is in."""

from typing import Any

import numpy as np

from lstm_native._arrays import RealArray
from lstm_native._extension import core


class MemoryPool(core.MemoryPool):
    """Keeps the memory of calls for the next ones.

    Without a pool, each call asks the system for its working memory, tape and results, and frees
    them when nothing refers to them. Large blocks then come as fresh pages, which the system clears
    first. In a pool, a call takes blocks that earlier calls have finished with::

        pool = lstm_native.MemoryPool()
        with pool:
            for x in batches:
                outputs, pullback = lstm_native.lstm_vjp(x, states, weights, ...)

    Calls that a thread makes inside of `with` take memory from its innermost pool, including those
    of `lstm_native.torch`. While a generator or coroutine is suspended there, so do all other calls
    of that thread. Results are the same, bit for bit. Any number of threads may be in a pool at
    once, each any number of times.

    Working memory is idle again when its call ends, a result's memory when the array and all its
    views are gone. A pool holds at most as many blocks of about one size (within a factor of two)
    as were in use at once. `clear` frees the idle blocks; so does the end of the last reference to
    the pool. Results outlive the pool.

    Not from the pool: blocks under 64 KiB, a `Stream` or `Sessions` and their results, arrays that
    go to or come from a GPU, OpenBLAS's buffers.

    Attributes
    ----------
    nbytes : int
        Memory of the idle blocks.

    Raises
    ------
    RuntimeError
        If a thread leaves a pool that it has not entered (a generator that another thread closes).
        By `nbytes` and `clear` in a process that was forked while another thread used the pool;
        calls there take no memory from it.
    """

    __slots__ = ()


def new_array(shape: tuple[int, ...], dtype: np.dtype[Any]) -> RealArray:
    """Return an uninitialised array."""
    return core.new_array(shape, dtype) if core.in_pool() else np.empty(shape, dtype)
