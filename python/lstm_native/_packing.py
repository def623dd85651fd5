"""The class `PackedWeights`, and `pack_weights`, which makes them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING, Any, TypeAlias, get_args

import numpy as np

from lstm_native import _validate
from lstm_native._arrays import RealArray
from lstm_native._cell import STANDARD, Cell
from lstm_native._extension import core
from lstm_native._gate_order import IFGO, check_gate_order, reordered
from lstm_native._run import CellWeights
from lstm_native._sizes import Sizes
from lstm_native._types import ArrayLike, Compute, OutDtype, WeightDtype
from lstm_native._weights import Present, from_sequence, sequence_names

if TYPE_CHECKING:
    import numpy.typing as npt

_WEIGHT_DTYPES: tuple[WeightDtype, ...] = get_args(WeightDtype)
_COMPUTES: tuple[Compute, ...] = get_args(Compute)
_OUT_DTYPES: tuple[OutDtype, ...] = get_args(OutDtype)
_ELEMENTS_AT_ONCE = 1 << 18
# A row's scale is a 127th of its largest magnitude, rounded up to 16 bits; 127 scales are finite.
_MOST_IN_STEPS = np.finfo(np.float32).max * np.float32(1 - 2.0**-15)


@dataclass(frozen=True, init=False, eq=False, repr=False)
class PackedWeights:
    """A stack's weights in the order in which the kernels read them. Made by `pack_weights`.

    Immutable: any number of threads may use the same one. Pickling keeps the arrays, not their
    packed form, so that a pickle can be read on another CPU.

    Attributes
    ----------
    input_size, hidden_size, num_layers : int
    bidirectional, weights_transposed, has_ih_bias, has_hh_bias : bool
        As given to `pack_weights`, or as the arrays have them.
    dtype : numpy.dtype
        float32 or float64: what calls compute in.
    weight_dtype : str or None
        "float16", "bfloat16" or "int8" where the matrices are stored in fewer bits than `dtype`.
    compute : str or None
        "bfloat16" or "int8" where inputs and hidden states are rounded to it, too.
    weight_error : float
        What rounding changed in the matrices: the root mean square of the differences over that of
        the values. 0.0 where the matrices are stored as they were given.
    cell : Cell
        What calls with these weights compute, unless they say otherwise.
    nbytes : int
        Memory held.
    """

    num_layers: int
    bidirectional: bool
    dtype: np.dtype[Any]
    weight_dtype: WeightDtype | None
    compute: Compute | None
    weight_error: float
    cell: Cell
    _core: core.PackedWeights
    _sizes: Sizes
    _vectors: tuple[tuple[RealArray | None, ...], ...]
    _flags: tuple[bool, bool, bool]

    def __init__(self) -> None:
        raise TypeError("PackedWeights are made by pack_weights()")

    @property
    def input_size(self) -> int:
        return self._sizes.input_size

    @property
    def hidden_size(self) -> int:
        return self._sizes.hidden_size

    @property
    def weights_transposed(self) -> bool:
        return self._flags[0]

    @property
    def has_ih_bias(self) -> bool:
        return self._flags[1]

    @property
    def has_hh_bias(self) -> bool:
        return self._flags[2]

    @property
    def nbytes(self) -> int:
        vectors = (v.nbytes for of_cell in self._vectors for v in of_cell if v is not None)
        return self._core.nbytes + sum(vectors)

    def unpack(self) -> tuple[RealArray, ...]:
        """Return the arrays that were packed, in their order and shapes, with gates as i, f, g, o.

        Equal to the originals, bit for bit; matrices stored in 16 or 8 bits come back as float32
        with the values that they were rounded to.
        """
        arrays: list[RealArray] = []
        for cell, vectors in enumerate(self._vectors):
            w_ih, w_hh, *w_hr = (
                _transposed(matrix) if self.weights_transposed else matrix
                for matrix in self._core.matrices(cell)
            )
            arrays += [w_ih, w_hh, *(v.copy() for v in vectors if v is not None), *w_hr]
        return tuple(arrays)

    def __repr__(self) -> str:
        stored = f", weight_dtype={self.weight_dtype!r}" if self.weight_dtype else ""
        if self.compute:
            stored += f", compute={self.compute!r}"
        stored += "" if self.cell == STANDARD else f", {self.cell}"
        return (
            f"<PackedWeights: input_size={self.input_size}, hidden_size={self.hidden_size}, "
            f"num_layers={self.num_layers}, bidirectional={self.bidirectional}, "
            f"{self.dtype}{stored}, {self.nbytes} bytes>"
        )

    def __copy__(self) -> PackedWeights:
        return self

    def __deepcopy__(self, memo: object) -> PackedWeights:
        return self

    def __reduce__(self) -> tuple[Any, ...]:
        arguments = (self.unpack(), self.num_layers, self.bidirectional, *self._flags)
        formats = (self.weight_dtype, self.compute, self.weight_error)
        return _packed, (*arguments, formats, self.cell)


# What `lstm` takes as its weights.
Weights: TypeAlias = PackedWeights | Sequence[ArrayLike]


def pack_weights(
    all_weights: Sequence[ArrayLike],
    num_layers: int,
    bidirectional: bool,
    weights_transposed: bool = False,
    has_ih_bias: bool = True,
    has_hh_bias: bool = True,
    *,
    weight_dtype: WeightDtype | None = None,
    compute: Compute | None = None,
    gate_order: str = IFGO,
    cell: Cell | None = None,
) -> PackedWeights:
    """Bring a stack's weights into the order in which the kernels read them, once for many calls.

    Parameters
    ----------
    all_weights, num_layers, bidirectional, weights_transposed, has_ih_bias, has_hh_bias
        As for `lstm`. The arrays are copied.
    weight_dtype : {"float16", "bfloat16", "int8"}, optional
        Store the matrices in 16 bits, or in 8 with a scale for each gate of each unit: a half or a
        quarter of the memory to read, which is what bounds a step of one sequence with a large
        hidden_size. Biases, gates, states and results stay float32. With 16 bits, so do all
        products. With "int8", products are integers: hidden states are rounded to 8 bits of their
        row's largest magnitude (15 bits where that is beyond 1), inputs to 15 bits, anew at each
        step; the sums are exact. A row with an input or a hidden state that is not finite gives
        NaN. `docs/precision.md` has errors and times.
    compute : {"bfloat16", "int8"}, optional
        The same as `weight_dtype`: round inputs and hidden states to it, too. That is faster
        where many rows share the weights. "bfloat16": sums are float32. "int8": inputs have 8
        bits of the range of their row.
    gate_order : str, default "ifgo"
        In which order the arrays hold the gates: the letters i, f, g (or c, for the candidate) and
        o. PyTorch, cuDNN and Keras store "ifgo", ONNX "iofc", OpenVINO "fico". `unpack` always
        returns "ifgo". Peepholes always come as i, f, o.
    cell : Cell, optional
        The cell of calls with these weights, where it is not the standard one; see `lstm`.

    Returns
    -------
    PackedWeights
        To be passed as `all_weights` to `lstm`, as `w` to an `LSTM`, or to a `Stream`.

    Raises
    ------
    TypeError
        If an argument has the wrong type, or the arrays are not all of one dtype, float32 or
        float64; if `weight_dtype` is set and they are not float32.
    ValueError
        If a shape or a size is wrong, `gate_order` is none, a weight is too large for
        `weight_dtype` (or not finite, with "int8"), or `compute` does not go with it. The message
        names the argument, what was expected and what came.
    MemoryError
        If the memory can't be allocated.

    Examples
    --------
    >>> import numpy as np
    >>> import lstm_native
    >>> weights = [np.ones(s, np.float32) for s in [(8, 10), (8, 2), (8,), (8,)]]
    >>> packed = lstm_native.pack_weights(weights, 1, False)
    >>> x, state = np.ones((5, 2, 10), np.float32), np.ones((1, 2, 2), np.float32)
    >>> output, h_n, c_n = lstm_native.lstm(x, (state, state), packed, 1, 0.0, False, False)
    >>> output.shape
    (5, 2, 2)
    """
    check_sequence(all_weights)
    num_layers = _validate.layer_count(num_layers)
    bidirectional = _validate.boolean(bidirectional, "bidirectional")
    transposed = _validate.boolean(weights_transposed, "weights_transposed")
    checked = _validate.cell(cell)
    _validate.cell_of_directions(checked, bidirectional)
    present = Present(
        _validate.boolean(has_ih_bias, "has_ih_bias"),
        _validate.boolean(has_hh_bias, "has_hh_bias"),
        checked.peepholes,
        checked.proj_size,
    )
    stored = check_weight_dtype(weight_dtype)
    computed_in = check_compute(compute, stored)
    order = check_gate_order(gate_order)
    sizes, weights = from_sequence(
        all_weights, None, num_layers, bidirectional, transposed, present
    )
    if order != IFGO:
        weights = [_in_order(of_cell, order) for of_cell in weights]
    dtype = weights[0].input.dtype
    if stored is not None:
        if dtype != np.float32:
            raise TypeError(
                f"weight_dtype: expected None for weights of dtype {dtype}, got {stored!r}"
            )
        names = iter(sequence_names(num_layers, bidirectional, present))
        for of_cell in weights:
            for array, name in zip((a for a in of_cell if a is not None), names, strict=False):
                if array.ndim == 2:
                    _check_storable(array, name, stored)
    kept = [_in_steps(of_cell) for of_cell in weights] if stored == "int8" else weights
    made = core.PackedWeights(kept, bidirectional, format_name(stored, computed_in), checked)
    packed = PackedWeights.__new__(PackedWeights)
    vars(packed).update(
        num_layers=num_layers,
        bidirectional=bidirectional,
        dtype=dtype,
        weight_dtype=stored,
        compute=computed_in,
        weight_error=0.0 if stored is None else _relative_error(weights, made),
        cell=checked,
        _core=made,
        _sizes=sizes,
        _vectors=tuple(
            tuple(
                None if vector is None else vector.copy()
                for vector in (of_cell.input_bias, of_cell.hidden_bias, of_cell.peephole)
            )
            for of_cell in weights
        ),
        _flags=(transposed, present.ih_bias, present.hh_bias),
    )
    return packed


def _in_order(cell: CellWeights, order: str) -> CellWeights:
    """Return a direction's weights with the gates in the core's order."""
    moved = {
        name: reordered(array, order)
        for name, array in cell._asdict().items()
        if array is not None and name not in ("peephole", "projection")
    }
    return cell._replace(**moved)


def from_packed(
    packed: PackedWeights,
    like: RealArray,
    num_layers: int | None,
    bidirectional: bool | None,
    flags: tuple[bool, bool, bool],
) -> tuple[Sizes, core.PackedWeights]:
    """Check packed weights against a call's arguments; return their sizes and the core's weights.

    num_layers, bidirectional: None where the call leaves them to the weights. flags:
    weights_transposed, has_ih_bias, has_hh_bias; each may also be the default.
    """
    check_dtype(packed, "all_weights", like)
    transposed, has_ih, has_hh = packed._flags
    for name, given, own, default in (
        ("num_layers", num_layers, packed.num_layers, None),
        ("bidirectional", bidirectional, packed.bidirectional, None),
        ("weights_transposed", flags[0], transposed, False),
        ("has_ih_bias", flags[1], has_ih, True),
        ("has_hh_bias", flags[2], has_hh, True),
    ):
        if given not in (own, default):
            raise ValueError(f"{name}: expected {own}, as all_weights were packed, got {given}")
    return packed._sizes, packed._core


def unpacked(packed: PackedWeights) -> tuple[Sizes, list[CellWeights]]:
    """Return packed weights' sizes, and the arrays that `unpack()` gives, as a call reads them."""
    transposed, has_ih, has_hh = packed._flags
    return from_sequence(
        packed.unpack(),
        None,
        packed.num_layers,
        packed.bidirectional,
        transposed,
        Present(has_ih, has_hh, packed.cell.peepholes, packed.cell.proj_size),
    )


