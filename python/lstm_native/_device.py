"""Arrays in a CUDA device's memory: what callers hand in, as views, and what they get back."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

import numpy as np

from lstm_native import _cuda_extension

if TYPE_CHECKING:
    import numpy.typing as npt

_DLPACK_CUDA = 2
_DLPACK_MANAGED = 13
_DLPACK_FLOAT = 2
_LEGACY_STREAM = 1  # as DLPack and __cuda_array_interface__ number the default stream
_FROM_PRODUCER = -1  # of DLPack: nothing has to be waited for

Self = TypeVar("Self", bound="DeviceArray")


class Target(NamedTuple):
    """Where a call runs."""

    device: int
    stream: int  # a cudaStream_t; 0: the default one
    tf32: bool


@dataclass(frozen=True, eq=False, repr=False)
class DeviceArray:
    """An array in a CUDA device's memory, as calls with `device="cuda"` return it.

    CuPy, PyTorch and others take it without a copy, through `__dlpack__` (`torch.from_dlpack`) or
    `__cuda_array_interface__` (`cupy.asarray`); `to_host` copies it into a NumPy array. Its
    elements are computed on the stream of its call. That stream must live as long as the array. A
    consumer that names its stream, as both protocols provide, need not wait. Immutable, except for
    its elements.

    Attributes
    ----------
    shape : tuple of int
    dtype : numpy.dtype
    strides : tuple of int
        In bytes.
    device : int
        The device's number.
    pointer : int
        The address of the first element.
    """

    __slots__ = ("dtype", "owner", "place", "pointer", "shape", "strides")

    pointer: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]
    dtype: np.dtype[Any]
    place: tuple[int, int]
    """The device, and the stream that its elements are ordered on."""
    owner: Any
    """The object that keeps the memory."""

    @property
    def device(self) -> int:
        return self.place[0]

    @property
    def stream(self) -> int:
        return self.place[1]

    @property
    def ndim(self) -> int:
        return len(self.shape)

    @property
    def size(self) -> int:
        return prod(self.shape)

    @property
    def itemsize(self) -> int:
        return self.dtype.itemsize

    @property
    def nbytes(self) -> int:
        return self.size * self.itemsize

    @property
    def is_contiguous(self) -> bool:
        """Whether the elements are in C order without gaps."""
        wanted = in_c_order(self.shape, self.dtype)
        return self.size == 0 or all(
            size == 1 or got == expected
            for size, got, expected in zip(self.shape, self.strides, wanted, strict=True)
        )

    def __len__(self) -> int:
        return self.shape[0]

    def __repr__(self) -> str:
        return f"<DeviceArray: shape {self.shape}, {self.dtype}, on CUDA device {self.device}>"

    @property
    def T(self: Self) -> Self:  # noqa: N802
        return self._view(self.pointer, self.shape[::-1], self.strides[::-1])

    def swapaxes(self: Self, first: int, second: int) -> Self:
        """Return a view with two axes exchanged."""
        order = list(range(self.ndim))
        order[first], order[second] = order[second], order[first]
        return self._view(
            self.pointer, [self.shape[k] for k in order], [self.strides[k] for k in order]
        )

    def reshape(self: Self, *shape: Any) -> Self:
        """Return a view of another shape; of contiguous arrays only. One size may be -1."""
        sizes = list(shape[0] if len(shape) == 1 and isinstance(shape[0], tuple) else shape)
        if -1 in sizes:
            known = prod(size for size in sizes if size != -1)
            sizes[sizes.index(-1)] = self.size // known if known else 0
        if not self.is_contiguous or prod(sizes) != self.size:
            raise ValueError(f"can't view shape {self.shape}, strides {self.strides} as {sizes}")
        return self._view(self.pointer, sizes, None)

    def __getitem__(self: Self, part: slice) -> Self:
        """Return a slice of the first axis, without a step."""
        begin, end, step = part.indices(self.shape[0])
        if step != 1:
            raise IndexError("a DeviceArray is sliced without a step")
        shape = (max(end - begin, 0), *self.shape[1:])
        return self._view(self.pointer + begin * self.strides[0], shape, self.strides)

    def _view(
        self: Self, pointer: int, shape: Sequence[int], strides: Sequence[int] | None
    ) -> Self:
        apart = in_c_order(shape, self.dtype) if strides is None else tuple(strides)
        return type(self)(pointer, tuple(shape), apart, self.dtype, self.place, self.owner)

    def to_host(self) -> npt.NDArray[Any]:
        """Return a copy as a NumPy array, once everything before it on the stream is done."""
        # Elements are copied in the order of their addresses; a view restores the array's order.
        order = sorted(range(self.ndim), key=lambda k: -self.strides[k])
        lying = self._view(
            self.pointer, [self.shape[k] for k in order], [self.strides[k] for k in order]
        )
        if not lying.is_contiguous:
            raise ValueError(f"to_host: expected an array without gaps, got strides {self.strides}")
        host = np.empty(lying.shape, self.dtype)
        _cuda_extension.load().to_host(host, self.pointer, self.device, self.stream)
        return host.transpose(np.argsort(order)) if self.ndim else host

    @property
    def __cuda_array_interface__(self) -> dict[str, Any]:
        return {
            "shape": self.shape,
            "typestr": self.dtype.str,
            "data": (self.pointer, False),
            "version": 3,
            "strides": None if self.is_contiguous else self.strides,
            "stream": self.stream or _LEGACY_STREAM,
        }

    def __dlpack_device__(self) -> tuple[int, int]:
        return _DLPACK_CUDA, self.device

    def __dlpack__(
        self,
        *,
        stream: int | None = None,
        max_version: tuple[int, int] | None = None,  # the capsule is unversioned
        dl_device: tuple[int, int] | None = None,
        copy: bool | None = None,
    ) -> Any:
        if copy or dl_device not in (None, self.__dlpack_device__()):
            raise BufferError(f"can't be exported as a copy, or to another device, from {self}")
        module = _cuda_extension.load()
        if stream != _FROM_PRODUCER:
            module.order_streams(self.stream, _handle(stream), self.device)
        strides = [stride // self.itemsize for stride in self.strides]
        return module.to_dlpack(
            self, self.pointer, list(self.shape), strides, self.itemsize, self.device
        )


class BorrowedArray(DeviceArray):
    """A device array within a call. The call's stream waits for the work that computed it."""

    __slots__ = ()

    def released(self) -> DeviceArray:
        """Return the array as callers get it."""
        return DeviceArray(
            self.pointer, self.shape, self.strides, self.dtype, self.place, self.owner
        )


