"""The operator `LSTMGrad`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple, overload

import numpy as np

from lstm_native import _config, _device, _random, _validate, cuda
from lstm_native._arrays import RealArray, as_real
from lstm_native._backward import GradientNeeds, OutputGradients, backward, weight_gradients
from lstm_native._device import Target
from lstm_native._op import Operator
from lstm_native._reserve import GATES, GRADIENTS, check_tape, write_workspace_header
from lstm_native._run import Dropout, ForwardCall, Problem, empty, returned, take
from lstm_native._types import Array, ArrayLike, IntegersLike, Out
from lstm_native.cuda import DeviceLike


class _CheckedCall(NamedTuple):
    """The validated arguments of a call."""

    call: ForwardCall
    tape: RealArray
    gradients: OutputGradients
    weight_shape: tuple[int, ...]


class _Arguments(NamedTuple):
    """The arrays of a call by name, as they are given."""

    x: Any
    hx: Any
    cx: Any
    w: Any
    y: Any
    hy: Any
    cy: Any
    dy: Any
    dhy: Any
    dcy: Any
    reserve: Any


@dataclass(frozen=True, init=False, eq=False, repr=False)
class LSTMGrad(Operator):
    """The gradient of `LSTM`, from what a training call of it returned.

    The order of the arguments is that of MindSpore's own LSTMGrad. `data` and `weights` are its two
    halves, so that other work can run at the same time as the second.

    Parameters
    ----------
    input_size, hidden_size, num_layers, has_bias, bidirectional, dropout, batch_first,
    weight_layout, device, cell, direction
        As those of the `LSTM`.

    Notes
    -----
    Gradients don't depend on the number of threads.

    Examples
    --------
    >>> import numpy as np
    >>> import lstm_native
    >>> sizes = (10, 2, 1, True, False, 0.0)
    >>> x, state = np.ones([5, 2, 10], np.float32), np.ones([1, 2, 2], np.float32)
    >>> w = np.ones([112, 1, 1], np.float32)
    >>> y, hy, cy, reserve, seed = lstm_native.LSTM(*sizes)(x, state, state, w)
    >>> dy, zero = np.ones_like(y), np.zeros_like(state)
    >>> net = lstm_native.LSTMGrad(*sizes)
    >>> dx, dh, dc, dw = net(x, state, state, w, y, hy, cy, dy, zero, zero, reserve, seed)
    >>> dx.shape, dw.shape
    ((5, 2, 10), (112, 1, 1))
    """

    @overload
    def __call__(
        self,
        x: Array,
        hx: ArrayLike,
        cx: ArrayLike,
        w: ArrayLike,
        y: ArrayLike,
        hy: ArrayLike,
        cy: ArrayLike,
        dy: ArrayLike,
        dhy: ArrayLike,
        dcy: ArrayLike,
        reserve: ArrayLike,
        state: IntegersLike | None = None,
        *,
        num_threads: int | None = None,
        device: DeviceLike | None = None,
    ) -> tuple[Array, Array, Array, Array]: ...
    @overload
    def __call__(
        self,
        x: ArrayLike,
        hx: ArrayLike,
        cx: ArrayLike,
        w: ArrayLike,
        y: ArrayLike,
        hy: ArrayLike,
        cy: ArrayLike,
        dy: ArrayLike,
        dhy: ArrayLike,
        dcy: ArrayLike,
        reserve: ArrayLike,
        state: IntegersLike | None = None,
        *,
        num_threads: int | None = None,
        device: DeviceLike | None = None,
    ) -> tuple[Any, Any, Any, Any]: ...
    def __call__(
        self,
        x: ArrayLike,
        hx: ArrayLike,
        cx: ArrayLike,
        w: ArrayLike,
        y: ArrayLike,
        hy: ArrayLike,
        cy: ArrayLike,
        dy: ArrayLike,
        dhy: ArrayLike,
        dcy: ArrayLike,
        reserve: ArrayLike,
        state: IntegersLike | None = None,
        *,
        num_threads: int | None = None,
        device: DeviceLike | None = None,
    ) -> tuple[Any, Any, Any, Any]:
        """Compute all gradients.

        Parameters
        ----------
        x, hx, cx, w : array
            What the call got: input, h, c and the flat weight.
        y, hy, cy : array
            What it returned: output, h_n and c_n. Their shapes are checked; their values are not
            needed.
        dy, dhy, dcy : array
            The gradients of those three.
        reserve : array
            What the call returned. A reserve of other sizes, another dtype, dropout or state is
            refused.
        state : array, optional
            What the call returned; the header of `reserve` says the same.
        num_threads : int, optional
            From 1 to 128; see `set_num_threads` for the default. Results don't depend on it.
        device : {"cpu", "cuda"} or lstm_native.cuda.Device, optional
            In place of the constructor's.

        Returns
        -------
        dx, dhx, dcx, dw : numpy.ndarray
            The gradients of x, hx, cx and w, in their shapes; dw is laid out as w is.

        Raises
        ------
        TypeError
            If an argument has the wrong type, or an array is not of x's dtype.
        ValueError
            If a shape is wrong, or `reserve` or `state` is of another call.
        MemoryError
            If the results or the working memory can't be allocated.
        """
        arrays = _Arguments(x, hx, cx, w, y, hy, cy, dy, dhy, dcy, reserve)
        given = self._check(arrays, state, num_threads, device)
        dw = empty(given.call, (self.weight_size,))
        wanted = GradientNeeds(True, True, self._cells(dw))
        dx, dhx, dcx, _ = backward(given.call, given.tape, given.gradients, wanted)
        return dx, dhx, dcx, returned(given.call, dw.reshape(given.weight_shape))

    @overload
    def data(
        self,
        x: Array,
        hx: ArrayLike,
        cx: ArrayLike,
        w: ArrayLike,
        y: ArrayLike,
        hy: ArrayLike,
        cy: ArrayLike,
        dy: ArrayLike,
        dhy: ArrayLike,
        dcy: ArrayLike,
        reserve: ArrayLike,
        state: IntegersLike | None = None,
        *,
        num_threads: int | None = None,
        device: DeviceLike | None = None,
    ) -> tuple[Array, Array, Array, Array]: ...
    @overload
    def data(
        self,
        x: ArrayLike,
        hx: ArrayLike,
        cx: ArrayLike,
        w: ArrayLike,
        y: ArrayLike,
        hy: ArrayLike,
        cy: ArrayLike,
        dy: ArrayLike,
        dhy: ArrayLike,
        dcy: ArrayLike,
        reserve: ArrayLike,
        state: IntegersLike | None = None,
        *,
        num_threads: int | None = None,
        device: DeviceLike | None = None,
    ) -> tuple[Any, Any, Any, Any]: ...
    def data(
        self,
        x: ArrayLike,
        hx: ArrayLike,
        cx: ArrayLike,
        w: ArrayLike,
        y: ArrayLike,
        hy: ArrayLike,
        cy: ArrayLike,
        dy: ArrayLike,
        dhy: ArrayLike,
        dcy: ArrayLike,
        reserve: ArrayLike,
        state: IntegersLike | None = None,
        *,
        num_threads: int | None = None,
        device: DeviceLike | None = None,
    ) -> tuple[Any, Any, Any, Any]:
        """Compute the gradients of x, hx and cx, and what `weights` needs.

        Parameters
        ----------
        x, hx, cx, w, y, hy, cy, dy, dhy, dcy, reserve, state, num_threads, device
            As for a call of the object itself.

        Returns
        -------
        dx, dhx, dcx : numpy.ndarray
        workspace : numpy.ndarray
            Shape (r, 1), laid out as `reserve`: for each layer and direction the gradients of the
            pre-activations in place of the gates, and h_(t-1) in place of the cell states; with a
            projection also the gradients of h_t in place of the hidden states.

        Raises
        ------
        TypeError, ValueError, MemoryError
            As a call of the object itself.
        """
        arrays = _Arguments(x, hx, cx, w, y, hy, cy, dy, dhy, dcy, reserve)
        given = self._check(arrays, state, num_threads, device)
        workspace = empty(given.call, given.tape.shape)
        if given.call.target is None:  # a device's call writes the header itself
            write_workspace_header(workspace, given.tape)
        wanted = GradientNeeds(True, True, None, workspace=workspace)
        dx, dhx, dcx, _ = backward(given.call, given.tape, given.gradients, wanted)
        return dx, dhx, dcx, returned(given.call, workspace)

    @overload
    def weights(
        self,
        x: ArrayLike,
        reserve: ArrayLike,
        workspace: ArrayLike,
        state: IntegersLike | None = None,
        *,
        out: Out,
        accumulate: bool = False,
        num_threads: int | None = None,
        device: DeviceLike | None = None,
    ) -> Out: ...
    @overload
    def weights(
        self,
        x: Array,
        reserve: ArrayLike,
        workspace: ArrayLike,
        state: IntegersLike | None = None,
        *,
        out: None = None,
        accumulate: bool = False,
        num_threads: int | None = None,
        device: DeviceLike | None = None,
    ) -> Array: ...
    @overload
    def weights(
        self,
        x: ArrayLike,
        reserve: ArrayLike,
        workspace: ArrayLike,
        state: IntegersLike | None = None,
        *,
        out: None = None,
        accumulate: bool = False,
        num_threads: int | None = None,
        device: DeviceLike | None = None,
    ) -> Any: ...
    def weights(
        self,
        x: ArrayLike,
        reserve: ArrayLike,
        workspace: ArrayLike,
        state: IntegersLike | None = None,
        *,
        out: Any = None,
        accumulate: bool = False,
        num_threads: int | None = None,
        device: DeviceLike | None = None,
    ) -> Any:
        """Compute the gradient of the weight, after `data`.

        Parameters
        ----------
        x, reserve, state
            As given to `data`.
        workspace : array
            What `data` returned.
        out : numpy.ndarray, optional
            Where the gradient goes: `weight_size` elements in any shape, in C order, not
            overlapping the other arrays.
        accumulate : bool, default False
            Whether to add to `out` instead of overwriting it.
        num_threads, device
            As for a call of the object itself.

        Returns
        -------
        numpy.ndarray
            `out`, or a new array of shape (weight_size,).

        Raises
        ------
        TypeError
            If an argument has the wrong type, or an array is not of x's dtype.
        ValueError
            If a shape is wrong, `reserve`, `workspace` or `state` is of another call, `out` shares
            memory with another array or is not writable in C order, or `accumulate` has no `out`.
        MemoryError
            If the result or the working memory can't be allocated.
        """
        accumulate = _validate.boolean(accumulate, "accumulate")
        threads = _config.threads_for_call(num_threads)
        target = self._target(device, x)
        if target is not None:
            x = _device.take(x, "x", target)
            reserve = _device.take(reserve, "reserve", target)
            workspace = _device.take(workspace, "workspace", target)
        features, sizes = as_real(x, "x"), self._sizes
        problem = self._problem_of(features, threads)
        tape, problem = self._tape(reserve, "reserve", features, problem, state)
        work, _ = self._tape(workspace, "workspace", features, problem, state, GRADIENTS)
        nothing: RealArray = np.empty(
            (sizes.cell_count, problem.batch, sizes.hidden_size), features.dtype
        )
        call = self._describe(
            problem, features, nothing[..., : sizes.output_size], nothing, [], target
        )
        dw = self._out(out, call, accumulate)
        for name, array in (("x", features), ("reserve", tape), ("workspace", work)):
            if target is None and np.may_share_memory(dw, array):
                raise ValueError(
                    f"out: expected memory apart from {name}'s, got an array that shares some"
                )
        weight_gradients(call, tape, work, self._cells(dw), accumulate)
        return returned(call, dw) if out is None else out

    def _check(self, given: _Arguments, state: Any, num_threads: Any, device: Any) -> _CheckedCall:
        sizes = self._sizes
        threads = _config.threads_for_call(num_threads)
        target = self._target(device, given.x)
        if target is not None:
            given = _Arguments(
                *(
                    _device.take(value, name, target)
                    for name, value in zip(given._fields, given, strict=True)
                )
            )
        x = as_real(given.x, "x")
        problem = self._problem_of(x, threads)
        axes = ("batch", "seq_len") if self.batch_first else ("seq_len", "batch")
        outputs = (
            (*x.shape[:2], sizes.directions * sizes.output_size),
            (*axes, "num_directions * " + ("proj_size" if sizes.proj_size else "hidden_size")),
        )

        def sequence(name: str) -> RealArray:
            array = as_real(getattr(given, name), name, x, "x")
            _validate.shape(array, name, *outputs)
            return array

        def hidden(name: str) -> RealArray:
            array = as_real(getattr(given, name), name, x, "x")
            _validate.hidden_shape(array, name, sizes, problem.batch)
            return array

        def cells(name: str) -> RealArray:
            array = as_real(getattr(given, name), name, x, "x")
            _validate.cell_shape(array, name, sizes, problem.batch)
            return array

        h_0, c_0 = hidden("hx"), cells("cx")
        flat = self._flat_weight(given.w, x, "x")
        sequence("y")
        hidden("hy")
        cells("cy")
        gradients = OutputGradients(sequence("dy"), hidden("dhy"), cells("dcy"))
        tape, problem = self._tape(given.reserve, "reserve", x, problem, state)
        call = self._describe(problem, x, h_0, c_0, self._cells(flat), target)
        return _CheckedCall(call, tape, gradients, flat.shape)

    def _describe(
        self,
        problem: Problem,
        x: RealArray,
        h_0: RealArray,
        c_0: RealArray,
        weights: Any,
        target: Target | None,
    ) -> ForwardCall:
        return ForwardCall(problem, x, h_0, c_0, weights, self.batch_first, target=target)

    def _target(self, device: Any, x: Any) -> Target | None:
        target = cuda.target_of(self.device if device is None else device, x)
        if target is not None:
            _validate.of_cuda(self._cell, self._reverse)
        return target

    def _problem_of(self, x: RealArray, threads: int) -> Problem:
        seq_len, batch = _validate.input_shape(x, self._sizes, self.batch_first, None, "x")
        rate = self.dropout if self.num_layers > 1 else 0.0
        return self._problem(seq_len, batch, Dropout(rate, 0, 0), threads)

    def _tape(
        self, value: Any, name: str, x: RealArray, problem: Problem, state: Any, form: int = GATES
    ) -> tuple[RealArray, Problem]:
        """Return a tape, and the problem with the masks that it names."""
        tape, (key, counter) = check_tape(value, name, x, problem, form)
        if state is not None:
            given = _random.from_state(state)
            if given != (key, counter):
                raise ValueError(
                    f"state: expected what the call returned together with {name}, key "
                    f"{key} and counter {counter}, got {given[0]} and {given[1]}"
                )
        return tape, problem._replace(dropout=Dropout(problem.dropout.rate, key, counter))

    def _out(self, out: Any, call: ForwardCall, accumulate: bool) -> Any:
        x = call.input
        if out is None:
            if accumulate:
                raise ValueError("out: expected an array to add to (accumulate=True), got None")
            return empty(call, (self.weight_size,))
        out = take(call, out, "out")
        on_device = isinstance(out, _device.BorrowedArray)
        _validate.unmasked_result(out, "out")
        if not isinstance(out, np.ndarray) and not on_device:
            raise TypeError(f"out: expected a numpy.ndarray, got {_validate.described(out)}")
        if out.dtype != x.dtype:
            raise TypeError(f"out: expected dtype {x.dtype}, the same as x, got {out.dtype}")
        if out.size != self.weight_size:
            raise ValueError(
                f"out: expected {self.weight_size} elements, got {out.size} in shape {out.shape}"
            )
        if not (out.is_contiguous if on_device else _is_writable_in_c_order(out)):
            raise ValueError(
                f"out: expected a writable array in C order, got strides {out.strides}"
            )
        return out


def _is_writable_in_c_order(array: RealArray) -> bool:
    flags = array.flags
    return flags.c_contiguous and flags.writeable and flags.aligned
