"""The class `Sessions`."""

from __future__ import annotations

import os
import struct
import threading
import weakref
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from lstm_native import _config, _validate
from lstm_native._arrays import RealArray, as_real
from lstm_native._cell import Cell
from lstm_native._extension import core
from lstm_native._packing import PackedWeights, cell_of_call
from lstm_native._stream import in_order, one_direction, output_name, widened_for
from lstm_native._types import ArrayLike, States

if TYPE_CHECKING:
    import numpy.typing as npt

# A state as bytes: this, then h and c in C order, both little-endian.
_HEADER = struct.Struct("<8s4sqqq")  # magic, dtype, num_layers, widths of h and of c
_MAGIC = b"LSTMSTAT"
# More than any memory holds. The C++ library calls its limit of elements an error of the value.
_LARGEST = 2**56


class Sessions:
    """Many sequences that share weights, come and go, and advance in any combination.

    A server can keep a session for each client. A session has the state of a `Stream` of one
    sequence, and gives the same bits, but all sessions that have a new frame advance together, in
    one call. I, H and L are those of `packed`; with a projection, h has P columns in place of H.

    Any thread may call any method. Calls run one after the other: a call waits for the one before.
    A call that fails or is interrupted changes no state. A signal's handler that runs in the middle
    of a call of its thread can't wait for it: there, methods that only read give what was
    before that call, and the others raise RuntimeError.

    Parameters
    ----------
    packed : PackedWeights
        The weights, from `pack_weights`, of one direction.
    capacity : int
        How many sessions may be open at once, at least 1. Their states are allocated now.
    num_threads : int, optional
        From 1 to 128; see `set_num_threads` for the default. The result is the same, bit for bit.
    cell : Cell, optional
        The cell, where it is not that of `packed`; see `lstm`.
    direction : {"forward"}
        Only this one: a reverse direction begins with the end of a sequence.

    Raises
    ------
    TypeError
        If an argument has the wrong type.
    ValueError
        If `packed` is bidirectional or `capacity` is below 1.
    MemoryError
        If the memory can't be allocated.

    Notes
    -----
    Working memory is allocated when a number of sessions steps together for the first time, and
    kept for the 64 numbers that were used last (`nbytes`). In a forked process the sessions go on
    from the states that they had.

    Examples
    --------
    >>> import numpy as np
    >>> import lstm_native
    >>> weights = [np.ones(s, np.float32) for s in [(8, 10), (8, 2), (8,), (8,)]]
    >>> sessions = lstm_native.Sessions(lstm_native.pack_weights(weights, 1, False), capacity=100)
    >>> first, second, third = (sessions.open() for _ in range(3))
    >>> sessions.step([first, third], np.ones((2, 10), np.float32)).shape
    (2, 2)
    >>> sessions.close(second)
    """

    __slots__ = ("__weakref__", "_capacity", "_core", "_lock", "_packed")

    def __init__(
        self,
        packed: PackedWeights,
        capacity: int,
        *,
        num_threads: int | None = None,
        cell: Cell | None = None,
        direction: Literal["forward"] = "forward",
    ) -> None:
        self._packed = one_direction(packed, direction)
        self._capacity = _validate.integer(capacity, "capacity", 1)
        if self._capacity >= _LARGEST:
            raise MemoryError(
                f"capacity: expected sessions that some memory can hold, got {self._capacity}"
            )
        threads = 0 if num_threads is None else _config.threads_for_call(num_threads)
        self._core = core.Sessions(
            packed._core, self._capacity, threads, cell_of_call(cell, packed, None)
        )
        self._lock = threading.RLock()
        _all.add(self)

    @property
    def packed(self) -> PackedWeights:
        """The weights."""
        return self._packed

    @property
    def capacity(self) -> int:
        """How many sessions may be open at once."""
        return self._capacity

    @property
    def open_ids(self) -> list[int]:
        """The ids of all open sessions."""
        with self._lock:
            return self._core.open_ids()

    @property
    def nbytes(self) -> int:
        """Memory held beside the weights."""
        with self._lock:
            return self._core.nbytes

    def __len__(self) -> int:
        """Return how many sessions are open."""
        return len(self.open_ids)

    def open(self) -> int:
        """Open a session with a state of zeros.

        Returns
        -------
        int
            Its id, which no other session of this object ever has.

        Raises
        ------
        RuntimeError
            If `capacity` sessions are open.
        """
        with self._lock:
            return self._core.open()

    def close(self, id: int) -> None:
        """Close a session, so that another one can be opened.

        Raises
        ------
        TypeError, ValueError
            If `id` is not an int, or not that of an open session.
        """
        with self._lock:
            self._core.close(_validate.integer(id, "id", 0))

    def step(self, ids: Sequence[int] | npt.NDArray[Any], x: ArrayLike) -> npt.NDArray[Any]:
        """Advance some sessions by one step.

        Parameters
        ----------
        ids : sequence of int
            The sessions, in any order, each once.
        x : array, of the weights' dtype
            A frame of each: shape (len(ids), I).

        Returns
        -------
        numpy.ndarray
            The last layer's hidden state of each, shape (len(ids), H).

        Raises
        ------
        TypeError, ValueError
            If an array has the wrong type, dtype or shape; if a session is not open, or listed
            twice. Then no session's state has changed.
        MemoryError
            If the working memory can't be allocated.
        """
        return self._run(ids, x, ())

    def run(self, ids: Sequence[int] | npt.NDArray[Any], x: ArrayLike) -> npt.NDArray[Any]:
        """Advance some sessions by several steps.

        Parameters
        ----------
        ids : sequence of int
            The sessions, in any order, each once.
        x : array, of the weights' dtype
            Shape (T, len(ids), I), T at least 1.

        Returns
        -------
        numpy.ndarray
            The last layer's hidden states, shape (T, len(ids), H).

        Raises
        ------
        TypeError, ValueError, MemoryError
            As `step`.
        """
        return self._run(ids, x, ("seq_len",))

    def state(self, id: int) -> tuple[npt.NDArray[Any], npt.NDArray[Any]]:
        """Return copies of a session's hidden and cell state, each (L, H).

        Raises
        ------
        TypeError, ValueError
            If `id` is not an int, or not that of an open session.
        """
        with self._lock:
            return self._core.state(_validate.integer(id, "id", 0))

    def set_state(self, id: int, state: States) -> None:
        """Set a session's state.

        Parameters
        ----------
        id : int
        state : tuple of two arrays
            (h, c), both of shape (L, H) and the weights' dtype.

        Raises
        ------
        TypeError, ValueError
            If the session is not open, or an array has the wrong type, dtype or shape.
        """
        sizes = self._packed._sizes
        hidden, cell = _validate.pair(state, "state", ("h", "c"))
        output = ("num_layers", output_name(sizes))
        h = in_order(
            self._packed, hidden, "state[0] (h)", (sizes.num_layers, sizes.output_size), output
        )
        units = ("num_layers", "hidden_size")
        c = in_order(
            self._packed, cell, "state[1] (c)", (sizes.num_layers, sizes.hidden_size), units
        )
        with self._lock:
            self._core.set_state(_validate.integer(id, "id", 0), h, c)

    def reset(self, id: int) -> None:
        """Set a session's state to zeros.

        Raises
        ------
        TypeError, ValueError
            If `id` is not an int, or not that of an open session.
        """
        with self._lock:
            self._core.reset(_validate.integer(id, "id", 0))

    def dump(self, id: int) -> bytes:
        """Return a session's state as bytes, for `load` in any other process.

        Raises
        ------
        TypeError, ValueError
            If `id` is not an int, or not that of an open session.
        """
        h, c = self.state(id)
        dtype = h.dtype.str[1:].encode()
        header = _HEADER.pack(_MAGIC, dtype, h.shape[0], h.shape[1], c.shape[1])
        order = h.dtype.newbyteorder("<")
        return header + h.astype(order).tobytes() + c.astype(order).tobytes()

    def load(self, id: int, data: bytes) -> None:
        """Set a session's state to what `dump` returned.

        Raises
        ------
        TypeError
            If `data` is not bytes.
        ValueError
            If the session is not open, or `data` is not a state of these sizes and this dtype.
        """
        if not isinstance(data, bytes | bytearray | memoryview):
            raise TypeError(f"data: expected bytes, got {_validate.described(data)}")
        raw = bytes(data)
        dtype, layers = self._packed.dtype, self._packed.num_layers
        widths = [self._packed._sizes.output_size, self._packed.hidden_size]
        expected = _HEADER.pack(_MAGIC, dtype.str[1:].encode(), layers, *widths)
        size = _HEADER.size + layers * sum(widths) * dtype.itemsize
        if raw[: _HEADER.size] != expected or len(raw) != size:
            raise ValueError(
                f"data: expected the {size} bytes of a {dtype} state of {layers} layer(s) of "
                f"{_units(*widths)}, got {_described_state(raw)}"
            )
        values = np.frombuffer(raw, dtype.newbyteorder("<"), offset=_HEADER.size)
        h, c = np.split(values.astype(dtype), [layers * widths[0]])
        self.set_state(id, (h.reshape(layers, -1), c.reshape(layers, -1)))

    def __repr__(self) -> str:
        return f"Sessions({self._packed!r}, capacity={self._capacity}, {len(self)} open)"

    def __reduce__(self) -> str | tuple[Any, ...]:
        raise TypeError("Sessions can't be pickled or copied; pickle packed, and dump each state")

    def _run(self, ids: Any, x: Any, leading: tuple[str, ...]) -> npt.NDArray[Any]:
        several = bool(leading)
        with self._lock:
            result: RealArray | None = self._core.run(ids, x, several)
        if result is not None:
            return result
        listed = _validate.session_ids(ids)
        array = as_real(widened_for(self._packed, x), "x")
        steps: tuple[int | None, ...] = (None,) * several
        shape = (*steps, len(listed), self._packed.input_size)
        array = in_order(self._packed, array, "x", shape, (*leading, "len(ids)", "input_size"))
        if several and array.shape[0] == 0:
            raise ValueError(f"x: expected a seq_len of at least 1, got shape {array.shape}")
        with self._lock:
            result = self._core.run(listed, array, several)
        if result is None:
            raise RuntimeError("Sessions: the core refused arguments that had been converted")
        return result


def _described_state(raw: bytes) -> str:
    if len(raw) < _HEADER.size or raw[: len(_MAGIC)] != _MAGIC:
        return f"{len(raw)} byte(s) that are no state"
    _, dtype, layers, outputs, units = _HEADER.unpack(raw[: _HEADER.size])
    name = dtype.rstrip(b"\0").decode(errors="replace")
    return f"{len(raw)} byte(s), {name!r}, {layers} layer(s), {_units(outputs, units)}"


def _units(outputs: int, units: int) -> str:
    return f"{units} units" + ("" if outputs == units else f" projected to {outputs}")


_all: weakref.WeakSet[Sessions] = weakref.WeakSet()


def _begin_anew_in_child() -> None:
    """End calls of the parent's other threads; a call of the thread that forked goes on."""
    for sessions in list(_all):
        if sessions._lock.acquire(blocking=False):
            sessions._lock.release()
        else:
            sessions._lock = threading.RLock()
            sessions._core.abandon_call()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_begin_anew_in_child)
