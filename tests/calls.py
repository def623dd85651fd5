"""Shorthands for calling the package and the reference on the same case."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np

import lstm_native
from reference_lstm import Answer, reference
from shapes import Case

DTYPES = (np.float32, np.float64)
BIASES = tuple(itertools.product((True, False), repeat=2))  # has_ih_bias, has_hh_bias
THREADS = (1, 2, 3, 8)


def call_lstm(case: Case, **changes: Any) -> tuple[Any, Any, Any]:
    return lstm_native.lstm(**{**_arguments(case), **changes})


def call_vjp(case: Case, **changes: Any) -> tuple[Any, lstm_native.Pullback]:
    return lstm_native.lstm_vjp(**{**_arguments(case), "train": True, **changes})


def _arguments(case: Case) -> dict[str, Any]:
    return {
        "input": case.x,
        "initial_states": (case.h0, case.c0),
        "all_weights": case.all_weights,
        "num_layers": case.shape.num_layers,
        "dropout": 0.0,
        "train": False,
        "bidirectional": case.shape.bidirectional,
        "has_ih_bias": case.has_ih_bias,
        "has_hh_bias": case.has_hh_bias,
    }


def call_reference(case: Case, **changes: Any) -> Answer:
    return reference(
        case.x,
        case.h0,
        case.c0,
        case.all_weights,
        case.shape.bidirectional,
        (case.has_ih_bias, case.has_hh_bias),
        **changes,
    )


def transposed_weights(case: Case) -> list[Any]:
    """The weights as `weights_transposed=True` wants them."""
    return [np.ascontiguousarray(w.T) if w.ndim == 2 else w for w in case.all_weights]


def pack(case: Case, transposed: bool = False, **options: Any) -> lstm_native.PackedWeights:
    """The case's weights, packed."""
    return lstm_native.pack_weights(
        transposed_weights(case) if transposed else case.all_weights,
        case.shape.num_layers,
        case.shape.bidirectional,
        transposed,
        case.has_ih_bias,
        case.has_hh_bias,
        **options,
    )


def flat_weight(case: Case, weight_layout: str = "mindspore_gpu") -> Any:
    """The operator's weights: matrices, biases, peepholes; "mindspore_cpu" adds a cell's biases."""
    matrices = [w.ravel() for w in case.all_weights if w.ndim == 2]
    biases = [w for w in case.all_weights if w.shape == (4 * case.shape.hidden_size,)]
    peepholes = [w for w in case.all_weights if w.shape == (3 * case.shape.hidden_size,)]
    if weight_layout == "mindspore_cpu":
        matrices = matrices[::2] + matrices[1::2]
        biases = [b_ih + b_hh for b_ih, b_hh in zip(biases[::2], biases[1::2], strict=True)]
    return np.concatenate([*matrices, *biases, *peepholes])


def weights_of_flat(case: Case, flat: Any, weight_layout: str = "mindspore_gpu") -> list[Any]:
    """The gradient of flat weights, cut into the gradients of the weights."""
    places = dict(enumerate(w.shape for w in case.all_weights))
    of_biases = (4 * case.shape.hidden_size,)
    matrices = [place for place, shape in places.items() if len(shape) == 2]
    biases = [place for place, shape in places.items() if shape == of_biases]
    peepholes = [place for place, s in places.items() if len(s) == 1 and s != of_biases]
    if weight_layout == "mindspore_cpu":
        matrices, biases = matrices[::2] + matrices[1::2], biases[::2]
    arrays: dict[int, Any] = {}
    start = 0
    for place in (*matrices, *biases, *peepholes):
        shape = case.all_weights[place].shape
        arrays[place] = flat.ravel()[start : start + np.prod(shape)].reshape(shape)
        start += arrays[place].size
    assert start == flat.size
    # Both biases of a cell have the gradient of their sum.
    return [arrays[place if place in arrays else place - 1] for place in places]


def turned(array: Any) -> Any:
    """Time first made batch first, or the other way round."""
    return np.ascontiguousarray(array.swapaxes(0, 1))


def draw_like(arrays: Any, seed: int = 5) -> list[Any]:
    rng = np.random.default_rng(seed)
    return [rng.standard_normal(a.shape).astype(a.dtype) for a in arrays]


def flat_gradients(gradients: Any) -> list[Any]:
    """A pullback's results as one list; those that were not asked for are left out."""
    d_input, (d_h, d_c), d_weights = gradients
    return [a for a in (d_input, d_h, d_c, *(d_weights or ())) if a is not None]


def operator_for(case: Case, dropout: float = 0.0, **options: Any) -> lstm_native.LSTM:
    return lstm_native.LSTM(*_operator_arguments(case, dropout), **options)


def gradient_for(case: Case, dropout: float = 0.0, **options: Any) -> lstm_native.LSTMGrad:
    """The operator's gradient."""
    return lstm_native.LSTMGrad(*_operator_arguments(case, dropout), **options)


def gradient_arguments(case: Case, flat: Any, results: Any) -> tuple[Any, ...]:
    """What it takes after a call of the operator; y, hy and cy are their own gradients."""
    return (case.x, case.h0, case.c0, flat, *results[:3], *results)


def _operator_arguments(case: Case, dropout: float) -> tuple[Any, ...]:
    shape = case.shape
    sizes = (shape.input_size, shape.hidden_size, shape.num_layers)
    has_bias = case.has_ih_bias or case.has_hh_bias
    return (*sizes, has_bias, shape.bidirectional, dropout)


def assert_same_bits(got: Any, expected: Any) -> None:
    for ours, theirs in zip(got, expected, strict=True):
        assert ours.dtype == theirs.dtype
        assert ours.shape == theirs.shape
        assert np.ascontiguousarray(ours).tobytes() == np.ascontiguousarray(theirs).tobytes()
