"""Hands one validated call to the CUDA target, with copies of arrays of the host."""

from typing import Any

import numpy as np

from lstm_native import _cuda_extension, _device
from lstm_native._device import BorrowedArray, Target
from lstm_native._extension import core


def forward(call: Any) -> tuple[Any, Any, Any, Any]:
    """As `_run.forward`. The tape stays on the device."""
    target: Target = call.target
    dtype = call.input.dtype
    output = _device.empty(call.output_shape, dtype, target, zeros=bool(call.problem.lengths))
    h_n = _device.empty(call.h_0.shape, dtype, target)
    c_n = _device.empty(call.c_0.shape, dtype, target)
    tape = None
    if call.tape is not None:
        elements = core.tape_elements(call.problem, call.tape == "hidden")
        tape = _device.empty((elements, 1), dtype, target)
    _cuda_extension.load().forward(_on_device(call), (output, h_n, c_n, tape))
    return returned(output, call), returned(h_n, call), returned(c_n, call), tape


def backward(call: Any, tape: Any, given: Any, wanted: Any) -> tuple[Any, Any, Any, Any]:
    """As `_backward.backward`; wanted.workspace and .weights are written where they are."""
    target: Target = call.target
    dtype = call.input.dtype
    d_input = d_h = d_c = None
    if wanted.input:
        zeros = bool(call.problem.lengths)
        d_input = _device.empty(call.input.shape, dtype, target, zeros=zeros)
    if wanted.states:
        d_h = _device.empty(call.h_0.shape, dtype, target)
        d_c = _device.empty(call.c_0.shape, dtype, target)
    results = _Results(target)
    created: list[BorrowedArray] | None = None
    weights = wanted.weights
    if weights is True:
        created, weights = _new_gradients(call, wanted.transposed)
    _cuda_extension.load().backward(
        _on_device(call),
        _device.copied(tape, target),
        type(given)(*(None if g is None else _device.copied(g, target) for g in given)),
        (d_input, d_h, d_c),
        None if weights is None else results.place_each(weights, is_read=False),
        results.place(wanted.workspace, is_read=False),
    )
    results.bring_back()
    d_weights = None if created is None else tuple(returned(array, call) for array in created)
    return returned(d_input, call), returned(d_h, call), returned(d_c, call), d_weights


def weight_gradients(
    call: Any, tape: Any, workspace: Any, gradients: Any, accumulate: bool
) -> None:
    """As `_backward.weight_gradients`."""
    target: Target = call.target
    results = _Results(target)
    _cuda_extension.load().weight_gradients(
        _on_device(call),
        _device.copied(tape, target),
        _device.copied(workspace, target),
        results.place_each(gradients, is_read=accumulate),
        accumulate,
    )
    results.bring_back()


def returned(array: BorrowedArray | None, call: Any) -> Any:
    """Return a result as the caller gets it: on the device if input is there, else as NumPy."""
    if array is None:
        return None
    return array.released() if isinstance(call.input, BorrowedArray) else array.to_host()


class _Results:
    """Arrays of the host that get results from the device."""

    def __init__(self, target: Target) -> None:
        self._target = target
        self._pairs: list[tuple[np.ndarray[Any, Any], BorrowedArray]] = []

    def place(self, array: Any, *, is_read: bool) -> Any:
        """Return the array that the device writes: the given one if it is there."""
        if array is None or isinstance(array, BorrowedArray):
            return array
        if is_read:
            there = _device.copied(array, self._target)
        else:
            there = _device.empty(array.shape, array.dtype, self._target)
        self._pairs.append((array, there))
        return there

    def place_each(self, cells: Any, *, is_read: bool) -> list[Any]:
        return [
            type(cell)(*(self.place(array, is_read=is_read) for array in cell)) for cell in cells
        ]

    def bring_back(self) -> None:
        for array, there in self._pairs:
            array[...] = there.to_host()


def _new_gradients(call: Any, transposed: bool) -> tuple[list[BorrowedArray], list[Any]]:
    """Return new arrays in the order of all_weights, and the same by layer and direction."""
    created: list[BorrowedArray] = []

    def new(weight: Any) -> Any:
        if weight is None:
            return None
        shape = weight.shape[::-1] if transposed else weight.shape
        created.append(_device.empty(shape, call.input.dtype, call.target))
        return created[-1].T if transposed else created[-1]

    return created, [type(cell)(*map(new, cell)) for cell in call.weights]


def _on_device(call: Any) -> Any:
    """Return the call with its arrays on the device."""

    def there(array: Any) -> Any:
        return None if array is None else _device.copied(array, call.target)

    return call._replace(
        input=there(call.input),
        h_0=there(call.h_0),
        c_0=there(call.c_0),
        weights=[type(cell)(*map(there, cell)) for cell in call.weights],
    )
