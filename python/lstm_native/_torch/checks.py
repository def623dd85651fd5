"""Checks of a module's calls. Every message names the argument, what was expected, what came."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from lstm_native import _validate
from lstm_native._torch.errors import (
    TensorTypeError,
    TensorValueError,
    as_torch_errors,
)

FLOATS = (torch.float32, torch.float64)
HALVES = (torch.bfloat16, torch.float16)
DTYPES = (*FLOATS, *HALVES)
_CONVERTED = {torch.float32, *HALVES}
# A module that was moved to another device is refused when it is called. "meta" computes nothing.
DEVICES = ("cpu", "meta")

STATES = ("hx[0] (h_0)", "hx[1] (c_0)")


def dtype_of_parameters(dtype: Any, name: str) -> None:
    if dtype not in DTYPES:
        expected = ", ".join(map(str, DTYPES[:-1])) + f" or {DTYPES[-1]}"
        raise TensorTypeError(f"{name}: expected {expected}, got {dtype}")


def device_of_parameters(device: Any) -> None:
    if device is not None and torch.device(device).type not in DEVICES:
        raise TensorValueError(f"device: expected the CPU, got {device}")


def pair(hx: Any) -> tuple[Any, Any]:
    """Return h_0 and c_0."""
    if not isinstance(hx, tuple | list) or len(hx) != 2:
        got = f"{len(hx)} item(s)" if isinstance(hx, tuple | list) else _validate.described(hx)
        raise TensorTypeError(f"hx: expected a tuple of two tensors (h_0, c_0), got {got}")
    for index, state in enumerate(hx):
        if not isinstance(state, Tensor):
            got = _validate.described(state)
            raise TensorTypeError(f"hx[{index}]: expected a torch.Tensor, got {got}")
    return hx[0], hx[1]


def kind_of_input(value: Any) -> None:
    if not isinstance(value, Tensor):
        expected = "a torch.Tensor or a PackedSequence"
        raise TensorTypeError(f"input: expected {expected}, got {_validate.described(value)}")
    if value.is_nested:
        raise TensorTypeError(
            "input: expected a strided tensor or a PackedSequence, got a nested tensor; "
            "pad it by torch.nested.to_padded_tensor, or pack its parts by "
            "torch.nn.utils.rnn.pack_sequence"
        )


def dtypes_in_autocast(dtype: Any) -> tuple[Any, Any]:
    """Return the dtypes of a call's computation and of its results, from the weights' dtype."""
    if dtype == torch.float64:  # PyTorch leaves it as it is
        return dtype, dtype
    return torch.float32, torch.get_autocast_dtype("cpu")


def tensors(names: Sequence[str], given: Sequence[Any], like: Any, any_dtype: bool) -> None:
    """Refuse a tensor of another dtype, device or layout than the first weight.

    any_dtype: whether tensors of 32 bits or fewer are converted, as by autocast.
    """
    dtype_of_parameters(like.dtype, "weight_ih_l0")
    for name, tensor in zip(names, given, strict=False):
        is_here = tensor.device == like.device and tensor.device.type in DEVICES
        if not is_here or tensor.layout != torch.strided:
            where = "meta, as weight_ih_l0" if like.is_meta else "the CPU"
            got = f"one on {tensor.device} with layout {tensor.layout}"
            raise TensorValueError(f"{name}: expected a strided tensor on {where}, got {got}")
        converted = any_dtype and {tensor.dtype, like.dtype} <= _CONVERTED
        if tensor.dtype != like.dtype and not converted:
            expected = f"{like.dtype}, the same as weight_ih_l0"
            raise TensorTypeError(f"{name}: expected dtype {expected}, got {tensor.dtype}")


def input_shape(x: Any, axes: tuple[str, ...], input_size: int) -> None:
    _shape(x, "input", (*(None,) * (len(axes) - 1), input_size), axes)


def state_shapes(
    states: Sequence[Any], cells: int, batch: tuple[int | None, ...], sizes: tuple[int, int]
) -> None:
    """Check states. batch: () where they have no such axis, None: any. sizes: of h and c."""
    axes = _STATE if batch else _STATE[::2]
    for name, state, size in zip(STATES, states, sizes, strict=True):
        _shape(state, name, (cells, *batch, size), axes)


def _shape(
    tensor: Any, name: str, expected: tuple[int | None, ...], meaning: tuple[str, ...]
) -> None:
    try:
        _validate.shape(tensor, name, expected, meaning)
    except ValueError as error:
        raise TensorValueError(str(error)) from error


_STATE = ("num_layers * num_directions", "batch", "hidden_size")


def first_batch_size(sizes: Any, rows: Any) -> int:
    """Return the batch of a packed sequence, before memory for its states is asked for."""
    with as_torch_errors:
        listed = _validate.batch_sizes(sizes.numpy(force=True), rows)
    _shape(rows, "input", (sum(listed), rows.shape[-1]), ("sum(batch_sizes)", "input_size"))
    return listed[0]
