"""Names the ways in which an implementation is timed beside its usual one."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from bench.peers import OURS, package_of
from bench.peers.check import (
    FLOAT16_TOLERANCE,
    OUR_GRADIENT_TOLERANCE,
    OUR_TOLERANCE,
    PEER_GRADIENT_TOLERANCE,
    PEER_TOLERANCE,
    REDUCED_TOLERANCE,
)
from shapes import Shape

# Widest first, as lstm_native lists them; without variants, which share the kernels of float32.
ISAS = ("avx512", "avx2", "neon", "baseline")

PLAIN = f"{OURS} plain"
FLOAT16 = f"{OURS} float16"

# Fewer bits (`make precision`): ours by weight_dtype and compute, others' by their own names.
REDUCED = {
    f"{OURS} float16 weights": ("float16", None),
    f"{OURS} bfloat16 weights": ("bfloat16", None),
    f"{OURS} bfloat16 products": ("bfloat16", "bfloat16"),
    f"{OURS} int8 weights": ("int8", None),
    f"{OURS} int8 products": ("int8", "int8"),
}
REDUCED_PEERS = ("onnxruntime int8", "onnxruntime int8 per channel", "openvino bf16")

# On ragged batches only. The padded one computes all rows, as if the sequences were equally long.
PADDED = f"{OURS} padded"
PACKED_SEQUENCE = f"{OURS} packed sequence"
LENGTHS = f"{OURS} lengths"
TORCH_PACKED_SEQUENCE = "torch packed sequence"
RAGGED = (PADDED, PACKED_SEQUENCE, LENGTHS, TORCH_PACKED_SEQUENCE)

# Forward and backward. Of the last two, one keeps less between them, and the other one's gradient
# becomes subnormal on its way back.
TRAINING = f"{OURS} training"
TORCH_TRAINING = "torch training"
RECOMPUTE = f"{OURS} recompute"
FADING = f"{OURS} fading gradient"
EVEN_TRAINING = (TRAINING, RECOMPUTE, FADING, TORCH_TRAINING)
PACKED_TRAINING = f"{OURS} packed training"
TORCH_PACKED_TRAINING = "torch packed training"
RAGGED_TRAINING = (PACKED_TRAINING, TORCH_PACKED_TRAINING)
TRAINING_VARIANTS = ("training", "recompute", "fading gradient", "packed training")


def isa_variant(isa: str) -> str:
    return f"{OURS} {isa}"


def isa_of(name: str) -> str:
    """The instruction set that ``name`` is forced to; empty if it chooses by itself."""
    package, _, variant = name.partition(" ")
    return variant if package == OURS and variant in ISAS else ""


def narrower_isas(isa: Mapping[str, Any]) -> tuple[str, ...]:
    """What this CPU supports below the instruction set in use."""
    supported = [name for name in ISAS if name in isa["supported"]]
    return tuple(supported[supported.index(base_isa(isa["in_use"])) + 1 :])


def base_isa(name: str) -> str:
    """The instruction set whose float32 kernels a variant of it, as `avx512_bf16`, shares."""
    return name.partition("_")[0]


def environment_of(name: str) -> dict[str, str]:
    """The variables that ``name``'s process needs in addition."""
    isa = isa_of(name)
    return {"LSTM_NATIVE_ISA": isa} if isa else {}


def is_plain_shape(shape: Shape) -> bool:
    # Packing costs as much as some steps: users who call often pack once.
    return shape.seq_len >= 25


def is_float16_shape(shape: Shape) -> bool:
    # Elsewhere the time doesn't go into reading weights.
    return shape.batch == 1 and shape.hidden_size >= 512


def is_fading_shape(shape: Shape) -> bool:
    # In fewer steps a gradient hardly fades.
    return shape.seq_len >= 100


def trains(name: str) -> bool:
    return name in (*EVEN_TRAINING, *RAGGED_TRAINING)


def why_left_out(name: str, shape: Shape) -> str:
    """Why ``name`` isn't timed on ``shape``; empty if it is."""
    if name == PLAIN and not is_plain_shape(shape):
        return "T >= 25 only"
    if name == FLOAT16 and not is_float16_shape(shape):
        return "N = 1, H >= 512 only"
    if name == FADING and not is_fading_shape(shape):
        return "T >= 100 only"
    return ""


def heeds_lengths(name: str) -> bool:
    return name in (PACKED_SEQUENCE, LENGTHS, TORCH_PACKED_SEQUENCE, *RAGGED_TRAINING)


def tolerance_of(name: str) -> float:
    if name in REDUCED or name in REDUCED_PEERS:
        return REDUCED_TOLERANCE
    if name == FLOAT16:
        return FLOAT16_TOLERANCE
    return OUR_TOLERANCE if package_of(name) == OURS else PEER_TOLERANCE


def gradient_tolerance_of(name: str) -> float:
    return OUR_GRADIENT_TOLERANCE if package_of(name) == OURS else PEER_GRADIENT_TOLERANCE
