"""Named LSTM problem sizes with reproducible data for them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import DTypeLike, NDArray

Array = NDArray[np.floating]


@dataclass(frozen=True)
class Shape:
    """The sizes of one LSTM call."""

    name: str
    seq_len: int
    batch: int
    input_size: int
    hidden_size: int
    num_layers: int = 1
    bidirectional: bool = False
    reason: str = ""

    @property
    def num_directions(self) -> int:
        return 2 if self.bidirectional else 1

    @property
    def label(self) -> str:
        """The sizes as people write them, for example ``100,32,128/256 L2 bi``."""
        label = f"{self.seq_len},{self.batch},{self.input_size}"
        if self.hidden_size != self.input_size:
            label += f"/{self.hidden_size}"
        if self.num_layers > 1:
            label += f" L{self.num_layers}"
        if self.bidirectional:
            label += " bi"
        return label


@dataclass(frozen=True)
class Case:
    """One LSTM call's inputs."""

    shape: Shape
    x: Array
    h0: Array
    c0: Array
    all_weights: tuple[Array, ...]
    has_ih_bias: bool = True
    has_hh_bias: bool = True


# One line of sizes per shape reads like a table; the formatter would give each its own line.
# fmt: off
BENCH_SHAPES: tuple[Shape, ...] = (
    Shape(
        "single_step_h64", 1, 1, 64, 64,
        reason="one step of a small real-time model (denoiser, wake word): pure call overhead",
    ),
    Shape(
        "single_step_h256", 1, 1, 256, 256,
        reason="one step of a control policy: the weights no longer fit most L2 caches",
    ),
    Shape(
        "single_step_h512", 1, 1, 512, 512,
        reason="one decoder step of a speech transducer: bound by reading weights from L3",
    ),
    Shape(
        "single_step_h1024", 1, 1, 1024, 1024,
        reason="one step of a language model: the weights come from L3 or memory",
    ),
    Shape(
        "stream_h128", 100, 1, 128, 128,
        reason="one second of 10 ms frames for one voice-activity stream: latency of each step",
    ),
    Shape(
        "stream_h256_l2", 100, 1, 256, 256, num_layers=2,
        reason="a keyword spotter's two stacked layers on one stream: layer after layer",
    ),
    Shape(
        "stream_h1536", 50, 1, 1536, 1536,
        reason="one sequence through a very wide layer: every step reads weights past any L2",
    ),
    Shape(
        "tagger_h512_bi", 100, 1, 512, 512, bidirectional=True,
        reason="one sentence through a sequence tagger: two independent directions to overlap",
    ),
    Shape(
        "forecast_h32", 200, 8, 32, 32,
        reason="time-series forecasting on long windows: the fixed cost of a tiny step",
    ),
    Shape(
        "small_batch_h512", 100, 8, 512, 512,
        reason="a server's small batch: between matrix-vector and matrix-matrix products",
    ),
    Shape(
        "medium_batch_h512", 25, 16, 512, 512,
        reason="beam search or a medium batch: the row tiles barely fill",
    ),
    Shape(
        "large_batch_h512", 25, 64, 512, 512,
        reason="offline scoring of short sequences: bound by multiply-adds",
    ),
    Shape(
        "large_batch_h1024", 25, 64, 1024, 1024,
        reason="offline scoring with a wide layer: multiply-adds with weights beyond L2",
    ),
    Shape(
        "encoder_h256_l2_bi", 100, 32, 128, 256, num_layers=2, bidirectional=True,
        reason="a speech or text-recognition encoder: stacked, bidirectional, I differs from H",
    ),
    Shape(
        "sensor_batch_h64", 50, 128, 64, 64,
        reason="activity recognition over many sensor windows: wide batch, small layer",
    ),
)


