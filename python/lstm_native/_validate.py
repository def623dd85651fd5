"""Checks of single arguments. Every message names the argument, what was expected and what came."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from lstm_native._arrays import as_array

MOST_THREADS = 1024


def type_name(value: Any) -> str:
    """Return the name of a value's type, for messages."""
    return type(value).__name__


def integer(value: Any, name: str, low: int, high: int | None = None) -> int:
    """Return an int within [low, high]; a bool is none."""
    bounds = f"an int of at least {low}" if high is None else f"an int from {low} to {high}"
    if isinstance(value, bool | np.bool_) or not isinstance(value, int | np.integer):
        raise TypeError(f"{name}: expected {bounds}, got {type_name(value)} {value!r}")
    if value < low or (high is not None and value > high):
        raise ValueError(f"{name}: expected {bounds}, got {value}")
    return int(value)


def boolean(value: Any, name: str) -> bool:
    """Return a bool; 0 and 1 are none."""
    if not isinstance(value, bool | np.bool_):
        raise TypeError(f"{name}: expected a bool, got {type_name(value)} {value!r}")
    return bool(value)


def dropout_rate(value: Any, name: str, integers: bool) -> float:
    """Return a float within [0, 1]; integers: whether an int counts as one."""
    accepted = (float, np.floating, int, np.integer) if integers else (float, np.floating)
    if isinstance(value, bool | np.bool_) or not isinstance(value, accepted):
        raise TypeError(
            f"{name}: expected a float from 0.0 to 1.0, got {type_name(value)} {value!r}"
        )
    rate = float(value)
    if math.isnan(rate) or not 0.0 <= rate <= 1.0:
        raise ValueError(f"{name}: expected a float from 0.0 to 1.0, got {rate}")
    return rate


def shape(
    array: np.ndarray[Any, Any], name: str, expected: Sequence[tuple[str, int | None]]
) -> None:
    """Compare an array's shape with (what a size means, the size or None for any) per axis."""
    sizes = [size for _, size in expected]
    if array.ndim == len(sizes) and all(
        size is None or size == got for size, got in zip(sizes, array.shape, strict=True)
    ):
        return
    meaning = _tuple(what for what, _ in expected)
    numbers = _tuple(what if size is None else str(size) for what, size in expected)
    wanted = meaning if meaning == numbers else f"{meaning} = {numbers}"
    raise ValueError(f"{name}: expected shape {wanted}, got {array.shape}")


def batch_sizes(value: Any) -> list[int]:
    """Return the batch sizes of a packed sequence: positive, not increasing, at least one."""
    name = "batch_sizes"
    array = as_array(value, name)
    if array.ndim != 1 or array.size == 0:
        raise ValueError(
            f"{name}: expected a sequence of at least one int, one per time step, "
            f"got shape {array.shape}"
        )
    if array.dtype.kind not in "iu":
        raise TypeError(f"{name}: expected ints, got dtype {array.dtype}")
    sizes: list[int] = array.tolist()
    previous = sizes[0]
    for step, size in enumerate(sizes):
        if size < 1:
            raise ValueError(f"{name}: expected positive sizes, got {size} at step {step}")
        if size > previous:
            raise ValueError(
                f"{name}: expected sizes that do not increase, got {previous} and then {size} "
                f"at step {step}"
            )
        previous = size
    return sizes


def _tuple(items: Any) -> str:
    listed = list(items)
    return f"({listed[0]},)" if len(listed) == 1 else f"({', '.join(listed)})"
