"""The CUDA target: `device="cuda"`.

`lstm`, `lstm_vjp`, `LSTM` and `LSTMGrad` take it, or a `Device` that says more. Arrays that are on
the device already (CuPy's, PyTorch's, a `DeviceArray`) are read there, and results stay there, as
`DeviceArray`; NumPy arrays are copied over, and results back.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, Protocol, TypeAlias

import numpy as np

from lstm_native import _cuda_extension, _device, _validate
from lstm_native._arrays import as_real
from lstm_native._device import DeviceArray, Target
from lstm_native._types import ArrayLike

__all__ = ["Device", "DeviceArray", "clear_plans", "is_available", "to_device", "why_unavailable"]


class _StreamOfPyTorch(Protocol):
    @property
    def cuda_stream(self) -> int: ...


class _StreamOfCuPy(Protocol):
    @property
    def ptr(self) -> int: ...


@dataclass(frozen=True, init=False, eq=False, repr=False)
class Device:
    """How a call with `device=` runs on CUDA.

    Parameters
    ----------
    index : int, optional
        The device's number. Without it, that of the device where `input` is, or for NumPy arrays
        the current one.
    stream : int or object, optional
        The stream: a cudaStream_t as an int (0: the default one), or what has one as its
        `cuda_stream` (PyTorch) or `ptr` (CuPy). Without it, the stream that `input` names in its
        `__cuda_array_interface__`, or else the default one.
    tf32 : bool, default False
        Whether float32 products may round their factors to TF32, with 10 bits of mantissa, which
        is several times as fast from compute capability 8.0 on.
    """

    index: int | None
    stream: int | None
    tf32: bool

    def __init__(
        self,
        index: int | None = None,
        stream: int | _StreamOfPyTorch | _StreamOfCuPy | None = None,
        *,
        tf32: bool = False,
    ) -> None:
        vars(self).update(
            index=None if index is None else _validate.integer(index, "index", 0),
            stream=None if stream is None else _handle(stream),
            tf32=_validate.boolean(tf32, "tf32"),
        )

    def __repr__(self) -> str:
        return f"Device({self.index}, {self.stream}, tf32={self.tf32})"


DeviceLike: TypeAlias = Literal["cpu", "cuda"] | Device


def is_available() -> bool:
    """Whether `device="cuda"` works: this build has the CUDA target, and there is a device."""
    return why_unavailable() is None


def why_unavailable() -> str | None:
    """Return what is missing for `device="cuda"`, or None."""
    try:
        _cuda_extension.load_with_device()
    except RuntimeError as reason:
        return str(reason)
    return None


def to_device(array: ArrayLike, device: Literal["cuda"] | Device | None = None) -> DeviceArray:
    """Copy an array to a device, for calls that use it more than once.

    Parameters
    ----------
    array : array, float32 or float64
    device : "cuda" or Device, optional
        As for a call. Default: "cuda".

    Raises
    ------
    TypeError, ValueError
        If an argument is wrong.
    RuntimeError
        If there is no CUDA target or no device.
    """
    target = target_of("cuda" if device is None else device, None)
    if target is None:
        raise ValueError(f"device: expected 'cuda' or a lstm_native.cuda.Device, got {device!r}")
    return _device.copied(as_real(array, "array"), target).released()


def clear_plans() -> None:
    """Give back the device memory that is kept between calls.

    Up to four plans are kept: the working memory of a call of some shape, with the graph of its
    steps, which is captured when the shape comes a second time.
    """
    _cuda_extension.load().clear_plans()


def target_of(device: DeviceLike, input: object) -> Target | None:
    """Return where a call runs from its `device=` argument; None: on the CPU."""
    device = check_device(device)
    if device == "cpu":
        return None
    chosen = device if isinstance(device, Device) else Device()
    module = _cuda_extension.load_with_device()
    index, stream = chosen.index, chosen.stream
    if index is None:
        index = _device.device_of(input)
    if index is None:
        index = module.current_device()
    count = module.devices()[0]
    if index >= count:
        raise ValueError(f"device: expected an index below {count}, the devices here, got {index}")
    if stream is None:
        stream = _device.stream_of(input)
    return Target(index, stream or 0, chosen.tf32)


def check_device(device: object) -> DeviceLike:
    """Check a `device=` argument, and return it. The device may be missing here."""
    if isinstance(device, Device):
        return device
    if isinstance(device, str):
        if device == "cpu":
            return "cpu"
        if device == "cuda":
            return "cuda"
    raise (ValueError if isinstance(device, str) else TypeError)(
        "device: expected 'cpu', 'cuda' or a lstm_native.cuda.Device, "
        f"got {_validate.described(device)}"
    )


def _handle(stream: Any) -> int:
    for attribute in ("cuda_stream", "ptr"):
        stream = getattr(stream, attribute, stream)
    if isinstance(stream, bool) or not isinstance(stream, int | np.integer):
        raise TypeError(
            "stream: expected an int or a stream of PyTorch or CuPy, "
            f"got {_validate.described(stream)}"
        )
    if stream < 0:
        raise ValueError(f"stream: expected a cudaStream_t, got {stream}")
    return 0 if stream == 1 else int(stream)  # 1 is another name of the default stream
