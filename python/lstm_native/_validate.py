"""Checks of single arguments. Every message names the argument, what was expected and what came."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any, TypeVar, get_args

import numpy as np

from lstm_native._arrays import RealArray, as_array
from lstm_native._cell import STANDARD, Cell
from lstm_native._messages import scalar
from lstm_native._sizes import Sizes
from lstm_native._types import Direction, MaskedOutput

if TYPE_CHECKING:
    import numpy.typing as npt

Choice = TypeVar("Choice", bound=str)

_DIRECTIONS: tuple[Direction, ...] = get_args(Direction)
_MASKED_OUTPUTS: tuple[MaskedOutput, ...] = get_args(MaskedOutput)
LARGEST_SIZE = 2**63 - 1

# Each layer's arrays are checked one by one: with more layers that would take minutes.
MOST_LAYERS = 2**16


def unmasked_result(value: Any, name: str) -> None:
    """Refuse a masked array for a result, whose mask would not be kept."""
    if isinstance(value, np.ma.MaskedArray):
        raise TypeError(
            f"{name}: expected a numpy.ndarray without a mask, got a numpy.ma.MaskedArray"
        )


def described(value: Any) -> str:
    """Return a short description of any value, for messages: its type, and a scalar's value."""
    if value is None:
        return "None"
    type_name = type(value).__name__
    if isinstance(value, np.ndarray):
        return f"{type_name} of shape {value.shape}"
    if isinstance(value, np.generic | int | float | complex | str | bytes):
        return f"{type_name} {scalar(value)}"
    return type_name


def integer(value: Any, name: str, low: int, high: int | None = None) -> int:
    """Return an int within [low, high], not a bool. Without `high`, it must fit an index."""
    if type(value) is int and low <= value <= (LARGEST_SIZE if high is None else high):
        return value
    bounds = f"an int of at least {low}" if high is None else f"an int from {low} to {high}"
    if isinstance(value, bool | np.bool_) or not isinstance(value, int | np.integer):
        raise TypeError(f"{name}: expected {bounds}, got {described(value)}")
    number = int(value)
    if high is None and number > LARGEST_SIZE:
        high = LARGEST_SIZE
        bounds = f"an int from {low} to {high}"
    if number < low or (high is not None and number > high):
        raise ValueError(f"{name}: expected {bounds}, got {scalar(number)}")
    return number


def layer_count(value: Any) -> int:
    """Return `num_layers`."""
    return integer(value, "num_layers", 1, MOST_LAYERS)


def not_left_out(num_layers: object, bidirectional: object) -> None:
    """Refuse a call that leaves out what only packed weights know."""
    for name, value, expected in (
        ("num_layers", num_layers, f"an int from 1 to {MOST_LAYERS}"),
        ("bidirectional", bidirectional, "a bool"),
    ):
        if value is None:
            raise TypeError(
                f"{name}: expected {expected}, got None; it may be left out with PackedWeights only"
            )


def boolean(value: Any, name: str) -> bool:
    """Return a bool; 0 and 1 are refused."""
    if value is True or value is False:
        return value
    if not isinstance(value, bool | np.bool_):
        raise TypeError(f"{name}: expected a bool, got {described(value)}")
    return bool(value)


def cell(value: Any) -> Cell:
    """Return a cell; None is the standard one."""
    if value is None:
        return STANDARD
    if not isinstance(value, Cell):
        raise TypeError(f"cell: expected a Cell or None, got {described(value)}")
    return value


def direction(value: object, bidirectional: bool | None) -> bool:
    """Return whether the one direction begins with the end of a sequence."""
    chosen = choice(value, "direction", _DIRECTIONS)
    if chosen == "reverse" and bidirectional:
        raise ValueError("direction: expected 'forward' where bidirectional is True, got 'reverse'")
    return chosen == "reverse"


def cell_of_directions(value: Cell, bidirectional: bool) -> None:
    """Refuse activations for two directions where there is one."""
    if value.triples == 2 and not bidirectional:
        raise ValueError(
            "cell: expected the activations of one direction, because bidirectional is False, "
            f"got {value}"
        )


def of_cuda(value: Cell, reverse: bool, mask: object = None) -> None:
    """Refuse a cell, a direction or a mask that the CUDA target lacks."""
    if mask is not None:
        raise ValueError(f"mask: expected None on CUDA, got {described(mask)}")
    if reverse:
        raise ValueError("direction: expected 'forward' on CUDA, got 'reverse'")
    if value != STANDARD:
        raise ValueError(f"cell: expected {STANDARD} on CUDA, got {value}")