TEST_SHAPES: tuple[Shape, ...] = (
    Shape("ones", 1, 1, 1, 1, reason="every size at its minimum"),
    Shape("one_unit", 5, 3, 4, 1, reason="a single hidden unit: one lane of a vector"),
    Shape("one_feature", 6, 2, 1, 8, reason="a single input feature: the shortest inner loop"),
    Shape("one_step", 1, 3, 5, 8, reason="T = 1: the first step is also the last"),
    Shape("one_step_one_row", 1, 1, 24, 24, reason="T = 1 with N = 1: the streaming path"),
    Shape("two_steps", 2, 2, 6, 8, reason="T = 2: the state is carried exactly once"),
    Shape("h3", 4, 2, 5, 3, reason="H just below a vector of 4"),
    Shape("h4", 4, 2, 5, 4, reason="H equal to a vector of 4 (AVX2, float64)"),
    Shape("h5", 4, 2, 5, 5, reason="H just above a vector of 4"),
    Shape("h7", 4, 3, 6, 7, reason="H just below a vector of 8"),
    Shape("h8", 4, 3, 6, 8, reason="H equal to a vector of 8 (AVX2 float32, AVX-512 float64)"),
    Shape("h9", 4, 3, 6, 9, reason="H just above a vector of 8"),
    Shape("h15", 5, 7, 10, 15, reason="H just below a vector of 16"),
    Shape("h16", 5, 7, 10, 16, reason="H equal to a vector of 16 (AVX-512 float32)"),
    Shape("h17", 5, 7, 10, 17, reason="H just above a vector of 16"),
    Shape("h31", 4, 1, 13, 31, reason="H just below two vectors of 16, one row"),
    Shape("h33", 4, 9, 13, 33, reason="H just above two vectors of 16"),
    Shape("h65", 3, 2, 17, 65, reason="H just above four vectors of 16"),
    Shape("h130", 7, 1, 20, 130, reason="one row with units enough to split over threads unevenly"),
    Shape("batch_7", 4, 7, 9, 12, reason="one row more than a tile of 6"),
    Shape("batch_8", 4, 8, 9, 12, reason="a batch that is a power of two"),
    Shape("batch_9", 4, 9, 9, 12, reason="a batch that divides into no even tiles"),
    Shape("batch_33", 3, 33, 11, 19, reason="many row tiles with a rest, H with a rest"),
    Shape("batch_64_h8", 5, 64, 8, 8, reason="small H with a wide batch: threads own batch rows"),
    Shape("wide_input", 3, 2, 300, 6, reason="I much larger than H"),
    Shape(
        "large_input_matrix", 30, 5, 4100, 512,
        reason="plain weights large enough, and rows enough, for BLAS to project input",
    ),
    Shape("wide_hidden", 3, 2, 2, 72, reason="H much larger than I"),
    Shape("long", 150, 2, 4, 5, reason="many steps: rounding errors accumulate"),
    Shape("two_layers", 5, 3, 7, 10, num_layers=2, reason="layer 1 reads H features, not I"),
    Shape(
        "two_layers_one_row", 6, 1, 20, 36, num_layers=2,
        reason="stacked layers on the streaming path",
    ),
    Shape("three_layers", 4, 2, 3, 6, num_layers=3, reason="a layer neither first nor last"),
    Shape("bi", 5, 3, 6, 9, bidirectional=True, reason="the reverse direction starts at the end"),
    Shape("bi_one_step", 1, 2, 4, 5, bidirectional=True, reason="both directions see one step"),
    Shape("bi_one_row", 6, 1, 12, 20, bidirectional=True, reason="both directions on one row"),
    Shape(
        "bi_two_layers", 5, 2, 6, 11, num_layers=2, bidirectional=True,
        reason="layer 1 reads 2H features: both directions concatenated",
    ),
    Shape(
        "bi_three_layers_batch_33", 3, 33, 5, 17, num_layers=3, bidirectional=True,
        reason="everything at once, with a rest in every blocked size",
    ),
)
# fmt: on


def shapes_by_name(shapes: Iterable[Shape] = BENCH_SHAPES + TEST_SHAPES) -> dict[str, Shape]:
    return {shape.name: shape for shape in shapes}


# For what depends on the kind of call rather than on sizes: every size at its minimum, one row,
# all that a stack can be, and tiles and vectors with rests.
FEW_NAMES = ("ones", "one_step_one_row", "h17", "bi_two_layers", "batch_33")
FEW_SHAPES = tuple(shapes_by_name()[name] for name in FEW_NAMES)


def make_case(
    shape: Shape,
    dtype: DTypeLike = np.float32,
    seed: int = 0,
    bias: tuple[bool, bool] = (True, True),
) -> Case:
    """Draw inputs for ``shape``; the same arguments give the same values.

    Weights are uniform in +-1/sqrt(H), the usual initialisation, so gates stay unsaturated; data
    are standard normal. Values are drawn in float64, so every dtype sees the same numbers rounded,
    and biases that are left out change no other array.
    """
    rng = np.random.default_rng(seed)

    def normal(*size: int) -> Array:
        return rng.standard_normal(size).astype(dtype)

    states = shape.num_layers * shape.num_directions
    x = normal(shape.seq_len, shape.batch, shape.input_size)
    h0 = normal(states, shape.batch, shape.hidden_size)
    c0 = normal(states, shape.batch, shape.hidden_size)
    return Case(shape, x, h0, c0, _draw_weights(shape, dtype, rng, bias), *bias)


def _draw_weights(
    shape: Shape, dtype: DTypeLike, rng: np.random.Generator, bias: tuple[bool, bool]
) -> tuple[Array, ...]:
    """The flat order: layer by layer, forward before reverse, w_ih, w_hh[, b_ih][, b_hh]."""
    gates = 4 * shape.hidden_size
    bound = shape.hidden_size**-0.5
    weights: list[Array] = []
    for layer in range(shape.num_layers):
        width = shape.input_size if layer == 0 else shape.num_directions * shape.hidden_size
        for _ in range(shape.num_directions):
            sizes = ((gates, width), (gates, shape.hidden_size), (gates,), (gates,))
            drawn = [rng.uniform(-bound, bound, size).astype(dtype) for size in sizes]
            weights += [w for w, wanted in zip(drawn, (True, True, *bias), strict=True) if wanted]
    return tuple(weights)


def fading_case(shape: Shape, dtype: DTypeLike = np.float32) -> Case:
    """Draw a case whose states fade into subnormal numbers within some steps, and stay there.

    There is no input, the forget gate is at 0.9, and the recurrent weights are so small that
    states can't grow: rounding keeps the smallest numbers as they are.
    """
    case = make_case(shape, dtype)
    tiny = np.finfo(dtype).tiny
    weights = [0.05 * w if w.ndim == 2 else np.zeros_like(w) for w in case.all_weights]
    gates = slice(shape.hidden_size, 2 * shape.hidden_size)  # of i, f, g, o the second
    for w in weights:
        if w.ndim == 1:
            w[gates] = 1.1  # of each of two biases: sigmoid(2.2) is 0.9
    state = (8 * tiny * np.sign(case.c0)).astype(dtype)
    narrow = tuple(w.astype(dtype) for w in weights)
    return replace(case, x=np.zeros_like(case.x), h0=state, c0=state, all_weights=narrow)