def cell_of_call(cell: Any, all_weights: Any, bidirectional: bool | None) -> Cell:
    """Check a call's cell; return it, or where none is given that of the weights."""
    given = _validate.cell(cell)
    if isinstance(all_weights, PackedWeights):
        own = all_weights.cell
        bidirectional = all_weights.bidirectional
        if cell is None:
            return own
        if given != own and (own != STANDARD or given.peepholes or given.proj_size):
            raise ValueError(f"cell: expected {own}, as all_weights were packed, got {given}")
    if bidirectional is not None:
        _validate.cell_of_directions(given, bidirectional)
    return given


def check_sequence(all_weights: object, other: str = "") -> None:
    """Refuse weights that are no sequence of arrays; other: what else the caller takes."""
    buffers = str | bytes | bytearray | memoryview  # sequences, too, but not of arrays
    if not isinstance(all_weights, Sequence) or isinstance(all_weights, buffers):
        raise TypeError(
            f"all_weights: expected a tuple or list of arrays{other}, "
            f"got {_validate.described(all_weights)}{packed_hint(all_weights)}"
        )


def packed_hint(value: object) -> str:
    """Return what to write instead of a Model or another holder of packed weights."""
    held = isinstance(getattr(value, "packed", None), PackedWeights)
    return f"; packed weights are the {type(value).__name__}'s attribute `packed`" if held else ""