def dropout_rate(value: Any, name: str, integers: bool) -> float:
    """Return a float within [0, 1]; integers: whether an int counts as one."""
    accepted = (float, np.floating, int, np.integer) if integers else (float, np.floating)
    if isinstance(value, bool | np.bool_) or not isinstance(value, accepted):
        raise TypeError(f"{name}: expected a float from 0.0 to 1.0, got {described(value)}")
    if not 0.0 <= value <= 1.0:  # NaN is refused, too
        raise ValueError(f"{name}: expected a float from 0.0 to 1.0, got {scalar(value)}")
    return float(value)


def choice(value: object, name: str, choices: tuple[Choice, ...], other: str = "") -> Choice:
    """Return the one of the choices that a value equals; other: what else callers may give."""
    for one in choices:
        if isinstance(value, str) and value == one:
            return one
    expected = " or ".join(map(repr, choices)) + other
    if isinstance(value, str):
        raise ValueError(f"{name}: expected {expected}, got {scalar(value)}")
    raise TypeError(f"{name}: expected {expected}, got {described(value)}")


def shape(
    array: np.ndarray[Any, Any],
    name: str,
    expected: tuple[int | None, ...],
    meaning: tuple[str, ...],
) -> None:
    """Compare an array's shape with the expected sizes (None: any) and their meaning.

    Every call pays for the comparison, only a wrong one for the explanation.
    """
    if array.shape == expected:
        return
    if array.ndim == len(expected) and all(
        size is None or size == got for size, got in zip(expected, array.shape, strict=True)
    ):
        return
    numbers = tuple(
        what if size is None else str(size) for size, what in zip(expected, meaning, strict=True)
    )
    wanted = _tuple(meaning) if meaning == numbers else f"{_tuple(meaning)} = {_tuple(numbers)}"
    raise ValueError(f"{name}: expected shape {wanted}, got {array.shape}")


def pair(value: object, name: str, parts: tuple[str, str]) -> tuple[Any, Any]:
    """Return the two arrays of a state, unchecked."""
    if isinstance(value, tuple | list) and len(value) == 2:
        return value[0], value[1]
    expected = f"{name}: expected a tuple of two arrays ({', '.join(parts)})"
    if isinstance(value, tuple | list):
        raise ValueError(f"{expected}, got {len(value)} item(s)")
    raise TypeError(f"{expected}, got {described(value)}")


_TIME_MAJOR = ("seq_len", "batch", "input_size")
_BATCH_FIRST = ("batch", "seq_len", "input_size")
_PACKED = ("sum(batch_sizes)", "input_size")


def input_rank(x: RealArray, batch_first: bool, packed: list[int] | None) -> None:
    """Check the number of input's axes, which needs no weights."""
    if packed is not None and x.ndim != 2:
        shape(x, "input", (sum(packed), None), _PACKED)
    if packed is None and x.ndim != 3:
        shape(x, "input", (None, None, None), _BATCH_FIRST if batch_first else _TIME_MAJOR)


def input_shape(
    x: RealArray, sizes: Sizes, batch_first: bool, packed: list[int] | None, name: str = "input"
) -> tuple[int, int]:
    """Check input's shape against the sizes; return seq_len and the batch."""
    if packed is not None:
        shape(x, name, (sum(packed), sizes.input_size), _PACKED)
        return len(packed), packed[0]
    meaning = _BATCH_FIRST if batch_first else _TIME_MAJOR
    shape(x, name, (None, None, sizes.input_size), meaning)
    seq_len, batch = x.shape[1::-1] if batch_first else x.shape[:2]
    if seq_len == 0:
        raise ValueError(f"{name}: expected a seq_len of at least 1, got shape {x.shape}")
    return seq_len, batch


def projection(proj_size: int, hidden_size: int, source: str = "hidden_size") -> None:
    """Refuse a projection that does not make the hidden state smaller; source names hidden_size."""
    if proj_size >= hidden_size:
        raise ValueError(
            f"cell: expected a proj_size below {source}, {hidden_size}, got {proj_size}"
        )


def hidden_shape(array: RealArray, name: str, sizes: Sizes, batch: int) -> None:
    """Check the shape of a hidden state."""
    columns = "proj_size" if sizes.proj_size else "hidden_size"
    shape(array, name, (sizes.cell_count, batch, sizes.output_size), (*_STATE, columns))


def cell_shape(array: RealArray, name: str, sizes: Sizes, batch: int) -> None:
    """Check the shape of a cell state."""
    shape(array, name, (sizes.cell_count, batch, sizes.hidden_size), (*_STATE, "hidden_size"))


_STATE = ("num_layers * num_directions", "batch")


def warn_single_layer(rate: float, stacklevel: int) -> None:
    """Warn that dropout between layers has no effect if there is one layer."""
    warnings.warn(
        f"dropout: {rate} has no effect, because it is applied between layers and num_layers is 1",
        UserWarning,
        stacklevel=stacklevel + 1,
    )


