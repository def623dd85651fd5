"""Hands one validated call to the CUDA target, with copies of arrays that are elsewhere."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from lstm_native import _cuda_extension, _device
from lstm_native._device import Taken, Target


def forward(call: Any) -> tuple[Any, Any, Any, Any]:
    """As `_run.forward`. The tape stays on the device."""
    target: Target = call.target
    dtype = call.input.dtype
    output = _device.empty(call.output_shape, dtype, target, zeros=bool(call.lengths))
    h_n = _device.empty(call.h_0.shape, dtype, target)
    c_n = _device.empty(call.c_0.shape, dtype, target)
    tape = None
    if call.tape_elements is not None:
        tape = _device.empty((call.tape_elements,), dtype, target)
    _cuda_extension.load().forward(
        call.time_major(_device.copied(call.input, target)),
        _device.copied(call.h_0, target),
        _device.copied(call.c_0, target),
        _cells(call.weights, target),
        call.time_major(output),
        h_n,
        c_n,
        tape=tape,
        **call.core_options(),
        **target._asdict(),
    )
    return returned(output, call), returned(h_n, call), returned(c_n, call), tape


def backward(
    call: Any, tape: Any, given: Any, wanted: Any, workspace: Any, sizes: Any, *, has_steps: bool
) -> tuple[Any, Any, Any]:
    """As `_backward.backward`; workspace and the weights' gradients are written where they are."""
    target: Target = call.target
    dtype = call.input.dtype
    d_input = d_h = d_c = None
    if wanted.input:
        d_input = _device.empty(call.input.shape, dtype, target, zeros=bool(call.lengths))
    if wanted.states:
        d_h = _device.empty(call.h_0.shape, dtype, target)
        d_c = _device.empty(call.c_0.shape, dtype, target)
    results = _Results(target)
    cells = None
    if wanted.weights is not None:
        cells = [
            tuple(results.place(array, wanted.accumulate) for array in cell)
            for cell in wanted.weights
        ]
    there = None
    if workspace is not None:
        there = _device.copied(workspace, target) if has_steps else results.place(workspace, False)
    output, h_n, c_n = (None if g is None else _device.copied(g, target) for g in given)
    _cuda_extension.load().backward(
        call.time_major(_device.copied(call.input, target)),
        _device.copied(call.h_0, target),
        _device.copied(call.c_0, target),
        [] if has_steps else _cells(call.weights, target),
        _device.copied(tape, target),
        None if output is None else call.time_major(output),
        h_n,
        c_n,
        None if d_input is None else call.time_major(d_input),
        d_h,
        d_c,
        cells,
        there,
        hidden_size=sizes.hidden_size,
        num_layers=sizes.num_layers,
        accumulate=wanted.accumulate,
        has_steps=has_steps,
        **call.core_options(),
        **target._asdict(),
    )
    results.bring_back()
    return returned(d_input, call), returned(d_h, call), returned(d_c, call)


def returned(array: Taken | None, call: Any) -> Any:
    """Return a result as the caller gets it: on the device if input is there, else as NumPy."""
    if array is None:
        return None
    return array.released() if isinstance(call.input, Taken) else array.to_host()


class _Results:
    """Arrays of the host that get what is computed on the device."""

    def __init__(self, target: Target) -> None:
        self._target = target
        self._pairs: list[tuple[np.ndarray[Any, Any], Taken]] = []

    def place(self, array: Any, is_read: bool) -> Any:
        """Return where the device writes: the array itself if it is there."""
        if array is None or isinstance(array, Taken):
            return array
        if is_read:
            there = _device.copied(array, self._target)
        else:
            there = _device.empty(array.shape, array.dtype, self._target)
        self._pairs.append((array, there))
        return there

    def bring_back(self) -> None:
        for array, there in self._pairs:
            array[...] = there.to_host()


def _cells(weights: Sequence[Any], target: Target) -> list[tuple[Taken | None, ...]]:
    return [
        tuple(None if array is None else _device.copied(array, target) for array in cell)
        for cell in weights
    ]