def check_dtype(packed: PackedWeights, name: str, like: RealArray) -> None:
    """Check that packed weights are for calls with this input."""
    if packed.dtype != like.dtype:
        raise TypeError(
            f"{name}: expected dtype {like.dtype}, the same as input, got PackedWeights of "
            f"dtype {packed.dtype}"
        )


def _packed(*arguments: Any) -> PackedWeights:
    """Rebuild what was pickled."""
    *arrays_and_flags, (weight_dtype, compute, weight_error), cell = arguments
    packed = pack_weights(*arrays_and_flags, weight_dtype=weight_dtype, compute=compute, cell=cell)
    vars(packed)["weight_error"] = weight_error  # that of the first packing
    return packed


def check_weight_dtype(value: object) -> WeightDtype | None:
    """Return the type of stored matrices, or None."""
    if value is None:
        return None
    return _validate.choice(value, "weight_dtype", _WEIGHT_DTYPES, " or None")


def check_compute(value: object, stored: WeightDtype | None) -> Compute | None:
    """Return the type that products are computed in, or None for that of the arrays."""
    if value is None:
        return None
    compute = _validate.choice(value, "compute", _COMPUTES, " or None")
    if compute != stored:
        raise ValueError(
            f"compute: expected None or the same as weight_dtype, {stored!r}, got {compute!r}"
        )
    return compute


