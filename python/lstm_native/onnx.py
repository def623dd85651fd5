"""ONNX's operator LSTM as a function on arrays. Needs no package beside NumPy."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal, TypeAlias, get_args, overload

import numpy as np
import numpy.typing as npt

from lstm_native import _validate
from lstm_native._arrays import RealArray, as_real
from lstm_native._cell import Cell
from lstm_native._functional import lstm as _lstm
from lstm_native._gate_order import IFGO, reordered
from lstm_native._types import ArrayLike, HostArray, IntegersLike

__all__ = ["Direction", "lstm"]

Direction: TypeAlias = Literal["forward", "reverse", "bidirectional"]
_DIRECTIONS: tuple[Direction, ...] = get_args(Direction)
GATE_ORDER = "iofg"


@overload
def lstm(
    X: HostArray,
    W: ArrayLike,
    R: ArrayLike,
    B: ArrayLike | None = None,
    sequence_lens: IntegersLike | None = None,
    initial_h: ArrayLike | None = None,
    initial_c: ArrayLike | None = None,
    P: ArrayLike | None = None,
    *,
    hidden_size: int | None = None,
    direction: Direction = "forward",
    layout: Literal[0, 1] = 0,
    activations: Sequence[str] | None = None,
    activation_alpha: Sequence[float] | None = None,
    activation_beta: Sequence[float] | None = None,
    clip: float | None = None,
    input_forget: Literal[0, 1] = 0,
    num_threads: int | None = None,
) -> tuple[HostArray, HostArray, HostArray]: ...
@overload
def lstm(
    X: ArrayLike,
    W: ArrayLike,
    R: ArrayLike,
    B: ArrayLike | None = None,
    sequence_lens: IntegersLike | None = None,
    initial_h: ArrayLike | None = None,
    initial_c: ArrayLike | None = None,
    P: ArrayLike | None = None,
    *,
    hidden_size: int | None = None,
    direction: Direction = "forward",
    layout: Literal[0, 1] = 0,
    activations: Sequence[str] | None = None,
    activation_alpha: Sequence[float] | None = None,
    activation_beta: Sequence[float] | None = None,
    clip: float | None = None,
    input_forget: Literal[0, 1] = 0,
    num_threads: int | None = None,
) -> tuple[npt.NDArray[Any], npt.NDArray[Any], npt.NDArray[Any]]: ...
def lstm(
    X: Any,
    W: Any,
    R: Any,
    B: Any = None,
    sequence_lens: Any = None,
    initial_h: Any = None,
    initial_c: Any = None,
    P: Any = None,
    *,
    hidden_size: int | None = None,
    direction: Direction = "forward",
    layout: Literal[0, 1] = 0,
    activations: Sequence[str] | None = None,
    activation_alpha: Sequence[float] | None = None,
    activation_beta: Sequence[float] | None = None,
    clip: float | None = None,
    input_forget: Literal[0, 1] = 0,
    num_threads: int | None = None,
) -> tuple[Any, Any, Any]:
    """Compute what a node LSTM of an ONNX model does.

    With T = seq_length, N = batch_size, I = input_size, H = hidden_size and D = num_directions (2
    if `direction` is "bidirectional", otherwise 1). Inputs and attributes have ONNX's names.

    Parameters
    ----------
    X : array, float32 or float64
        Shape (T, N, I), or (N, T, I) if `layout` is 1. T is at least 1; N may be 0.
    W, R : array
        Weights of the input, (D, 4 * H, I), and of the hidden state, (D, 4 * H, H), with the gates
        in the order i, o, f, c.
    B : array, optional
        Biases of the input and of the hidden state, (D, 8 * H).
    sequence_lens : sequence of int, optional
        The steps of each of the N sequences, from 0 to T. What follows a sequence's end is zero in
        Y, as are all results of a sequence of length 0.
    initial_h, initial_c : array, optional
        Shape (D, N, H), or (N, D, H) if `layout` is 1. Zeros by default.
    P : array, optional
        Peepholes, (D, 3 * H), in the order i, o, f.
    hidden_size : int, optional
        H. R tells it, too.
    direction : {"forward", "reverse", "bidirectional"}
    layout : {0, 1}
    activations : sequence of str, optional
        Three functions for each direction, see `Cell`; Sigmoid, Tanh, Tanh by default.
    activation_alpha, activation_beta : sequence of float, optional
        Values for those of the functions that take one, in their order.
    clip : float, optional
        The bound of what the activations of gates and candidate get.
    input_forget : {0, 1}
        Whether f = 1 - i.
    num_threads : int, optional
        As for `lstm_native.lstm`.

    Returns
    -------
    Y : numpy.ndarray
        All hidden states, (T, D, N, H), or (N, T, D, H) if `layout` is 1.
    Y_h, Y_c : numpy.ndarray
        The last hidden and cell states, (D, N, H), or (N, D, H) if `layout` is 1.

    Raises
    ------
    TypeError, ValueError
        If an argument has the wrong type, dtype, shape or value. The message names it.
    MemoryError
        If the results or the working memory can't be allocated.

    Examples
    --------
    >>> import numpy as np
    >>> import lstm_native.onnx
    >>> X, W, R = (np.ones(s, np.float32) for s in [(5, 3, 10), (1, 8, 10), (1, 8, 2)])
    >>> Y, Y_h, Y_c = lstm_native.onnx.lstm(X, W, R, clip=3.0)
    >>> Y.shape, Y_h.shape
    ((5, 1, 3, 2), (1, 3, 2))
    """
    direction = _validate.choice(direction, "direction", _DIRECTIONS)
    directions = 2 if direction == "bidirectional" else 1
    batch_first = _validate.integer(layout, "layout", 0, 1) == 1
    coupled = _validate.integer(input_forget, "input_forget", 0, 1) == 1
    cell = _cell(
        (activations, activation_alpha, activation_beta), directions, clip, coupled, P is not None
    )
    x = as_real(X, "X")
    steps = ("batch_size", "seq_length") if batch_first else ("seq_length", "batch_size")
    _validate.shape(x, "X", (None, None, None), (*steps, "input_size"))
    seq_length, batch = x.shape[1::-1] if batch_first else x.shape[:2]
    if seq_length == 0 or x.shape[2] == 0:
        raise ValueError(
            f"X: expected a seq_length and an input_size of at least 1, got shape {x.shape}"
        )
    arrays, units = _weights({"W": W, "R": R, "B": B, "P": P}, x, directions, hidden_size)
    states = tuple(
        _state(state, name, x, (directions, batch, units), batch_first)
        for name, state in (("initial_h", initial_h), ("initial_c", initial_c))
    )
    lengths = None
    if sequence_lens is not None:
        lengths = _validate.lengths(
            sequence_lens, seq_length, batch, "sequence_lens", "seq_length of X"
        )
    output, h_n, c_n = _lstm(
        x,
        (states[0], states[1]),
        arrays,
        1,
        0.0,
        False,
        directions == 2,
        batch_first,
        has_ih_bias=B is not None,
        has_hh_bias=B is not None,
        lengths=lengths,
        num_threads=num_threads,
        cell=cell,
        direction="reverse" if direction == "reverse" else "forward",
    )
    if lengths is not None and 0 in lengths:
        empty = np.array(lengths) == 0
        h_n[:, empty] = 0
        c_n[:, empty] = 0
    by_direction = output.reshape(*output.shape[:2], directions, units)
    if batch_first:
        return by_direction, _turned(h_n), _turned(c_n)
    return np.ascontiguousarray(by_direction.transpose(0, 2, 1, 3)), h_n, c_n


def _cell(
    functions: tuple[Any, Any, Any],
    directions: int,
    clip: Any,
    input_forget: bool,
    peepholes: bool,
) -> Cell:
    """Return the cell of the attributes; functions: activations, activation_alpha and _beta."""
    names, alphas, betas = functions
    try:
        usual = ("sigmoid", "tanh", "tanh") * directions
        cell = Cell(
            activations=usual if names is None else names,
            alphas=alphas,
            betas=betas,
            clip=clip,
            input_forget=input_forget,
            peepholes=peepholes,
        )
    except (TypeError, ValueError) as error:  # the attributes' names are not the cell's
        text = str(error)
        for ours in ("alphas", "betas"):
            if text.startswith(ours):
                text = f"activation_{ours[:-1]}{text[len(ours) :]}"
        raise type(error)(text) from None
    if names is not None and len(names) != 3 * directions:
        raise ValueError(
            f"activations: expected {3 * directions} names for {directions} "
            f"direction{'s' if directions > 1 else ''}, got {len(names)}"
        )
    return cell


def _weights(
    given: dict[str, Any], x: RealArray, directions: int, hidden_size: Any
) -> tuple[list[RealArray], int]:
    """Check the weights; return them as `lstm_native.lstm` takes them, and hidden_size."""
    arrays = {
        name: as_real(array, name, x, "X") for name, array in given.items() if array is not None
    }
    r = arrays["R"]
    three = ("num_directions", "4 * hidden_size", "hidden_size")
    if r.ndim != 3 or not r.size:
        _validate.shape(r, "R", (directions, None, None), three)
        raise ValueError(f"R: expected a hidden_size of at least 1, got shape {r.shape}")
    units = r.shape[2]
    if hidden_size is not None and _validate.integer(hidden_size, "hidden_size", 1) != units:
        raise ValueError(f"hidden_size: expected {units}, as R has it, got {hidden_size}")
    _validate.shape(r, "R", (directions, 4 * units, units), three)
    shapes = {
        "W": ((directions, 4 * units, x.shape[2]), (*three[:2], "input_size")),
        "B": ((directions, 8 * units), (three[0], "8 * hidden_size")),
        "P": ((directions, 3 * units), (three[0], "3 * hidden_size")),
    }
    for name, (shape, meaning) in shapes.items():
        if name in arrays:
            _validate.shape(arrays[name], name, shape, meaning)
    listed: list[RealArray] = []
    for d in range(directions):
        matrices = [arrays["W"][d], arrays["R"][d]]
        biases = np.split(arrays["B"][d], 2) if "B" in arrays else []
        listed += [reordered(array, GATE_ORDER, IFGO) for array in (*matrices, *biases)]
        if "P" in arrays:
            i, o, f = np.split(arrays["P"][d], 3)
            listed.append(np.concatenate([i, f, o]))
    return listed, units


def _state(
    state: Any, name: str, x: RealArray, shape: tuple[int, int, int], batch_first: bool
) -> RealArray:
    if state is None:
        zeros: RealArray = np.zeros(shape, x.dtype)
        return zeros
    array = as_real(state, name, x, "X")
    meaning = ("num_directions", "batch_size", "hidden_size")
    if not batch_first:
        _validate.shape(array, name, shape, meaning)
        return array
    turned = (shape[1], shape[0], shape[2])
    _validate.shape(array, name, turned, (meaning[1], meaning[0], meaning[2]))
    return _turned(array)


def _turned(state: RealArray) -> RealArray:
    """Return a state of one layout as the other has it."""
    turned: RealArray = np.ascontiguousarray(state.swapaxes(0, 1))
    return turned
