"""Cases whose hidden state is a projection of what the cells give."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from shapes import Case, Shape, make_case


def projected_case(
    shape: Shape,
    proj_size: int,
    dtype: Any = np.float32,
    seed: int = 0,
    bias: tuple[bool, bool] = (True, True),
) -> Case:
    """A case of `make_case` with w_hr; a hidden state has proj_size columns wherever it is read."""
    case = make_case(shape, dtype, seed, bias)
    rng = np.random.default_rng(1000 + seed)
    bound = shape.hidden_size**-0.5
    arrays = 2 + sum(bias)
    weights: list[Any] = []
    for first in range(0, len(case.all_weights), arrays):
        w_ih, w_hh, *biases = case.all_weights[first : first + arrays]
        if first >= arrays * shape.num_directions:
            w_ih = w_ih[:, : shape.num_directions * proj_size]
        w_hr = rng.uniform(-bound, bound, (proj_size, shape.hidden_size)).astype(dtype)
        weights += [np.ascontiguousarray(w_ih), np.ascontiguousarray(w_hh[:, :proj_size])]
        weights += [*biases, w_hr]
    h0 = np.ascontiguousarray(case.h0[..., :proj_size])
    return replace(case, h0=h0, all_weights=tuple(weights))


def flat_weight(case: Case, weight_layout: str = "mindspore_gpu") -> Any:
    """The operator's weights: all matrices, then all biases, which "mindspore_cpu" adds up."""
    matrices = [w for w in case.all_weights if w.ndim == 2]
    biases = [w for w in case.all_weights if w.ndim == 1]
    if weight_layout == "mindspore_cpu":
        matrices = [w for role in range(3) for w in matrices[role::3]]
        biases = [b_ih + b_hh for b_ih, b_hh in zip(biases[::2], biases[1::2], strict=True)]
    return np.concatenate([w.ravel() for w in (*matrices, *biases)])