def check_out_dtype(value: object, weights: object, device: object) -> np.dtype[Any]:
    """Return the dtype of a call's results. Only weights in a weight_dtype leave a choice."""
    try:
        name = value if isinstance(value, str) else np.dtype(value).name  # type: ignore[call-overload]
    except TypeError as reason:
        expected = " or ".join(map(repr, _OUT_DTYPES))
        raise TypeError(
            f"out_dtype: expected {expected} or None, got {_validate.described(value)}"
        ) from reason
    checked = _validate.choice(name, "out_dtype", _OUT_DTYPES, " or None")
    if not (isinstance(weights, PackedWeights) and weights.weight_dtype is not None):
        raise ValueError(
            "out_dtype: expected None where weights are not packed in a weight_dtype, "
            f"got {checked!r}"
        )
    if device != "cpu":
        raise ValueError(f"out_dtype: expected None on a device, got {checked!r}")
    if checked != "bfloat16":
        return np.dtype(checked)
    try:
        bfloat16: np.dtype[Any] = np.dtype(import_module("ml_dtypes").bfloat16)
    except ImportError as reason:
        raise ImportError("out_dtype: 'bfloat16' needs the package ml_dtypes") from reason
    return bfloat16


_PRODUCTS = "_products"


def dtypes_of_format(name: str) -> tuple[WeightDtype | None, Compute | None]:
    """Return the types that matrices are stored and products are computed in."""
    stored = name.removesuffix(_PRODUCTS)
    return (
        next((dtype for dtype in _WEIGHT_DTYPES if dtype == stored), None),
        next((dtype for dtype in _COMPUTES if f"{dtype}{_PRODUCTS}" == name), None),
    )


def format_name(stored: WeightDtype | None, compute: Compute | None) -> str:
    """Return the core's name of a format."""
    return f"{compute}{_PRODUCTS}" if compute else stored or "native"


