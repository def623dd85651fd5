"""Hands one validated call to the C++ core."""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, TypeAlias

import numpy as np

from lstm_native import _cuda_run, _device
from lstm_native._arrays import RealArray
from lstm_native._device import Target
from lstm_native._extension import core
from lstm_native._memory import new_array, zeros

# w_ih (4 * H, layer's input size), w_hh (4 * H, H), b_ih (4 * H,), b_hh (4 * H,)
DirectionWeights: TypeAlias = tuple[RealArray, RealArray, RealArray | None, RealArray | None]


class Dropout(NamedTuple):
    """The rate between layers, and where in the generator's stream the call's masks begin."""

    rate: float
    key: int
    counter: int


NO_DROPOUT = Dropout(0.0, 0, 0)


class ForwardCall(NamedTuple):
    """One call, validated: all arrays of one dtype, all shapes in agreement.

    `input` has shape (T, N, I), (N, T, I) if `batch_first`, or (rows, I) if `batch_sizes`. Of
    `batch_sizes` and `lengths` at most one is not empty. `recompute`: the tape keeps hidden states
    in place of gates. With a `target` the call runs there; arrays that are on it are `Taken`.
    """

    input: RealArray
    h_0: RealArray
    c_0: RealArray
    weights: "list[DirectionWeights] | core.PackedWeights"
    bidirectional: bool
    threads: int
    batch_first: bool = False
    batch_sizes: Sequence[int] = ()
    lengths: Sequence[int] = ()
    dropout: Dropout = NO_DROPOUT
    tape_elements: int | None = None
    recompute: bool = False
    target: Target | None = None

    @property
    def output_shape(self) -> tuple[int, ...]:
        """The shape of the last layer's output, and of its gradient."""
        return (*self.input.shape[:-1], self.h_0.shape[2] * (2 if self.bidirectional else 1))

    def time_major(self, array: Any) -> Any:
        """Return a sequence as the cores read it: the same memory, two axes exchanged."""
        return array.swapaxes(0, 1) if self.batch_first else array

    def core_options(self) -> dict[str, Any]:
        """Return what the cores' forward and backward both take by name."""
        return {
            "bidirectional": self.bidirectional,
            "batch_sizes": self.batch_sizes,
            "lengths": self.lengths,
            "dropout": self.dropout.rate,
            "dropout_key": self.dropout.key,
            "dropout_counter": self.dropout.counter,
            "recompute": self.recompute,
        }


ForwardResults: TypeAlias = tuple[RealArray, RealArray, RealArray, RealArray | None]


def forward(call: ForwardCall) -> ForwardResults:
    """Return output, h_n, c_n, and the tape as one flat array, or None where none is asked for."""
    if call.target is not None:
        return _cuda_run.forward(call)
    dtype = call.input.dtype
    # What lies past a sequence's end is zero; the core writes the rest.
    output = _new_output(call.output_shape, dtype, zeros if call.lengths else new_array)
    h_n = new_array(call.h_0.shape, dtype)
    c_n = new_array(call.c_0.shape, dtype)
    tape: RealArray | None = None
    if call.tape_elements is not None:
        tape = _empty_tape(call.tape_elements, dtype)
    core.forward(
        call.time_major(contiguous_rows(call.input)),
        contiguous_rows(call.h_0),
        contiguous_rows(call.c_0),
        call.weights,
        call.time_major(output),
        h_n,
        c_n,
        # As core_options() says; by itself, for a dict would cost a short call 3 % of its time.
        bidirectional=call.bidirectional,
        batch_sizes=call.batch_sizes,
        lengths=call.lengths,
        dropout=call.dropout.rate,
        dropout_key=call.dropout.key,
        dropout_counter=call.dropout.counter,
        recompute=call.recompute,
        tape=tape,
        threads=call.threads,
    )
    return output, h_n, c_n, tape


def _new_output(shape: tuple[int, ...], dtype: Any, allocate: Callable[..., Any]) -> RealArray:
    try:
        output: RealArray = allocate(shape, dtype)
    except ValueError:  # by NumPy, which can't count the bytes; an empty batch may have any length
        raise MemoryError(f"output: {dtype} of shape {shape} is larger than any memory") from None
    return output


def empty(call: ForwardCall, shape: tuple[int, ...]) -> RealArray:
    """Return an array for a result of the call, where the caller gets its results."""
    array: Any
    if call.target is not None and isinstance(call.input, _device.Taken):
        array = _device.empty(shape, call.input.dtype, call.target)
    else:
        array = new_array(shape, call.input.dtype)
    return array  # type: ignore[no-any-return]


def take(call: ForwardCall, value: Any, name: str) -> Any:
    """Return an array that is on the call's device as a view of it, anything else as it is."""
    return value if call.target is None else _device.take(value, name, call.target)


def returned(call: ForwardCall, array: Any) -> Any:
    """Return a result as the caller gets it."""
    return _cuda_run.returned(array, call) if isinstance(array, _device.Taken) else array


def has_gaps(array: RealArray) -> bool:
    """Whether elements of the last axis lie apart."""
    return array.size > 0 and array.shape[-1] > 1 and array.strides[-1] != array.itemsize


def contiguous_rows(array: RealArray) -> RealArray:
    """Return the array, or a copy of it where its last axis has gaps."""
    if not has_gaps(array):
        return array
    copy: RealArray = array.copy(order="C")
    return copy


# glibc hands a block above 32 MB back to the system in any case.
_LARGEST_KEPT_BLOCK = 2**25


def _empty_tape(elements: int, dtype: Any) -> RealArray:
    """Return a tape as the front of a block of twice its size, the rest of which is not touched.

    What a forward and a backward pass free together is more than twice the tape, and what is more
    than twice the largest block so far is given back to the system (mallopt(3), M_MMAP_THRESHOLD),
    for the next pass to fault in page by page: forecast_h32 in `make adapter`, one thread of an AMD
    EPYC (Zen 5) in a virtual machine, took 1.3 instead of 0.54 ms by the function alone.
    """
    if core.in_pool():
        return core.new_array((elements,), dtype)
    block = 2 * elements
    if block * dtype.itemsize > _LARGEST_KEPT_BLOCK:
        block = elements
    tape: RealArray = np.empty(block, dtype)[:elements]
    return tape
