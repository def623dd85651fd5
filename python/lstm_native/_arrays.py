"""Turns what callers hand in into NumPy arrays, without a copy wherever one is not needed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from lstm_native._device import BorrowedArray

if TYPE_CHECKING:
    import numpy.typing as npt

# Without numpy.typing, whose import takes milliseconds.
RealArray: TypeAlias = np.ndarray[Any, np.dtype[np.float32]] | np.ndarray[Any, np.dtype[np.float64]]

_DLPACK_CPU = 1
_DLPACK_CUDA = 2
_REAL_TYPES = (np.float32, np.float64)
_HALVES = ("float16", "bfloat16")
_NATIVE_TYPES = (np.dtype(np.float32), np.dtype(np.float64))


def as_array(value: Any, name: str) -> npt.NDArray[Any]:
    """Return `value` as a plain `numpy.ndarray`; TypeError names what can't be one."""
    if type(value) is np.ndarray:
        return value
    if isinstance(value, np.ma.MaskedArray):
        raise TypeError(
            f"{name}: expected an array without a mask, got a numpy.ma.MaskedArray; "
            "fill it first (its .filled())"
        )
    try:
        if hasattr(value, "__dlpack__") and not hasattr(value, "__array__"):
            return _from_dlpack(value)
        return np.asarray(value)
    except MemoryError:
        raise
    except ValueError as reason:
        raise ValueError(f"{name}: expected an array, got {_kind(value)}: {reason}") from reason
    except Exception as reason:
        raise TypeError(f"{name}: expected an array, got {_kind(value)}: {reason}") from reason


def as_real(value: Any, name: str, like: RealArray | None = None, like_name: str = "") -> RealArray:
    """Return `value` as an aligned float32 or float64 array in native byte order, any strides.

    With `like`, the dtype must be that of `like`. A nested list counts as float64.
    """
    if type(value) is np.ndarray:  # fast path
        wanted = _NATIVE_TYPES if like is None else (like.dtype,)
        if value.dtype in wanted and value.flags.aligned:
            return value
    # A BorrowedArray has the attributes that checks of arrays read.
    array: Any = value if isinstance(value, BorrowedArray) else as_array(value, name)
    dtype = array.dtype
    if dtype.type not in _REAL_TYPES:
        if array.ndim == 0 and dtype.kind in "OSU":  # NumPy made a scalar of it
            raise TypeError(f"{name}: expected an array of float32 or float64, got {_kind(value)}")
        origin = f" from {_kind(value)}" if dtype.hasobject else ""
        raise TypeError(f"{name}: expected dtype float32 or float64, got {dtype}{origin}")
    if like is not None and dtype.type is not like.dtype.type:
        got = dtype.newbyteorder("=")
        raise TypeError(f"{name}: expected dtype {like.dtype}, the same as {like_name}, got {got}")
    if not isinstance(array, BorrowedArray):
        if not dtype.isnative:
            array = array.astype(dtype.newbyteorder("="))
        elif not array.flags.aligned:
            array = array.copy()
    return array  # type: ignore[no-any-return]


def widened(value: Any) -> Any:
    """Return an array of float16 or bfloat16 as float32, and anything else as it is."""
    dtype = getattr(value, "dtype", "")
    native = dtype.newbyteorder("=") if isinstance(dtype, np.dtype) else dtype
    if str(native).removeprefix("torch.") not in _HALVES:
        return value
    if isinstance(value, np.ndarray):
        return value.astype(np.float32)
    return value.float() if hasattr(value, "float") else np.asarray(value).astype(np.float32)


def narrowed(results: tuple[Any, ...], dtype: np.dtype[Any]) -> tuple[Any, ...]:
    """Return results rounded to another dtype; values beyond its range become infinite."""
    with np.errstate(over="ignore"):
        return tuple(array.astype(dtype, copy=False) for array in results)


def widened_pair(value: Any) -> Any:
    """Return a pair of arrays, each `widened`, and anything else as it is."""
    is_pair = isinstance(value, tuple | list) and len(value) == 2
    return tuple(map(widened, value)) if is_pair else value


def _from_dlpack(value: Any) -> npt.NDArray[Any]:
    device = value.__dlpack_device__()[0]
    if int(device) != _DLPACK_CPU:
        hint = '; device="cuda" takes it' if int(device) == _DLPACK_CUDA else ""
        raise TypeError(f"its memory is on DLPack device type {int(device)}, not on the CPU{hint}")
    return np.from_dlpack(value)


def _kind(value: Any) -> str:
    if value is None:
        return "None"
    name = f"{type(value).__module__}.{type(value).__qualname__}".removeprefix("builtins.")
    return f"{'an' if name[0] in 'aeiou' else 'a'} {name}"
