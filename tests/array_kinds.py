"""Arrays of every layout, and other objects that offer an array."""

import array

import numpy as np


def filled(shape, dtype):
    """Room around an array's own elements that poisons every result that it gets into."""
    return np.full(shape, np.nan, dtype)


def at_offset(value, offset):
    """A copy that begins this many bytes after an address that suits every dtype."""
    memory = np.zeros(value.nbytes + 64, np.uint8)
    start = -memory.ctypes.data % 32 + offset
    view = memory[start : start + value.nbytes].view(value.dtype).reshape(value.shape)
    view[...] = value
    return view


def every_other(value):
    room = filled([2 * size + 1 for size in value.shape], value.dtype)
    view = room[tuple(slice(1, None, 2) for _ in value.shape)]
    view[...] = value
    return view


def backwards(value):
    every_axis = tuple(slice(None, None, -1) for _ in value.shape)
    return np.ascontiguousarray(value[every_axis])[every_axis]


def rows_with_gaps(value):
    room = filled((*value.shape[:-1], value.shape[-1] + 3), value.dtype)
    room[..., :-3] = value
    return room[..., :-3]


def read_only(value):
    copy = value.copy()
    copy.flags.writeable = False
    return copy


def other_byte_order(value):
    swapped = value.astype(value.dtype.newbyteorder())
    assert not swapped.dtype.isnative
    return swapped


def field_of_records(value):
    """Elements a record apart that is no multiple of their size."""
    records = np.zeros(value.shape, [("tag", np.uint8), ("value", value.dtype)])
    records["value"] = value
    return records["value"]


def odd_stride_of_an_axis_of_one(value):
    """The stride is never used, but splits an element; NumPy counts such an array as aligned."""
    if 1 not in value.shape:
        return value
    axis = value.shape.index(1)
    rest = tuple(np.delete(value.shape, axis))
    record = np.zeros(1, [("value", value.dtype, rest), ("tag", np.uint8)])
    record["value"] = np.moveaxis(value, axis, 0)
    return np.moveaxis(record["value"], 0, axis)


LAYOUTS = {
    "every_other": every_other,
    "backwards": backwards,
    "fortran": np.asfortranarray,
    "rows_with_gaps": rows_with_gaps,
    "read_only": read_only,
    "byte_swapped": other_byte_order,
    "odd_offset": lambda value: at_offset(value, 1),
    "half_an_element_off": lambda value: at_offset(value, value.itemsize // 2),
    "field_of_records": field_of_records,
    "odd_stride_of_an_axis_of_one": odd_stride_of_an_axis_of_one,
    "byte_swapped_backwards": lambda value: backwards(other_byte_order(value)),
    "byte_swapped_odd_offset": lambda value: at_offset(other_byte_order(value), 1),
}


class ArrayOnly:
    def __init__(self, value):
        self._value = value

    def __array__(self, dtype=None, copy=None):
        return self._value


class OldArrayOnly:
    """As written before NumPy 2 knew `copy`."""

    def __init__(self, value):
        self._value = value

    def __array__(self, dtype=None):
        return self._value


class DlpackOnly:
    def __init__(self, value):
        self._value = value

    def __dlpack__(self, **options):
        return self._value.__dlpack__(**options)

    def __dlpack_device__(self):
        return self._value.__dlpack_device__()


class InterfaceOnly:
    def __init__(self, value):
        self._value = value
        self.__array_interface__ = value.__array_interface__


class Subclass(np.ndarray):
    """A subclass that no arithmetic can be done with."""

    def __array_ufunc__(self, *_inputs, **_options):
        raise AssertionError("no arithmetic here")

    def __getitem__(self, _key):
        raise AssertionError("no indexing here")


def buffer_of(value):
    flat = array.array("f" if value.dtype == np.float32 else "d", value.ravel().tolist())
    return memoryview(flat).cast("B").cast(flat.typecode, value.shape)


OFFERS = {
    "__array__": ArrayOnly,
    "__array__ without copy": OldArrayOnly,
    "__array__, strided": lambda value: ArrayOnly(every_other(value)),
    "__dlpack__": DlpackOnly,
    "__dlpack__, strided": lambda value: DlpackOnly(every_other(value)),
    "__array_interface__": InterfaceOnly,
    "memoryview": memoryview,
    "memoryview, strided": lambda value: memoryview(every_other(value)),
    "memoryview, read-only": lambda value: memoryview(value).toreadonly(),
    "memoryview of array.array": buffer_of,
    "subclass of ndarray": lambda value: value.view(Subclass),
    "nested lists of NumPy numbers": lambda value: (
        [list(row) for row in value] if value.ndim > 1 else list(value)
    ),
    "list of arrays": list,
    "tuple of arrays": tuple,
}