def batch_sizes(value: Any, x: RealArray) -> list[int]:
    """Return the batch sizes of a packed sequence: positive, not increasing, at least one."""
    name = "batch_sizes"
    array = as_array(value, name)
    if array.ndim == 0:
        raise TypeError(
            f"{name}: expected a sequence of ints, one per time step, got {described(value)}"
        )
    if array.ndim != 1 or array.size == 0:
        raise ValueError(
            f"{name}: expected a sequence of at least one int, one per time step, "
            f"got shape {array.shape}"
        )
    if x.ndim == 2 and array.size > len(x):  # before a long array becomes a list
        raise ValueError(
            f"{name}: expected at most as many steps as input has rows, {len(x)}, got {array.size}"
        )
    sizes = _ints(value, array, name)
    previous = sizes[0]
    if previous > LARGEST_SIZE:
        raise ValueError(
            f"{name}: expected sizes up to {LARGEST_SIZE}, got {scalar(previous)} at step 0"
        )
    for step, size in enumerate(sizes):
        if size < 1:
            raise ValueError(f"{name}: expected positive sizes, got {scalar(size)} at step {step}")
        if size > previous:
            raise ValueError(
                f"{name}: expected sizes that do not increase, got {previous} and then "
                f"{scalar(size)} at step {step}"
            )
        previous = size
    return sizes


def lengths(
    value: Any, seq_len: int, batch: int, name: str = "lengths", source: str = "seq_len of input"
) -> list[int]:
    """Return the lengths of a padded batch's sequences, from 0 to seq_len; source names seq_len."""
    array = as_array(value, name)
    if array.ndim == 0:
        raise TypeError(
            f"{name}: expected a sequence of ints, one per batch row, got {described(value)}"
        )
    shape(array, name, (batch,), ("batch",))
    listed = _ints(value, array, name)
    for row, length in enumerate(listed):
        if not 0 <= length <= seq_len:
            raise ValueError(
                f"{name}: expected lengths from 0 to {seq_len}, the {source}, "
                f"got {scalar(length)} for row {row}"
            )
    return listed


def mask(value: Any, seq_len: int, batch: int, batch_first: bool) -> npt.NDArray[np.bool_]:
    """Return which steps of a batch are computed."""
    array = as_array(value, "mask")
    if array.ndim == 0:
        raise TypeError(
            "mask: expected an array of booleans, one per step of each batch row, "
            f"got {described(value)}"
        )
    if batch_first:
        shape(array, "mask", (batch, seq_len), ("batch", "seq_len"))
    else:
        shape(array, "mask", (seq_len, batch), ("seq_len", "batch"))
    if array.dtype.kind != "b" and array.size:
        raise TypeError(f"mask: expected booleans, got dtype {array.dtype}")
    return array.astype(np.bool_, copy=False)


def mask_alone(mask: object, batch_sizes: object, lengths: object) -> None:
    """Refuse a mask together with batch_sizes or lengths."""
    for name, other in (("batch_sizes", batch_sizes), ("lengths", lengths)):
        if mask is not None and other is not None:
            raise ValueError(f"mask: expected None together with {name}, got both")


def repeats_last(masked_output: object, mask: object) -> bool:
    """Return whether output at masked steps repeats the last one before."""
    repeats = choice(masked_output, "masked_output", _MASKED_OUTPUTS) == "last"
    if repeats and mask is None:
        raise ValueError("masked_output: expected 'zero' without mask, got 'last'")
    return repeats


def session_ids(value: Any) -> list[int]:
    """Return the ids of sessions, which may be none."""
    array = as_array(value, "ids")
    if array.ndim != 1:
        raise TypeError(f"ids: expected a sequence of ints, got {described(value)}")
    listed = _ints(value, array, "ids")
    for id in listed:
        if not 0 <= id <= LARGEST_SIZE:
            raise ValueError(f"ids: expected an open session, got {scalar(id)}")
    return listed


def _ints(value: object, array: npt.NDArray[Any], name: str) -> list[int]:
    """Return the ints of a sequence; array: what NumPy made of it."""
    items = tuple(value) if isinstance(value, list | tuple) else ()
    types = set(map(type, items))
    # Of large ints NumPy makes floats or objects. Another thread may have changed the list since.
    if types == {int} and len(items) == array.size:
        return list(items)
    if array.dtype.kind not in "iu" and array.size:
        raise TypeError(f"{name}: expected ints, got dtype {array.dtype}")
    no_bools(value, name)
    listed: list[int] = array.tolist()
    return listed


def no_bools(value: object, name: str) -> None:
    """Refuse bools among the ints of a list, which NumPy takes for 0 and 1."""
    if isinstance(value, list | tuple) and not {bool, np.bool_}.isdisjoint(map(type, value)):
        raise TypeError(f"{name}: expected ints, got a {type(value).__name__} with bools")


def _tuple(items: Any) -> str:
    listed = list(items)
    return f"({listed[0]},)" if len(listed) == 1 else f"({', '.join(listed)})"
