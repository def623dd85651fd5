"""Moves parameters against their gradients."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from sunspots.series import Array


class Adam:
    """Kingma and Ba's Adam (arXiv:1412.6980), with its usual constants, in place."""

    def __init__(self, parameters: Sequence[Array]) -> None:
        self._parameters = parameters
        self._means = [np.zeros_like(p) for p in parameters]
        self._squares = [np.zeros_like(p) for p in parameters]
        self._steps = 0

    def step(self, gradients: Sequence[Array], rate: float) -> None:
        """Move each parameter by about `rate`, more or less as its gradients agree."""
        self._steps += 1
        mean_part, square_part = 1 - 0.9**self._steps, 1 - 0.999**self._steps
        for parameter, gradient, mean, square in zip(
            self._parameters, gradients, self._means, self._squares, strict=True
        ):
            mean[:] += 0.1 * (gradient - mean)
            square[:] += 0.001 * (gradient**2 - square)
            parameter[:] -= rate * (mean / mean_part) / (np.sqrt(square / square_part) + 1e-8)