def _parts(matrix: npt.NDArray[Any]) -> Iterator[slice]:
    """Yield parts of a matrix's rows, each some milliseconds' work, because signals wait."""
    count = max(1, _ELEMENTS_AT_ONCE // matrix.shape[1])
    for first in range(0, matrix.shape[0], count):
        yield slice(first, first + count)


def _check_storable(matrix: RealArray, name: str, stored: WeightDtype) -> None:
    limits = core.storable(stored)
    if limits["most_columns"] and matrix.shape[1] > limits["most_columns"]:
        raise ValueError(
            f"{name}: expected at most {limits['most_columns']} columns with weight_dtype "
            f"{stored!r}, got {matrix.shape[1]}"
        )
    for part in _parts(matrix):
        finite = np.isfinite(matrix[part])
        if limits["finite_only"] and not finite.all():
            expected, wrong = f"finite values with weight_dtype {stored!r}", ~finite
        elif limits["finite_only"]:
            expected = f"values that {stored} can hold"
            wrong = np.abs(matrix[part]) > _MOST_IN_STEPS
        else:
            expected = f"values that {stored} can hold"
            wrong = finite & (np.abs(matrix[part]) >= limits["infinite_from"])
        if wrong.any():
            raise ValueError(f"{name}: expected {expected}, got {matrix[part][wrong][0]}")


def _in_steps(cell: CellWeights) -> CellWeights:
    """Return matrices whose tiniest rows are packed in 8 bits again and again without a change."""
    return cell._replace(
        input=_with_tiny_rows_in_steps(cell.input),
        hidden=_with_tiny_rows_in_steps(cell.hidden),
        projection=None if cell.projection is None else _with_tiny_rows_in_steps(cell.projection),
    )


def _with_tiny_rows_in_steps(matrix: RealArray) -> RealArray:
    changed = None
    for part in _parts(matrix):
        largest = np.abs(matrix[part]).max(axis=1)
        tiny = (largest < np.finfo(np.float32).smallest_normal) & (largest > 0)
        if tiny.any():
            changed = matrix.copy() if changed is None else changed
            changed[part][tiny] = _rows_in_steps(matrix[part][tiny])
    return matrix if changed is None else changed


def _rows_in_steps(rows: RealArray) -> RealArray:
    """Round subnormal rows to the multiples of a scale that is found again in the result.

    The scale is a 127th of the largest magnitude, which a subnormal number holds in few bits: what
    it makes of a row may have another 127th. Then the largest magnitude becomes one step larger.
    """
    units = np.ldexp(rows.astype(np.float64), 149)  # multiples of the least subnormal number
    largest = np.abs(units).max(axis=1, keepdims=True)
    scale = np.rint(largest / 127)
    steps = np.clip(np.rint(units / np.maximum(scale, 1)), -127, 127)
    most = np.abs(steps).max(axis=1, keepdims=True)
    another = (127 - most) * scale >= 127 / 2
    steps += np.where(another & (np.abs(steps) == most), np.sign(steps), 0)
    rounded: RealArray = np.ldexp(steps * scale, -149).astype(np.float32)
    return rounded


def _relative_error(given: list[CellWeights], packed: core.PackedWeights) -> float:
    """Return the error of stored matrices, as `PackedWeights.weight_error` has it."""
    changed = total = 0.0
    for cell, weights in enumerate(given):
        matrices = (weights.input, weights.hidden, weights.projection)
        present = (matrix for matrix in matrices if matrix is not None)
        for whole, rounded in zip(present, packed.matrices(cell), strict=True):
            for part in _parts(whole):
                values = whole[part][np.isfinite(whole[part])].astype(np.float64)
                difference = values - rounded[part][np.isfinite(whole[part])]
                changed += float(difference @ difference)
                total += float(values @ values)
    return float(np.sqrt(changed / total)) if total > 0.0 else 0.0


def _transposed(matrix: RealArray) -> RealArray:
    """Return the transpose, as a copy in C order."""
    copy: RealArray = np.empty(matrix.shape[::-1], matrix.dtype)
    for part in _parts(matrix):
        copy[:, part] = matrix[part].T
    return copy
