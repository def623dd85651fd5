"""The oracle's cells: activations by name and their derivatives, in float64 NumPy.

It shares no code with the package.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Formula = Callable[[Array, float, float], NDArray[Any]]


def sigmoid(x: Array) -> Array:
    return 1.0 / (1.0 + np.exp(-x))


# Of x, alpha and beta: the function, and its derivative. Then alpha's and beta's defaults; None: it
# takes none.
_TABLE: dict[str, tuple[Formula, Formula, float | None, float | None]] = {
    "sigmoid": (
        lambda x, a, b: sigmoid(x),
        lambda x, a, b: sigmoid(x) * (1 - sigmoid(x)),
        None,
        None,
    ),
    "tanh": (lambda x, a, b: np.tanh(x), lambda x, a, b: 1 - np.tanh(x) ** 2, None, None),
    "relu": (lambda x, a, b: np.maximum(x, 0), lambda x, a, b: 1.0 * (x > 0), None, None),
    "affine": (lambda x, a, b: a * x + b, lambda x, a, b: np.full_like(x, a), 1.0, 0.0),
    "leakyrelu": (
        lambda x, a, b: np.where(x < 0, a * x, x),
        lambda x, a, b: np.where(x > 0, 1.0, a),
        0.01,
        None,
    ),
    "thresholdedrelu": (
        lambda x, a, b: np.where(x > a, x, 0.0),
        lambda x, a, b: 1.0 * (x > a),
        1.0,
        None,
    ),
    "scaledtanh": (
        lambda x, a, b: a * np.tanh(b * x),
        lambda x, a, b: a * b * (1 - np.tanh(b * x) ** 2),
        1.0,
        1.0,
    ),
    "hardsigmoid": (
        lambda x, a, b: np.clip(a * x + b, 0, 1),
        lambda x, a, b: np.where((a * x + b < 0) | (a * x + b > 1), 0.0, a),
        0.2,
        0.5,
    ),
    "elu": (
        lambda x, a, b: np.where(x > 0, x, a * np.expm1(np.minimum(x, 0))),
        lambda x, a, b: np.where(x > 0, 1.0, a * np.exp(np.minimum(x, 0))),
        1.0,
        None,
    ),
    "softsign": (
        lambda x, a, b: x / (1 + np.abs(x)),
        lambda x, a, b: 1 / (1 + np.abs(x)) ** 2,
        None,
        None,
    ),
    "softplus": (lambda x, a, b: np.logaddexp(0, x), lambda x, a, b: sigmoid(x), None, None),
}
ACTIVATIONS = tuple(_TABLE)


@dataclass(frozen=True)
class Activation:
    """A function with its alpha and beta."""

    name: str
    alpha: float
    beta: float

    def __call__(self, x: Array) -> Array:
        return np.asarray(_TABLE[self.name][0](x, self.alpha, self.beta))

    def derivative(self, x: Array) -> Array:
        return np.asarray(_TABLE[self.name][1](x, self.alpha, self.beta))


@dataclass(frozen=True)
class ReferenceCell:
    """What a step computes; arguments as those of `lstm_native.Cell`."""

    activations: Sequence[str] = ("sigmoid", "tanh", "tanh")
    alphas: Sequence[float] = ()
    betas: Sequence[float] = ()
    clip: float | None = None
    input_forget: bool = False
    peepholes: bool = False

    def functions(self, direction: int) -> list[Activation]:
        """Of the gates, the candidate and the output."""
        alphas, betas = iter(self.alphas), iter(self.betas)
        found = []
        for name in map(str.lower, self.activations):
            _, _, alpha, beta = _TABLE[name]
            found.append(
                Activation(
                    name,
                    0.0 if alpha is None else next(alphas, alpha),
                    0.0 if beta is None else next(betas, beta),
                )
            )
        return found[3:] if direction == 1 and len(found) == 6 else found[:3]

    def bounded(self, x: Array) -> Array:
        return x if self.clip is None else np.clip(x, -self.clip, self.clip)

    def through_bound(self, x: Array, gradient: Array) -> Array:
        """The gradient of what was bounded, from that of the bounded value."""
        return gradient if self.clip is None else np.where(np.abs(x) > self.clip, 0.0, gradient)


STANDARD = ReferenceCell()
