"""The gradients of outputs that a backward pass is timed with, and the shapes."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from bench.ragged_batches import lengths_of
from shapes import Shape, shapes_by_name

Array = NDArray[np.float32]

EVEN_TRAINING_SHAPES = tuple(
    shapes_by_name()[name]
    for name in (
        "forecast_h32",
        "stream_h128",
        "sensor_batch_h64",
        "small_batch_h512",
        "medium_batch_h512",
        "large_batch_h512",
        "large_batch_h1024",
        "stream_h1536",
    )
)

# Of order one it would fade only where sequences are long; some tens of steps more, and it is below
# the smallest normal number, 1.2e-38.
_FADING_SCALE = 1e-30


def output_gradient(
    shape: Shape, seed: int, *, is_ragged: bool = False, fades: bool = False
) -> Array:
    """Of the output (T, N, D * H), standard normal; zero behind each sequence's end.

    One that fades is zero but for the last step, and small: on its way back to the first step it
    becomes subnormal.
    """
    rng = np.random.default_rng((seed, 1))
    size = (shape.seq_len, shape.batch, shape.num_directions * shape.hidden_size)
    gradient = rng.standard_normal(size, dtype=np.float32)
    if is_ragged:
        gradient[np.arange(shape.seq_len)[:, None] >= np.array(lengths_of(shape))] = 0
    if fades:
        gradient *= np.float32(_FADING_SCALE)
        gradient[:-1] = 0
    return gradient
