"""The operator `LSTM`."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, overload

import numpy as np

from lstm_native import _config, _device, _random, _validate, cuda
from lstm_native._arrays import RealArray, as_real, widened
from lstm_native._cell import STANDARD, Cell
from lstm_native._extension import core
from lstm_native._packing import PackedWeights, check_dtype, packed_hint, unpacked
from lstm_native._run import (
    NO_DROPOUT,
    CellWeights,
    Dropout,
    ForwardCall,
    Problem,
    empty,
    forward,
    returned,
)
from lstm_native._sizes import Sizes
from lstm_native._types import Array, ArrayLike, Direction, IntegersLike
from lstm_native._weights import (
    WEIGHT_LAYOUTS,
    Offsets,
    WeightLayout,
    flat_offsets,
    flat_size,
    from_flat,
)
from lstm_native.cuda import DeviceLike

if TYPE_CHECKING:
    import numpy.typing as npt


@dataclass(frozen=True, eq=False, repr=False)
class Operator:
    """What `LSTM` and `LSTMGrad` have in common: sizes, options, and the flat weight's layout."""

    input_size: int
    hidden_size: int
    num_layers: int
    has_bias: bool
    bidirectional: bool
    dropout: float
    batch_first: bool = field(default=False, kw_only=True)
    weight_layout: WeightLayout = field(default="mindspore_gpu", kw_only=True)
    device: DeviceLike = field(default="cpu", kw_only=True)
    cell: Cell | None = field(default=None, kw_only=True)
    direction: Direction = field(default="forward", kw_only=True)
    _reverse: bool = field(init=False)
    _sizes: Sizes = field(init=False)
    _weight_size: int = field(init=False)

    def __post_init__(self) -> None:
        vars(self).update(
            input_size=_validate.integer(self.input_size, "input_size", 1),
            hidden_size=_validate.integer(self.hidden_size, "hidden_size", 1),
            num_layers=_validate.layer_count(self.num_layers),
            has_bias=_validate.boolean(self.has_bias, "has_bias"),
            bidirectional=_validate.boolean(self.bidirectional, "bidirectional"),
            dropout=_validate.dropout_rate(self.dropout, "dropout", integers=False),
            batch_first=_validate.boolean(self.batch_first, "batch_first"),
            weight_layout=_validate.choice(self.weight_layout, "weight_layout", WEIGHT_LAYOUTS),
            device=cuda.check_device(self.device),
            cell=_validate.cell(self.cell),
        )
        vars(self).update(_reverse=_validate.direction(self.direction, self.bidirectional))
        _validate.cell_of_directions(self._cell, self.bidirectional)
        sizes = Sizes(
            self.input_size,
            self.hidden_size,
            self.num_layers,
            self.bidirectional,
            self._cell.proj_size,
        )
        _validate.projection(sizes.proj_size, sizes.hidden_size)
        size = flat_size(sizes, self.has_bias, self.weight_layout, self._cell.peepholes)
        vars(self).update(_sizes=sizes, _weight_size=size)

    @property
    def _cell(self) -> Cell:
        return STANDARD if self.cell is None else self.cell

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self._described()})"

    def _described(self) -> str:
        return (
            f"{self.input_size}, {self.hidden_size}, {self.num_layers}, {self.has_bias}, "
            f"{self.bidirectional}, {self.dropout}, batch_first={self.batch_first}, "
            f"weight_layout={self.weight_layout!r}"
            + ("" if self._cell == STANDARD else f", cell={self._cell}")
            + (", direction='reverse'" if self._reverse else "")
        )

    @property
    def weight_size(self) -> int:
        """The number of elements of the flat weight `w`."""
        return self._weight_size

    def reserve_size(self, seq_len: int, batch: int) -> int:
        """Return r: a training call's `reserve`, and the workspace of `data`, have shape (r, 1).

        Parameters
        ----------
        seq_len : int
            Time steps, at least 1.
        batch : int
            Sequences, at least 0.

        Raises
        ------
        TypeError, ValueError
            If an argument is not such an int.
        MemoryError
            If the reserve would be larger than any memory.
        """
        seq_len = _validate.integer(seq_len, "seq_len", 1)
        batch = _validate.integer(batch, "batch", 0)
        return core.tape_elements(self._problem(seq_len, batch, NO_DROPOUT))

    def _flat_weight(self, w: Any, x: RealArray, x_name: str) -> Any:
        """Return a flat weight as an array of x's dtype and of the right size."""
        shapes = {getattr(item, "shape", ()) for item in w} if isinstance(w, list | tuple) else ()
        if len(shapes) > 1:  # `lstm` takes it so
            raise ValueError(
                f"w: expected one flat array of weight_size elements, {self.weight_size}, got a "
                f"{type(w).__name__} of {len(w)} arrays of several shapes"
            )
        flat: RealArray | _device.BorrowedArray = as_real(w, "w", x, x_name)
        if flat.size != self.weight_size:
            sizes = " or ".join(
                f"{flat_size(self._sizes, self.has_bias, layout, self._cell.peepholes)} "
                f"for {layout!r}"
                for layout in WEIGHT_LAYOUTS
            )
            raise ValueError(
                f"w: expected {self.weight_size} elements (weight_layout={self.weight_layout!r}; "
                f"the layouts need {sizes}), got {flat.size} in shape {flat.shape}"
            )
        if isinstance(flat, _device.BorrowedArray) and not flat.is_contiguous:
            raise ValueError(f"w: expected an array in C order, got strides {flat.strides}")
        return flat

    def _cells(self, w: RealArray) -> list[CellWeights]:
        """Return views of a flat weight, or of its gradient."""
        return from_flat(w, self._sizes, self._offsets())

    def _problem(
        self,
        seq_len: int,
        batch: int,
        masks: Dropout,
        threads: int = 0,
        training: bool = True,
    ) -> Problem:
        return Problem(
            self._sizes,
            seq_len,
            batch,
            dropout=masks,
            threads=threads,
            cell=self._cell,
            reverse=self._reverse,
            recurrent_dropout=self._cell.recurrent_dropout if training else 0.0,
        )

    def _offsets(self) -> list[Offsets]:
        return flat_offsets(self._sizes, self.has_bias, self.weight_layout, self._cell.peepholes)


