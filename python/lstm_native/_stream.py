"""The class `Stream`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, overload

import numpy as np

from lstm_native import _config, _validate
from lstm_native._arrays import RealArray, as_real, widened
from lstm_native._cell import Cell
from lstm_native._extension import core
from lstm_native._packing import PackedWeights, cell_of_call, packed_hint
from lstm_native._sizes import Sizes
from lstm_native._types import ArrayLike, HostArray, States

if TYPE_CHECKING:
    import numpy.typing as npt


class Stream:
    """One or more sequences that arrive step by step, with the state kept in between.

    N is `batch`; I, H and L are those of `packed`. A Stream is for one thread at a time. Make one
    per thread; they can share `packed`.

    Parameters
    ----------
    packed : PackedWeights
        The weights, from `pack_weights`, of one direction: a reverse direction begins with the end
        of a sequence, which a stream has not seen.
    batch : int, default 1
        How many sequences advance together, N, at least 1.
    initial_states : tuple of two arrays, optional
        (h_0, c_0), both of shape (L, N, H) and the weights' dtype. Default: zeros. With a
        projection, h has P columns in place of H, here and below.
    num_threads : int, optional
        From 1 to 128; see `set_num_threads` for the default. The result is the same, bit for bit.
        Memory is allocated for the default at this time; a lower default later holds for later
        steps.
    cell : Cell, optional
        The cell, where it is not that of `packed`; see `lstm`.
    direction : {"forward"}
        Only this one: a reverse direction begins with the end of a sequence.

    Raises
    ------
    TypeError
        If an argument has the wrong type.
    ValueError
        If `packed` is bidirectional, `batch` is below 1 or a state has the wrong shape.
    MemoryError
        If the working memory can't be allocated.

    Notes
    -----
    The working memory (`nbytes`) is allocated when the stream is made, and once more for each
    seq_len that `run` did not have in the call before. A step with `out=` allocates nothing.

    `reset` is for all N sequences. To begin one of them anew, set its row of the state to zeros, as
    below. Where sequences come and go, use `Sessions`, whose `reset` takes an id.

    The weights of a stream never change. After a training step pack the new ones, and go on in a
    new stream from the old one's state, as below.

    Examples
    --------
    >>> import numpy as np
    >>> import lstm_native
    >>> weights = [np.ones(s, np.float32) for s in [(8, 10), (8, 2), (8,), (8,)]]
    >>> stream = lstm_native.Stream(lstm_native.pack_weights(weights, 1, False))
    >>> for frame in np.ones((5, 1, 10), np.float32):
    ...     hidden = stream.step(frame)
    >>> hidden.shape
    (1, 2)

    One of two sequences begins anew:

    >>> stream = lstm_native.Stream(lstm_native.pack_weights(weights, 1, False), batch=2)
    >>> hidden = stream.step(np.ones((2, 10), np.float32))
    >>> h, c = stream.state
    >>> h[:, 0] = c[:, 0] = 0
    >>> stream.state = h, c

    Both go on with new weights:

    >>> new_packed = lstm_native.pack_weights([0.9 * weight for weight in weights], 1, False)
    >>> stream = lstm_native.Stream(new_packed, batch=2, initial_states=stream.state)
    >>> np.array_equal(stream.state[0], h)
    True
    """

    __slots__ = ("_batch", "_core", "_packed")

    def __init__(
        self,
        packed: PackedWeights,
        batch: int = 1,
        *,
        initial_states: States | None = None,
        num_threads: int | None = None,
        cell: Cell | None = None,
        direction: Literal["forward"] = "forward",
    ) -> None:
        packed = one_direction(packed, direction)
        batch = _validate.integer(batch, "batch", 1)
        threads = 0 if num_threads is None else _config.threads_for_call(num_threads)
        self._packed = packed
        self._batch = batch
        self._core = core.Stream(packed._core, batch, threads, cell_of_call(cell, packed, None))
        if initial_states is not None:
            self._set_state(initial_states, "initial_states", ("h_0", "c_0"))

    @property
    def packed(self) -> PackedWeights:
        """The weights."""
        return self._packed

    @property
    def batch(self) -> int:
        """How many sequences advance together."""
        return self._batch

    @property
    def nbytes(self) -> int:
        """Memory held beside the weights."""
        return self._core.nbytes

    @overload
    def step(self, x: ArrayLike, *, out: HostArray) -> HostArray: ...
    @overload
    def step(self, x: HostArray, *, out: None = None) -> HostArray: ...
    @overload
    def step(self, x: ArrayLike, *, out: None = None) -> npt.NDArray[Any]: ...
    def step(self, x: ArrayLike, *, out: Any = None) -> npt.NDArray[Any]:
        """Advance by one step.

        Parameters
        ----------
        x : array, of the weights' dtype
            Shape (N, I).
        out : numpy.ndarray, optional
            Where to write the result: shape (N, H), the same dtype, in C order, not overlapping x.

        Returns
        -------
        numpy.ndarray
            The last layer's hidden state, shape (N, H): `out`, or a new array.

        Raises
        ------
        TypeError, ValueError
            If an array has the wrong type, dtype or shape.
        RuntimeError
            If another thread is using this stream.
        """
        result = self._core.run(x, out, False)
        return self._converted(x, out, ()) if result is None else result

    @overload
    def run(self, x: ArrayLike, *, out: HostArray) -> HostArray: ...
    @overload
    def run(self, x: HostArray, *, out: None = None) -> HostArray: ...
    @overload
    def run(self, x: ArrayLike, *, out: None = None) -> npt.NDArray[Any]: ...
    def run(self, x: ArrayLike, *, out: Any = None) -> npt.NDArray[Any]:
        """Advance by several steps.

        Parameters
        ----------
        x : array, of the weights' dtype
            Shape (T, N, I), T at least 1.
        out : numpy.ndarray, optional
            Where to write the result: shape (T, N, H), the same dtype, in C order, not overlapping
            x.

        Returns
        -------
        numpy.ndarray
            The last layer's hidden states, shape (T, N, H): `out`, or a new array.

        Raises
        ------
        TypeError, ValueError
            If an array has the wrong type, dtype or shape.
        RuntimeError
            If another thread is using this stream.
        MemoryError
            If the working memory can't be allocated.
        """
        result = self._core.run(x, out, True)
        return self._converted(x, out, ("seq_len",)) if result is None else result

    @property
    def state(self) -> tuple[npt.NDArray[Any], npt.NDArray[Any]]:
        """Copies of the hidden and the cell state, each (L, N, H); can be set.

        Raises
        ------
        TypeError, ValueError
            If it is set to anything but a tuple of two arrays of these shapes and the weights'
            dtype. Then the state has not changed.
        RuntimeError
            If another thread is using this stream.
        """
        return self._core.state()

    @state.setter
    def state(self, value: States) -> None:
        self._set_state(value, "state", ("h", "c"))

    def reset(self) -> None:
        """Set the state to zeros, that of all sequences.

        Raises
        ------
        RuntimeError
            If another thread is using this stream.
        """
        self._core.reset()

    def __repr__(self) -> str:
        return f"Stream({self._packed!r}, batch={self._batch})"

    def __reduce__(self) -> str | tuple[Any, ...]:
        raise TypeError("a Stream can't be pickled or copied; pickle its packed and its state")

    def _set_state(self, value: object, name: str, parts: tuple[str, str]) -> None:
        hidden, cell = _validate.pair(value, name, parts)
        sizes = self._packed._sizes
        rows = (sizes.num_layers, self._batch)
        names = (f"{name}[0] ({parts[0]})", f"{name}[1] ({parts[1]})")
        output = (*_STATE, output_name(sizes))
        h = in_order(self._packed, hidden, names[0], (*rows, sizes.output_size), output)
        units = (*_STATE, "hidden_size")
        c = in_order(self._packed, cell, names[1], (*rows, sizes.hidden_size), units)
        self._core.set_state(h, c)

    def _converted(self, x: Any, out: Any, leading: tuple[str, ...]) -> npt.NDArray[Any]:
        """Slow path: validate and convert, then call the core."""
        several = bool(leading)
        array = as_real(widened_for(self._packed, x), "x")
        steps: tuple[int | None, ...] = (None,) * several
        shape = (*steps, self._batch, self._packed.input_size)
        array = in_order(self._packed, array, "x", shape, (*leading, "batch", "input_size"))
        if several and array.shape[0] == 0:
            raise ValueError(f"x: expected a seq_len of at least 1, got shape {array.shape}")
        if out is not None:
            sizes = self._packed._sizes
            expected = (*array.shape[:-1], sizes.output_size)
            _check_out(out, array, expected, (*leading, "batch", output_name(sizes)))
        plain = None if out is None else np.asarray(out)  # an array of a subclass, as memmap is
        result: RealArray | None = self._core.run(array, plain, several)
        if result is None:
            raise RuntimeError("Stream: the core refused arguments that had been converted")
        return result if out is None else out


_STATE = ("num_layers", "batch")


def output_name(sizes: Sizes) -> str:
    """Return what messages call the columns of the hidden state."""
    return "proj_size" if sizes.proj_size else "hidden_size"


def in_order(
    packed: PackedWeights,
    value: Any,
    name: str,
    shape: tuple[int | None, ...],
    meaning: tuple[str, ...],
) -> RealArray:
    """Return an array of the weights' dtype and this shape, in C order."""
    array = as_real(widened_for(packed, value), name)
    if array.dtype != packed.dtype:
        raise TypeError(
            f"{name}: expected dtype {packed.dtype}, the same as packed, got {array.dtype}"
        )
    _validate.shape(array, name, shape, meaning)
    return array if array.flags.c_contiguous else array.copy(order="C")


