"""The class `MemoryPool`, and arrays from the pool that the calling thread is in."""

from typing import Any

import numpy as np

from lstm_native._arrays import RealArray
from lstm_native._extension import core


class MemoryPool(core.MemoryPool):
    """Keeps the memory of calls for the next ones.

    Without one, each call asks the system for its working memory, a tape and its results, and frees
    each once nobody refers to it. Large blocks then come as fresh pages, which are cleared before
    they are used. In a pool they come from blocks that earlier calls are done with::

        pool = lstm_native.MemoryPool()
        with pool:
            for x in batches:
                outputs, pullback = lstm_native.lstm_vjp(x, states, weights, ...)

    Calls that a thread makes inside of `with` take memory from its innermost pool, those of
    `lstm_native.torch` too; so do, as long as a generator or coroutine is suspended there, all
    others of that thread. Results are the same, bit for bit. Any number of threads may be in a pool
    at once, each any number of times.

    Working memory is at rest again at a call's end, that of a result once its array and all views
    of it are gone. Of blocks of about one size (within a factor of two) a pool holds at most as
    many as were in use at once. `clear` frees those at rest; so does the end of the last reference
    to the pool. Results outlive it.

    Blocks under 64 KiB, a `Stream` and its results, whatever goes to or comes from a GPU, and
    OpenBLAS's buffers are not of the pool.

    Attributes
    ----------
    nbytes : int
        Memory of the blocks at rest.

    Raises
    ------
    RuntimeError
        Where a thread leaves a pool that it had not entered (a generator that another thread
        closes); by `nbytes` and `clear` in a process that was forked in the very moment in which
        another thread used the pool. Its calls then do without.
    """

    __slots__ = ()


def new_array(shape: tuple[int, ...], dtype: np.dtype[Any]) -> RealArray:
    """Return an uninitialised array."""
    return core.new_array(shape, dtype) if core.in_pool() else np.empty(shape, dtype)
