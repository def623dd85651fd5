"""Models how fast an LSTM could be on a machine of measured limits.

Assumptions:

- Only the products count: gates, activations, biases, reading inputs and writing outputs are free.
- A call takes the multiply-adds at the FMA peak, or reading its weights, whichever is longer.
- Recurrent weights are read once per step; input weights once per call. Threads share the reading
  evenly, and both directions run at once.
- What was read stays where it fits. Weights that are read in every step are all that competes for
  the caches; with T = 1 these are all weights of the call, which repeats.
- Weights larger than L2 leave an L2's worth there from pass to pass, as they do if every other pass
  goes backwards; the rest comes at the bandwidth of the measured working set that is nearest in
  size. Beyond L2 the model is therefore an estimate: a better figure than the limit is possible.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

from bench.measure.results import Limits
from shapes import Shape

_GATES = 4
FLOAT32_BYTES = 4
FLOAT16_BYTES = 2


@dataclass(frozen=True)
class _Weights:
    """The matrices of one kind in one layer, of both directions."""

    num_bytes: int
    passes: int


def limit_us(shape: Shape, limits: Limits, weight_bytes: int = FLOAT32_BYTES) -> float:
    """The least time of one call."""
    compute = flops(shape) / (limits.peak_gflops * 1e3)
    return max(compute, _reading_us(shape, limits, weight_bytes))


def flops(shape: Shape) -> int:
    """Two per multiply-add."""
    multiply_adds = sum(
        _GATES * shape.hidden_size * (width + shape.hidden_size) for width in _widths(shape)
    )
    return 2 * multiply_adds * shape.num_directions * shape.seq_len * shape.batch


def intensity(shape: Shape, weight_bytes: int = FLOAT32_BYTES) -> float:
    """Operations per byte of weights that is read."""
    read = sum(weights.num_bytes * weights.passes for weights in _weights(shape, weight_bytes))
    return flops(shape) / read


def _reading_us(shape: Shape, limits: Limits, weight_bytes: int) -> float:
    weights = list(_weights(shape, weight_bytes))
    everything = sum(w.num_bytes for w in weights)
    return sum(
        w.passes * _pass_us(w.num_bytes, w.num_bytes if w.passes > 1 else everything, limits)
        for w in weights
    )


def _weights(shape: Shape, weight_bytes: int) -> Iterator[_Weights]:
    rows = shape.num_directions * _GATES * shape.hidden_size
    for width in _widths(shape):
        yield _Weights(rows * width * weight_bytes, passes=1)
        yield _Weights(rows * shape.hidden_size * weight_bytes, passes=shape.seq_len)


def _widths(shape: Shape) -> list[int]:
    """Each layer's input size."""
    return [shape.input_size] + [shape.num_directions * shape.hidden_size] * (shape.num_layers - 1)


def _pass_us(num_bytes: int, working_set: int, limits: Limits) -> float:
    """The time to read ``num_bytes`` of a working set that is all read before they come again."""
    share = working_set / limits.threads
    nearest_cache = next((c for c in ("L1d", "L2") if share <= limits.caches[c]), None)
    if nearest_cache:
        return num_bytes / _bandwidth_of(limits, nearest_cache[:2]) / 1e3
    in_l2 = limits.caches["L2"] / share
    near, far = _bandwidth_of(limits, "L2"), _bandwidth_beyond_l2(limits, share)
    return num_bytes * (in_l2 / near + (1 - in_l2) / far) / 1e3


def _bandwidth_of(limits: Limits, level: str) -> float:
    return next(b.gb_per_s for b in limits.bandwidths if b.level == level)


def _bandwidth_beyond_l2(limits: Limits, share: float) -> float:
    beyond = [b for b in limits.bandwidths if b.level not in ("L1", "L2")]
    return min(beyond, key=lambda b: abs(math.log(b.bytes_per_thread / share))).gb_per_s
