"""Groups a case's flat weights by layer."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from shapes import Case

Array = NDArray[np.floating]


@dataclass(frozen=True)
class LayerWeights:
    """One layer's weights, with the directions along the first axis."""

    w_ih: Array
    w_hh: Array
    b_ih: Array
    b_hh: Array


def layers_of(case: Case) -> list[LayerWeights]:
    arrays_per_direction = 4
    directions = case.shape.num_directions
    stride = arrays_per_direction * directions
    if len(case.all_weights) != case.shape.num_layers * stride:
        raise ValueError("only cases with both biases are benchmarked")
    return [
        _stack_directions(case.all_weights[start : start + stride])
        for start in range(0, len(case.all_weights), stride)
    ]


def _stack_directions(weights: Sequence[Array]) -> LayerWeights:
    w_ih, w_hh, b_ih, b_hh = (np.stack(weights[i::4]) for i in range(4))
    return LayerWeights(w_ih, w_hh, b_ih, b_hh)


def reorder_gates(weights: Array, order: str) -> Array:
    """Move the four gate blocks of the second axis from i, f, g, o to ``order``."""
    blocks = np.split(weights, 4, axis=1)
    return np.concatenate([blocks["ifgo".index(gate)] for gate in order], axis=1)
