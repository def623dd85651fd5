"""Arrays for calls: laid out in every way that must work, and spoilt in ways that must not."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from fuzz.reader import Reader

REALS = (np.float32, np.float64)


class Exporter:
    """Offers its memory by DLPack and by nothing else."""

    def __init__(self, array: Any) -> None:
        self._array = array

    def __dlpack__(self, **options: Any) -> Any:
        return self._array.__dlpack__(**options)

    def __dlpack_device__(self) -> Any:
        return self._array.__dlpack_device__()


def _gaps(array: Any, reader: Reader) -> Any:
    steps = [reader.integer(1, 3) for _ in array.shape]
    big = np.zeros([n * s for n, s in zip(array.shape, steps, strict=True)], array.dtype)
    view = big[tuple(slice(None, None, s) for s in steps)]
    view[...] = array
    return view


def _reversed(array: Any, reader: Reader) -> Any:
    axes = tuple(axis for axis in range(array.ndim) if reader.byte() % 2)
    return np.flip(np.flip(array, axes).copy(), axes)


def _permuted(array: Any, reader: Reader) -> Any:
    order = list(range(array.ndim))
    for k in range(len(order)):
        other = reader.integer(k, len(order) - 1)
        order[k], order[other] = order[other], order[k]
    return np.ascontiguousarray(array.transpose(order)).transpose(np.argsort(order))


def _misaligned(array: Any, reader: Reader) -> Any:
    offset = reader.integer(1, array.itemsize - 1)
    raw = np.zeros(array.nbytes + array.itemsize, np.uint8)
    view = raw[offset : offset + array.nbytes].view(array.dtype).reshape(array.shape)
    view[...] = array
    return view


def _of_records(array: Any, reader: Reader) -> Any:
    kind = reader.choose(["u1", "u2", "u4", "f8"])
    records = np.zeros(array.shape, [("tag", kind), ("value", array.dtype)])
    records["value"] = array
    return records["value"]


def _read_only(array: Any, _: Reader) -> Any:
    array = array.copy()
    array.flags.writeable = False
    return array


LAYOUTS: list[Callable[[Any, Reader], Any]] = [
    lambda array, _: array,
    _gaps,
    _reversed,
    _permuted,
    _misaligned,
    _of_records,
    _read_only,
    lambda array, _: array.astype(array.dtype.newbyteorder()),
    lambda array, _: np.asfortranarray(array),
    lambda array, _: Exporter(array),
    lambda array, _: memoryview(np.ascontiguousarray(array)),
]


def draw(reader: Reader, shape: tuple[int, ...], dtype: Any, scale: float = 1.0) -> Any:
    """Return numbers around `scale` in an array of this shape and some layout."""
    array = (scale * reader.generator().standard_normal(shape)).astype(dtype)
    return reader.choose(LAYOUTS)(array, reader)


def _other_shape(array: Any, reader: Reader) -> Any:
    shape = list(array.shape)
    axis = reader.integer(0, max(len(shape) - 1, 0))
    what = reader.integer(0, 4)
    if what == 0 or not shape:
        shape.insert(axis, reader.integer(1, 2))
    elif what == 1:
        shape.pop(axis)
    elif what == 2:
        shape[axis] = 0
    else:
        shape[axis] += -1 if what == 3 and shape[axis] else 1
    return np.broadcast_to(array.dtype.type(0), shape)


def _huge(array: Any, reader: Reader) -> Any:
    """One number that claims to be very many, along an axis that arithmetic may wrap."""
    shape = list(array.shape) or [1]
    shape[reader.integer(0, len(shape) - 1)] = reader.choose([2**31, 2**40, 2**59 // len(shape)])
    try:
        return np.broadcast_to(array.dtype.type(0), shape)
    except ValueError:  # more than NumPy can index
        return None


def _nested(array: Any, _: Reader) -> Any:
    return array.tolist()


def _not_finite(array: Any, reader: Reader) -> Any:
    array = np.array(array)
    if array.size:
        array.flat[reader.integer(0, array.size - 1)] = reader.choose([np.nan, np.inf, -np.inf])
    return array


SPOILT_DTYPES = ("f2", "f4", "f8", "c8", "i4", "u1", "?", "O", "S4", "M8[s]", "V8", ">f4", "g")


def _cast(array: Any, reader: Reader) -> Any:
    with np.errstate(all="ignore"):
        return array.astype(reader.choose(SPOILT_DTYPES[:9]))


SPOILERS: list[Callable[[Any, Reader], Any]] = [
    _cast,
    lambda array, reader: np.zeros(array.shape, reader.choose(SPOILT_DTYPES)),
    _other_shape,
    _other_shape,
    _other_shape,
    _huge,
    _nested,
    _not_finite,
    lambda array, _: None,
    lambda array, reader: reader.choose([0, 1.5, "x", b"yy", object(), {}, [], (), [[]], [None]]),
    lambda array, _: np.ma.masked_array(array, mask=False),
    lambda array, _: array.reshape(-1),
    lambda array, _: array[..., None],
]


LARGEST = 10_000  # elements that are worth an array of their own


def spoil(reader: Reader, value: Any) -> Any:
    """Return something else in place of an array; now and then it does as well."""
    array = plain(value)
    if array is None or array.size > LARGEST:
        array = np.zeros((2, 2))
    return reader.choose(SPOILERS)(array, reader)


def plain(value: Any) -> Any:
    """Return what a value is as an array of float32 or float64, or None."""
    if isinstance(value, Exporter):
        value = value._array
    if isinstance(value, np.ma.MaskedArray):
        return None
    try:
        array = np.asarray(value)
    except (TypeError, ValueError):
        return None
    if array.dtype.newbyteorder("=") not in REALS:
        return None
    return array
