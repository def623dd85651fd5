"""The oracle of masked steps: every step in turn, and a masked one hands the state on."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from reference_lstm import by_cell, run_direction


def reference_masked(
    x: Any,
    states: tuple[Any, Any],
    all_weights: Sequence[Any],
    directions: Sequence[bool],
    mask: Any,
    repeats_last: bool = False,
    biases: tuple[bool, bool] = (True, True),
) -> tuple[Any, Any, Any]:
    """Output, h_n and c_n of x (T, N, I), the mask (T, N) being True where a step is computed.

    directions: of each layer, whether it takes the steps from the end.
    """
    h_n, c_n = (np.array(state, np.float64) for state in states)
    cells = iter(enumerate(by_cell(all_weights, biases)))
    steps, batch = mask.shape
    below = np.where(mask[..., np.newaxis], x, 0.0).astype(np.float64)
    for _ in range(len(h_n) // len(directions)):
        outputs = []
        for backward in directions:
            place, weights = next(cells)
            output = np.zeros((steps, batch, h_n.shape[2]))
            last = np.zeros((batch, h_n.shape[2]))
            for t in reversed(range(steps)) if backward else range(steps):
                there = mask[t][:, np.newaxis]
                state = (h_n[place], c_n[place])
                h, c, _ = run_direction(below[t], *state, weights, [batch], False)
                h_n[place], c_n[place] = np.where(there, (h, c), state)
                last = np.where(there, h, last)
                output[t] = last if repeats_last else np.where(there, h, 0.0)
            outputs.append(output)
        below = np.concatenate(outputs, axis=2)
    return below, h_n, c_n