def widened_for(packed: PackedWeights, value: Any) -> Any:
    """Return an array in 16 bits as float32, where the weights are stored in fewer bits."""
    return value if packed.weight_dtype is None else widened(value)


def one_direction(packed: object, direction: object) -> PackedWeights:
    """Check the weights and the direction of a Stream or of Sessions."""
    if not isinstance(packed, PackedWeights):
        raise TypeError(
            f"packed: expected PackedWeights from pack_weights(), got "
            f"{_validate.described(packed)}{packed_hint(packed)}"
        )
    if packed.bidirectional:
        raise ValueError(
            "packed: expected weights with bidirectional=False, because a reverse direction "
            "begins with the end of a sequence, which a stream has not seen; "
            "got bidirectional=True"
        )
    if _validate.direction(direction, bidirectional=False):
        raise ValueError(
            "direction: expected 'forward', because a reverse direction begins with the end of a "
            f"sequence, which a stream has not seen; got {direction!r}"
        )
    return packed


def _check_out(out: Any, x: RealArray, shape: tuple[int, ...], meaning: tuple[str, ...]) -> None:
    _validate.unmasked_result(out, "out")
    if not isinstance(out, np.ndarray):
        raise TypeError(f"out: expected a numpy.ndarray, got {_validate.described(out)}")
    if out.dtype != x.dtype:
        raise TypeError(f"out: expected dtype {x.dtype}, the same as x, got {out.dtype}")
    _validate.shape(out, "out", shape, meaning)
    flags = out.flags
    if not flags.writeable:
        raise ValueError("out: expected an array that can be written to, got a read-only one")
    if not (flags.c_contiguous and flags.aligned and out.dtype.isnative):
        raise ValueError(f"out: expected an aligned array in C order, got strides {out.strides}")
    if np.may_share_memory(out, x):
        raise ValueError("out: expected memory apart from x's, got an array that shares some")
