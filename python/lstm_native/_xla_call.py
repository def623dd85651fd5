"""Python functions that XLA calls on its own arrays, through its foreign function interface.

XLA calls a C function with a frame: the addresses and shapes of arrays, and attributes. Here ctypes
makes that function, which takes the arrays as NumPy's, without a copy. `jax.pure_callback` takes
and returns JAX's arrays instead, which costs more than most small calls.

The structures have those fields of version 0.1 of XLA's C interface that are read. A handler
reports its version when it is registered, and XLA refuses a version that it lacks.
"""

from __future__ import annotations

import ctypes
import functools
import itertools
import uuid
from collections.abc import Callable, Sequence
from ctypes import POINTER, c_char_p, c_int, c_int64, c_size_t, c_uint32, c_void_p
from typing import Any

import jax
import numpy as np

Array = np.ndarray[Any, Any]
Function = Callable[..., Sequence[Array]]
"""Takes an array for each operand, and returns one for each result."""

_TARGET = "lstm_native_call"
_VERSION = (0, 1)
_METADATA, _EXECUTE, _STRING, _INTERNAL = 1, 3, 4, 13
# By XLA's numbers of types.
_DTYPES = {
    number: np.dtype(name)
    for number, name in {
        1: np.bool_, 2: np.int8, 3: np.int16, 4: np.int32, 5: np.int64, 6: np.uint8, 7: np.uint16,
        8: np.uint32, 9: np.uint64, 11: np.float32, 12: np.float64,
    }.items()
}  # fmt: skip


class _Extension(ctypes.Structure):
    """What a frame may carry beside a call; `metadata` where its type says so."""


class _Version(ctypes.Structure):
    _fields_ = (("size", c_size_t), ("extension", c_void_p), ("major", c_int), ("minor", c_int))


class _Metadata(ctypes.Structure):
    _fields_ = (("size", c_size_t), ("version", _Version), ("traits", c_uint32))


_Extension._fields_ = (
    ("size", c_size_t),
    ("type", c_int),
    ("next", POINTER(_Extension)),
    ("metadata", POINTER(_Metadata)),
)


class _Buffer(ctypes.Structure):
    _fields_ = (
        ("size", c_size_t),
        ("extension", c_void_p),
        ("dtype", c_int),
        ("data", c_void_p),
        ("rank", c_int64),
        ("shape", POINTER(c_int64)),
    )


class _Buffers(ctypes.Structure):
    _fields_ = (
        ("size", c_size_t),
        ("extension", c_void_p),
        ("count", c_int64),
        ("types", c_void_p),
        ("buffers", POINTER(POINTER(_Buffer))),
    )


class _Text(ctypes.Structure):
    _fields_ = (("data", c_void_p), ("length", c_size_t))


class _Attributes(ctypes.Structure):
    _fields_ = (
        ("size", c_size_t),
        ("extension", c_void_p),
        ("count", c_int64),
        ("types", POINTER(c_int)),
        ("names", c_void_p),
        ("values", POINTER(POINTER(_Text))),
    )


class _NewError(ctypes.Structure):
    _fields_ = (
        ("size", c_size_t),
        ("extension", c_void_p),
        ("message", c_char_p),
        ("code", c_int),
    )


class _Interface(ctypes.Structure):
    _fields_ = (
        ("size", c_size_t),
        ("extension", c_void_p),
        ("version", _Version),
        ("internal", c_void_p),
        ("new_error", ctypes.CFUNCTYPE(c_void_p, POINTER(_NewError))),
    )


class _Frame(ctypes.Structure):
    _fields_ = (
        ("size", c_size_t),
        ("extension", POINTER(_Extension)),
        ("interface", POINTER(_Interface)),
        ("context", c_void_p),
        ("stage", c_int),
        ("operands", _Buffers),
        ("results", _Buffers),
        ("attributes", _Attributes),
    )


def _array(buffer: _Buffer) -> Array:
    """Return XLA's array as one of NumPy."""
    shape, dtype = buffer.shape[: buffer.rank], _DTYPES[buffer.dtype]
    count = functools.reduce(lambda size, more: size * more, shape, dtype.itemsize)
    if count == 0:
        return np.empty(shape, dtype)
    memory: Any = (ctypes.c_char * count).from_address(buffer.data)
    array: Array = np.ndarray(shape, dtype, memory)
    return array


def _arrays(listed: _Buffers) -> list[Array]:
    return [_array(listed.buffers[place].contents) for place in range(listed.count)]


_functions: dict[str, Function] = {}
_numbers = itertools.count()
# In each name, because JAX may keep compiled programs for other processes, which have other
# functions.
_PROCESS = uuid.uuid4().hex


def _handle(frame: Any) -> int | None:
    """Run what a frame asks for; return the address of an error, or None."""
    call = frame.contents
    try:
        if call.extension and call.extension.contents.type == _METADATA:
            version = call.extension.contents.metadata.contents.version
            version.major, version.minor = _VERSION
        elif call.stage == _EXECUTE:
            text = call.attributes.values[0].contents
            function = _functions[ctypes.string_at(text.data, text.length).decode()]
            results = function(*_arrays(call.operands))
            for place, result in zip(_arrays(call.results), results, strict=True):
                place[...] = result
    except BaseException as error:  # goes through XLA to the caller
        message = f"{type(error).__name__}: {error}".encode()
        new = _NewError(ctypes.sizeof(_NewError), None, message, _INTERNAL)
        address: int | None = call.interface.contents.new_error(ctypes.byref(new))
        return address
    return None


_handler = ctypes.CFUNCTYPE(c_void_p, POINTER(_Frame))(_handle)


@functools.cache
def _register() -> None:
    capsule = jax.ffi.pycapsule(ctypes.cast(_handler, c_void_p).value)
    jax.ffi.register_ffi_target(_TARGET, capsule, platform="cpu")


def named(function: Function) -> str:
    """Keep a function; return the name by which XLA finds it."""
    _register()
    name = f"{_PROCESS}-{next(_numbers)}"
    _functions[name] = function
    return name


def call(name: str, results: Sequence[jax.ShapeDtypeStruct], operands: Sequence[Any]) -> Any:
    """Call a named function in a program of JAX."""
    return jax.ffi.ffi_call(_TARGET, tuple(results))(*operands, function=name)