@dataclass(frozen=True, eq=False, repr=False)
class LSTM(Operator):
    """Long short-term memory as an operator with one flat weight.

    The interface is the one that MindSpore documents for `mindspore.ops.LSTM`; keyword-only
    parameters are extensions. See `lstm` for the equations, the gate order (i, f, g, o) and the
    letters T, N, I, H, L and D.

    Parameters
    ----------
    input_size : int
        Features of the input, I, at least 1.
    hidden_size : int
        Features of the hidden state, H, at least 1.
    num_layers : int
        Stacked layers, L, from 1 to 65536.
    has_bias : bool
        Whether the weight holds the biases b_ih and b_hh.
    bidirectional : bool
        Whether every layer also runs over the reversed sequence.
    dropout : float
        From 0.0 to 1.0: the rate at which the outputs of each layer but the last are dropped.
    batch_first : bool, default False
        Whether input and output are (N, T, ...) instead of (T, N, ...).
    weight_layout : {"mindspore_gpu", "mindspore_cpu"}
        How the flat weight is laid out. "mindspore_gpu", the default, is cuDNN's: for each layer,
        for each direction w_ih (4 * H, layer's input size) and w_hh (4 * H, H); after all matrices,
        for each layer, for each direction b_ih (4 * H) and b_hh (4 * H). "mindspore_cpu": all w_ih,
        then all w_hh, then one bias (4 * H) per layer and direction, the sum of the two. With a
        projection, w_hr (P, H) follows each w_hh, or all w_hr follow all w_hh; h then has P
        columns, c has H. Peepholes, where `cell` has them, follow in both layouts, (3 * H) for each
        layer and direction.
    training : bool, default True
        Whether calls apply dropout and fill `reserve`; a call can say otherwise.
    device : {"cpu", "cuda"} or lstm_native.cuda.Device
        Where calls compute, see `lstm`; a call can say otherwise.
    cell : Cell, optional
        The cell, where it is not the standard one; see `lstm`.
    direction : {"forward", "reverse"}
        Which end of a sequence the one direction begins with, see `lstm`.

    Raises
    ------
    TypeError
        If input_size, hidden_size or num_layers is not an int, has_bias or bidirectional is not a
        bool, or dropout is not a float.
    ValueError
        If dropout is not in the range [0.0, 1.0], or a size is below 1.

    Warns
    -----
    UserWarning
        If `dropout` is set and `training` is true but there is one layer only.

    Examples
    --------
    >>> import numpy as np
    >>> import lstm_native
    >>> net = lstm_native.LSTM(10, 2, 1, True, False, 0.0)
    >>> x = np.ones([5, 2, 10], np.float32)
    >>> h0 = c0 = np.ones([1, 2, 2], np.float32)
    >>> w = np.ones([112, 1, 1], np.float32)
    >>> output, h_n, c_n, reserve, state = net(x, h0, c0, w)
    >>> print(output[0])
    [[0.9640267 0.9640267]
     [0.9640267 0.9640267]]
    """

    training: bool = field(default=True, kw_only=True)
    _operator: core.Operator | None = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        super().__post_init__()
        vars(self).update(training=_validate.boolean(self.training, "training"))
        self._make_operator()
        if self.dropout > 0.0 and self.num_layers == 1 and self.training:
            _validate.warn_single_layer(self.dropout, stacklevel=3)

    def _make_operator(self) -> None:
        """Make the core's operator, which calls without conversions go through.

        None where `w` is larger than any memory, or hidden states are dropped.
        """
        operator = None
        if self._weight_size < _LARGEST and self._cell.recurrent_dropout == 0.0:
            form = (self.batch_first, self._cell, self._reverse)
            operator = core.Operator(self._sizes, form, self._weight_size, self._offsets())
        vars(self).update(_operator=operator)

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in vars(self).items() if name != "_operator"}

    def __setstate__(self, state: dict[str, Any]) -> None:
        vars(self).update(state)
        self._make_operator()

    def _described(self) -> str:
        return f"{super()._described()}, training={self.training}"

    @overload
    def __call__(
        self,
        input: Array,
        h: ArrayLike,
        c: ArrayLike,
        w: ArrayLike | PackedWeights,
        *,
        state: IntegersLike | None = None,
        training: bool | None = None,
        num_threads: int | None = None,
        device: DeviceLike | None = None,
    ) -> tuple[Array, Array, Array, Array, npt.NDArray[np.int64]]: ...
    @overload
    def __call__(
        self,
        input: ArrayLike,
        h: ArrayLike,
        c: ArrayLike,
        w: ArrayLike | PackedWeights,
        *,
        state: IntegersLike | None = None,
        training: bool | None = None,
        num_threads: int | None = None,
        device: DeviceLike | None = None,
    ) -> tuple[Any, Any, Any, Any, npt.NDArray[np.int64]]: ...
    def __call__(
        self,
        input: ArrayLike,
        h: ArrayLike,
        c: ArrayLike,
        w: ArrayLike | PackedWeights,
        *,
        state: IntegersLike | None = None,
        training: bool | None = None,
        num_threads: int | None = None,
        device: DeviceLike | None = None,
    ) -> tuple[Any, Any, Any, Any, npt.NDArray[np.int64]]:
        """Run the operator.

        Parameters
        ----------
        input : array, float32 or float64
            Shape (T, N, I), or (N, T, I) if `batch_first`. T is at least 1; N may be 0.
        h, c : array
            Initial hidden and cell state, shape (L * D, N, H).
        w : array, or PackedWeights
            The flat weight: any shape with `weight_size` elements, read in C order. Or what
            `pack_weights` made of the same sizes, with biases if `has_bias`.
        state : array, optional
            The `state` that an earlier call returned: its dropout masks are used again. Without it,
            masks come from the process-wide generator, see `manual_seed`.
        training : bool, optional
            In place of the constructor's.
        num_threads : int, optional
            From 1 to 128; see `set_num_threads` for the default. Results don't depend on it.
        device : {"cpu", "cuda"} or lstm_native.cuda.Device, optional
            In place of the constructor's.

        Returns
        -------
        output : numpy.ndarray
            The last layer's hidden states, shape (T, N, D * H), or (N, T, D * H) if `batch_first`.
        h_n, c_n : numpy.ndarray
            Final hidden and cell state, shape (L * D, N, H).
        reserve : numpy.ndarray
            What a backward pass needs, shape (r, 1), input's dtype: a header of 32 elements, then
            for each layer, for each direction the gates (T, N, 4, H), activated, in the order
            i, f, g, o, and the cell states (T, N, H); with a projection also the hidden states
            (T, N, P). Other cells keep something else in the gates' place, see docs/reserve.md.
            (0, 1) where `training` is false.
        state : numpy.ndarray
            Key and counter of the generator before this call, shape (2, 1), int64 (the bits of two
            unsigned numbers).

        Raises
        ------
        TypeError
            If an argument has the wrong type, or an array is not of input's dtype, or that dtype is
            neither float32 nor float64.
        ValueError
            If a shape is wrong or `w` has the wrong number of elements.
        MemoryError
            If the results or the working memory can't be allocated.
        RuntimeError
            If there is no CUDA where `device` asks for it, or CUDA reports an error.
        """
        training = self.training if training is None else _validate.boolean(training, "training")
        threads = _config.threads_for_call(num_threads)
        given = None if state is None else _random.from_state(state)
        device = self.device if device is None else device
        rate = self.dropout if training and self.num_layers > 1 else 0.0
        if given is None and (rate > 0.0 or (training and self._cell.recurrent_dropout > 0.0)):
            key, counter = _random.generator.take()
            masks = rate, key, counter
            with _random.MasksOfCall(key, counter, drawn=True):
                return self._run((input, h, c, w), masks, training, threads, device)
        masks = (rate, *(given or _random.generator.peek()))
        return self._run((input, h, c, w), masks, training, threads, device)

    def _run(
        self,
        arrays: tuple[Any, Any, Any, Any],
        masks: tuple[float, int, int],
        training: bool,
        threads: int,
        device: Any,
    ) -> tuple[RealArray, RealArray, RealArray, RealArray, npt.NDArray[np.int64]]:
        input, h, c, w = arrays
        if type(device) is str and device == "cpu" and self._operator is not None:
            weights = w._core if type(w) is PackedWeights and self._fits(w) else w
            results = self._operator.run_if_plain(input, (h, c), weights, masks, training, threads)
            if results is not None:  # nothing to convert
                return results
        problem = self._problem(0, 0, Dropout(*masks), threads, training)
        call = self._prepare(arrays, problem, device)
        output, h_n, c_n, tape = forward(call._replace(tape="gates" if training else None))
        reserve = empty(call, (0, 1)) if tape is None else tape
        used = _random.to_state(*masks[1:])
        return output, h_n, c_n, returned(call, reserve), used

    def _prepare(
        self, arrays: tuple[Any, Any, Any, Any], problem: Problem, device: DeviceLike
    ) -> ForwardCall:
        input, h, c, w = arrays
        target = cuda.target_of(device, input)
        if target is not None:
            _validate.of_cuda(self._cell, self._reverse)
            input, h, c, w = (
                _device.take(array, name, target)
                for array, name in zip(arrays, ("input", "h", "c", "w"), strict=True)
            )
        elif isinstance(w, PackedWeights) and w.weight_dtype is not None:
            input, h, c = map(widened, (input, h, c))
        x = as_real(input, "input")
        seq_len, batch = _validate.input_shape(x, self._sizes, self.batch_first, None)
        h_0 = as_real(h, "h", x, "input")
        _validate.hidden_shape(h_0, "h", self._sizes, batch)
        c_0 = as_real(c, "c", x, "input")
        _validate.cell_shape(c_0, "c", self._sizes, batch)
        return ForwardCall(
            problem=problem._replace(seq_len=seq_len, batch=batch),
            input=x,
            h_0=h_0,
            c_0=c_0,
            weights=self._weights_of(w, x, target),
            batch_first=self.batch_first,
            target=target,
        )

    def _fits(self, packed: PackedWeights) -> bool:
        has_bias = packed.has_ih_bias or packed.has_hh_bias
        own, cell = packed.cell, self._cell
        same_cell = own == cell or (own == STANDARD and not cell.peepholes)
        return packed._sizes == self._sizes and has_bias == self.has_bias and same_cell

    def _weights_of(
        self, w: Any, x: RealArray, target: _device.Target | None
    ) -> list[CellWeights] | core.PackedWeights:
        if isinstance(w, PackedWeights):
            check_dtype(w, "w", x)
            if not self._fits(w):
                raise ValueError(
                    f"w: expected PackedWeights of the sizes of {self}, got {w} with "
                    f"has_ih_bias={w.has_ih_bias}, has_hh_bias={w.has_hh_bias}"
                )
            return w._core if target is None else unpacked(w)[1]
        hint = packed_hint(w)
        if hint:
            raise TypeError(
                f"w: expected an array or PackedWeights, got {_validate.described(w)}{hint}"
            )
        return self._cells(self._flat_weight(w, x, "input"))


# Elements of a flat weight that an index counts, with room to spare.
_LARGEST = 2**60
