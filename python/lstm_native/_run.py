"""Describes one validated call, and hands it to the C++ core."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, TypeAlias

from lstm_native import _cuda_run, _device
from lstm_native._arrays import RealArray
from lstm_native._cell import STANDARD, Cell
from lstm_native._device import Target
from lstm_native._extension import core
from lstm_native._memory import new_array
from lstm_native._sizes import Sizes

if TYPE_CHECKING:
    from lstm_native._mask import ComputedSteps


class CellWeights(NamedTuple):
    """The weights of one layer and direction, or their gradients."""

    input: RealArray
    """w_ih, (4 * H, layer's input size)."""
    hidden: RealArray
    """w_hh, (4 * H, H), or (4 * H, P) with a projection."""
    input_bias: RealArray | None = None
    """b_ih, (4 * H,)."""
    hidden_bias: RealArray | None = None
    """b_hh, (4 * H,)."""
    peephole: RealArray | None = None
    """(3 * H,), in the order i, f, o."""
    projection: RealArray | None = None
    """w_hr, (P, H)."""


class Dropout(NamedTuple):
    """The rate between layers, and where in the generator's stream the call's masks begin."""

    rate: float
    key: int
    counter: int


NO_DROPOUT = Dropout(0.0, 0, 0)


class Problem(NamedTuple):
    """One call's sizes and options, as csrc/plan/problem.hpp has them.

    At most one of `batch_sizes` and `lengths` is not empty.
    """

    sizes: Sizes
    seq_len: int
    batch: int
    batch_sizes: Sequence[int] = ()
    lengths: Sequence[int] = ()
    dropout: Dropout = NO_DROPOUT
    threads: int = 0
    """0: the default when the call runs."""
    split: tuple[int, int, int] | None = None
    """Groups of directions, rows and units instead of the chosen ones, for benchmarks and tests."""
    cell: Cell = STANDARD
    reverse: bool = False
    """Whether the one direction begins with the end of a sequence."""
    recurrent_dropout: float = 0.0
    """The rate at which h_(t-1) is dropped. `dropout` says where its masks begin, too."""

    @property
    def drops(self) -> bool:
        """Whether the call needs masks."""
        return self.dropout.rate > 0.0 or self.recurrent_dropout > 0.0


Tape: TypeAlias = Literal["gates", "hidden"]


class ForwardCall(NamedTuple):
    """One call, validated: all arrays of one dtype, all shapes in agreement.

    `input` has shape (T, N, I), (N, T, I) if `batch_first`, or (rows, I) if `batch_sizes`. `tape`
    says what is kept for a backward pass. With a `target` the call runs there; arrays that are on
    it are `BorrowedArray`. With `steps`, `problem` and `input` have the computed steps only.
    Outputs, their gradients and gradients of inputs have all steps.
    """

    problem: Problem
    input: RealArray
    h_0: RealArray
    c_0: RealArray
    weights: "list[CellWeights] | core.PackedWeights"
    batch_first: bool = False
    tape: Tape | None = None
    target: Target | None = None
    steps: "ComputedSteps | None" = None

    @property
    def output_shape(self) -> tuple[int, ...]:
        """The shape of the last layer's output, and of its gradient."""
        sizes = self.problem.sizes
        lead = self.input.shape[:-1] if self.steps is None else self.steps.shape
        return (*lead, sizes.directions * sizes.output_size)

    def with_dropout(self, dropout: Dropout) -> "ForwardCall":
        return self._replace(problem=self.problem._replace(dropout=dropout))

    def with_contiguous_rows(self) -> "ForwardCall":
        """Return the call with copies of the arrays that the core can't read where they are."""
        arrays = (self.input, self.h_0, self.c_0)
        if self.target is not None or not any(map(has_gaps, arrays)):  # a device reads any strides
            return self
        x, h_0, c_0 = map(contiguous_rows, arrays)
        return self._replace(input=x, h_0=h_0, c_0=c_0)


ForwardResults: TypeAlias = tuple[RealArray, RealArray, RealArray, RealArray | None]


def forward(call: ForwardCall) -> ForwardResults:
    """Return output, h_n, c_n, and the tape, (elements, 1), or None where none is asked for."""
    if call.target is not None:
        return _cuda_run.forward(call)
    results = core.forward(call.with_contiguous_rows())
    if call.steps is None:
        return results
    output, h_n, c_n, tape = results
    return call.steps.output(output), h_n, c_n, tape


def empty(call: ForwardCall, shape: tuple[int, ...]) -> RealArray:
    """Return an array for a result of the call, on the device where results are returned there."""
    array: Any
    source: object = call.input
    if call.target is not None and isinstance(source, _device.BorrowedArray):
        array = _device.empty(shape, source.dtype, call.target)
    else:
        array = new_array(shape, call.input.dtype)
    return array  # type: ignore[no-any-return]


def take(call: ForwardCall, value: Any, name: str) -> Any:
    """Return an array that is on the call's device as a view of it, anything else as it is."""
    return value if call.target is None else _device.take(value, name, call.target)


def returned(call: ForwardCall, array: Any) -> Any:
    """Return a result as the caller gets it."""
    return _cuda_run.returned(array, call) if isinstance(array, _device.BorrowedArray) else array


def has_gaps(array: RealArray) -> bool:
    """Whether the last axis has gaps."""
    return array.size > 0 and array.shape[-1] > 1 and array.strides[-1] != array.itemsize


def contiguous_rows(array: RealArray) -> RealArray:
    """Return the array, or a copy of it where its last axis has gaps."""
    if not has_gaps(array):
        return array
    copy: RealArray = array.copy(order="C")
    return copy