def is_on_device(value: Any) -> bool:
    """Whether a value is an array in a CUDA device's memory."""
    if isinstance(value, np.ndarray):
        return False
    if isinstance(value, DeviceArray):
        return True
    if hasattr(value, "__dlpack_device__"):
        return _on_cuda(value)
    return hasattr(value, "__cuda_array_interface__")


def take(value: Any, name: str, target: Target) -> Any:
    """Return an array that is on the device as a view for this call, anything else as it is."""
    if isinstance(value, BorrowedArray) or not is_on_device(value):
        return value
    if type(value) is DeviceArray:
        taken = _taken_of_ours(value, target)
    elif hasattr(value, "__dlpack_device__"):
        taken = _through_dlpack(value, name, target)
    else:
        taken = _through_interface(value, name, target)
    if taken.size and taken.device != target.device:
        raise ValueError(
            f"{name}: expected an array on CUDA device {target.device}, where the call runs, "
            f"got one on device {taken.device}"
        )
    return taken


def take_each(values: Any, name: str, target: Target) -> Any:
    """Return the arrays of a tuple or list as `take` does; anything else as it is."""
    if not isinstance(values, tuple | list):
        return values
    return [take(value, f"{name}[{k}]", target) for k, value in enumerate(values)]


def stream_of(value: Any) -> int | None:
    """Return the stream that an array's producer names; None: it names none."""
    if isinstance(value, DeviceArray):
        return value.stream
    if not is_on_device(value):
        return None
    try:
        stream = value.__cuda_array_interface__.get("stream")
    except Exception:  # missing or refused: DLPack orders streams, or says why not
        return None
    return None if stream is None else _handle(int(stream))


def device_of(value: Any) -> int | None:
    """Return the number of the device that holds an array; None: none does."""
    if isinstance(value, DeviceArray):
        return value.device
    if not is_on_device(value):
        return None
    if hasattr(value, "__dlpack_device__"):
        return int(value.__dlpack_device__()[1])
    pointer = int(value.__cuda_array_interface__["data"][0])
    return max(int(_cuda_extension.load().device_of(pointer)), 0)


