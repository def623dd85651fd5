"""What is timed besides the named shapes: ragged batches, and gradients of outputs for training."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache

import numpy as np
from numpy.typing import NDArray

from shapes import Shape, shapes_by_name

Array = NDArray[np.floating]

# fmt: off
RAGGED_SHAPES = (
    Shape(
        "ragged_encoder", 100, 32, 128, 256, bidirectional=True, reason="a speech encoder's batch"
    ),
    Shape("ragged_tagger", 200, 64, 64, 128, reason="sentences of a text tagger"),
    Shape(
        "ragged_recogniser", 400, 16, 40, 256, bidirectional=True,
        reason="utterances, 10 ms frames",
    ),
    Shape("ragged_sensor", 1000, 8, 64, 64, reason="long sensor recordings of few subjects"),
)
# fmt: on


@cache
def lengths_of(shape: Shape) -> tuple[int, ...]:
    """Longest first, from a sixth of T to T, which fills some 0.58 of the rows."""
    rng = np.random.default_rng(0)
    drawn = rng.integers(shape.seq_len // 6, shape.seq_len, shape.batch, endpoint=True)
    drawn[0] = shape.seq_len
    return tuple(int(length) for length in sorted(drawn, reverse=True))


def batch_sizes_of(shape: Shape) -> list[int]:
    """How many sequences are still running at each step."""
    lengths = np.array(lengths_of(shape))
    return [int((lengths > step).sum()) for step in range(shape.seq_len)]


def filled_fraction(shape: Shape) -> float:
    return sum(lengths_of(shape)) / (shape.seq_len * shape.batch)


def pack(padded: Array, shape: Shape) -> Array:
    """(T, N, F) to the rows that belong to a sequence, step by step."""
    return np.concatenate([padded[step, rows] for step, rows in _rows_of_steps(shape)])


def unpack(packed: Array, shape: Shape) -> Array:
    """What ``pack`` returned back to (T, N, F), with zeros behind each sequence's end."""
    padded = np.zeros((shape.seq_len, shape.batch, packed.shape[1]), packed.dtype)
    start = 0
    for step, rows in _rows_of_steps(shape):
        padded[step, rows] = packed[start : start + rows.stop]
        start += rows.stop
    return padded


def _rows_of_steps(shape: Shape) -> Iterator[tuple[int, slice]]:
    return ((step, slice(0, size)) for step, size in enumerate(batch_sizes_of(shape)))


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
) -> NDArray[np.float32]:
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