def empty(
    shape: Sequence[int], dtype: np.dtype[Any], target: Target, zeros: bool = False
) -> BorrowedArray:
    """Return an array on the device, for what the call's stream does next."""
    module = _cuda_extension.load()
    nbytes = prod(shape) * dtype.itemsize
    memory = module.Memory(nbytes, target.device, target.stream)
    if zeros and nbytes:
        module.clear(memory.pointer, nbytes, target.device, target.stream)
    place = (target.device, target.stream)
    return BorrowedArray(
        memory.pointer, tuple(shape), in_c_order(shape, dtype), dtype, place, memory
    )


def copied(array: Any, target: Target) -> BorrowedArray:
    """Return an array on the device: the given one if it is there, else a copy."""
    if isinstance(array, BorrowedArray):
        return array
    host = np.ascontiguousarray(array)
    there = empty(array.shape, host.dtype, target)
    if host.size:
        _cuda_extension.load().to_device(there.pointer, host, target.device, target.stream)
    return there


def in_c_order(shape: Sequence[int], dtype: np.dtype[Any]) -> tuple[int, ...]:
    """Return the strides, in bytes, of an array in C order."""
    strides = [dtype.itemsize] * len(shape)
    for axis in range(len(shape) - 2, -1, -1):
        strides[axis] = strides[axis + 1] * shape[axis + 1]
    return tuple(strides)


def _on_cuda(value: Any) -> bool:
    return int(value.__dlpack_device__()[0]) in (_DLPACK_CUDA, _DLPACK_MANAGED)


def _handle(stream: int | None) -> int:
    """Return the handle of a stream from its number in the protocols; None: the default one."""
    return 0 if stream is None or stream == _LEGACY_STREAM else int(stream)


def _taken_of_ours(array: DeviceArray, target: Target) -> BorrowedArray:
    if array.stream != target.stream:
        _cuda_extension.load().order_streams(array.stream, target.stream, array.device)
    place = (array.device, target.stream)
    return BorrowedArray(array.pointer, array.shape, array.strides, array.dtype, place, array.owner)


def _through_dlpack(value: Any, name: str, target: Target) -> BorrowedArray:
    try:
        capsule = value.__dlpack__(stream=target.stream or _LEGACY_STREAM)
    except Exception as reason:
        raise TypeError(f"{name}: its __dlpack__ failed: {reason}") from reason
    owner, pointer, shape, strides, code, bits, _, device = _cuda_extension.load().from_dlpack(
        capsule
    )
    if code != _DLPACK_FLOAT or bits not in (32, 64):
        raise TypeError(
            f"{name}: expected dtype float32 or float64, got DLPack type code {code} of {bits} bits"
        )
    dtype = np.dtype(np.float32 if bits == 32 else np.float64)
    if strides is None:
        bytes_apart = in_c_order(shape, dtype)
    else:
        bytes_apart = tuple(stride * dtype.itemsize for stride in strides)
    return BorrowedArray(pointer, tuple(shape), bytes_apart, dtype, (device, target.stream), owner)


def _through_interface(value: Any, name: str, target: Target) -> BorrowedArray:
    module = _cuda_extension.load()
    about = value.__cuda_array_interface__
    pointer, shape, dtype = int(about["data"][0]), about["shape"], np.dtype(about["typestr"])
    if about.get("mask") is not None:
        raise TypeError(f"{name}: expected an array without a mask, got one with a mask")
    if dtype not in (np.float32, np.float64) or not dtype.isnative:
        raise TypeError(f"{name}: expected dtype float32 or float64, got {dtype}")
    device = module.device_of(pointer) if prod(shape) else target.device
    if device < 0:
        raise ValueError(
            f"{name}: expected a __cuda_array_interface__ of device memory, "
            f"got address {pointer:#x}, which is on no device"
        )
    stream = stream_of(value)
    if stream is not None:
        module.order_streams(stream, target.stream, target.device)
    strides = about.get("strides") or in_c_order(shape, dtype)
    return BorrowedArray(
        pointer, tuple(shape), tuple(strides), dtype, (device, target.stream), value
    )
