"""What every reader turns an LSTM into: plain data, without the package that wrote it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, TypeAlias, get_args

import numpy.typing as npt

from lstm_native._cell import STANDARD, Cell
from lstm_native._gate_order import IFGO
from lstm_native._types import Compute, HalfDtype, WeightDtype

Array: TypeAlias = npt.NDArray[Any]
HALVES: tuple[HalfDtype, ...] = get_args(HalfDtype)


def stored_dtype(name: str | None) -> HalfDtype | None:
    """Return what matrices are stored in, where that is 16 bits."""
    return next((half for half in HALVES if half == name), None)


@dataclass(frozen=True)
class Weights:
    """The arrays of one layer and direction, of H units with I inputs; absent ones are None."""

    input: Array
    """(4 * H, I)"""
    hidden: Array
    """(4 * H, H), with a projection (4 * H, P)"""
    input_bias: Array | None = None
    """(4 * H,)"""
    hidden_bias: Array | None = None
    """(4 * H,)"""
    peephole: Array | None = None
    """(3 * H,), in the order i, f, o"""
    projection: Array | None = None
    """(P, H)"""


@dataclass(frozen=True)
class Description:
    """A stack of layers with its weights."""

    source: str
    """Where it comes from, for people: a file, and the LSTM's name in it."""
    layers: tuple[tuple[Weights, ...], ...]
    """For each layer, for each direction."""
    gate_order: str = IFGO
    batch_first: bool = False
    reverse: bool = False
    """Whether the one direction begins with the end of a sequence."""
    cells: tuple[Cell, ...] = (STANDARD,)
    """For each layer, or one for all."""
    keys: Mapping[str, str] = field(default_factory=dict)
    """What the file calls an unusual property: {"clip": "attribute clip of node 'lstm'"}."""
    weight_dtype: WeightDtype | None = None
    """What the file stores the matrices in, where that is 16 or 8 bits."""
    compute: Compute | None = None
    """As for `pack_weights`."""


# What the core has no code for yet; a Model of one would compute something else.
_UNSUPPORTED = {
    "activations": "activations that differ from layer to layer",
    "clip": "a bound of the pre-activations that differs from layer to layer",
    "input_forget": "a forget gate of 1 - i in some layers, not in others",
    "peephole": "peepholes in some layers, not in others",
    "backwards": "a sequence in the reversed order as output",
}


def unsupported(description: Description) -> tuple[str, ...]:
    """Return what keeps a description from being run, one reason per property."""
    cells = description.cells
    every = [weights for layer in description.layers for weights in layer]

    def differ(*attributes: str) -> bool:
        return len({tuple(getattr(cell, name) for name in attributes) for cell in cells}) > 1

    present = {
        "activations": differ("activations", "alphas", "betas"),
        "clip": differ("clip"),
        "input_forget": differ("input_forget"),
        "peephole": len({weights.peephole is None for weights in every}) > 1,
        "backwards": "backwards" in description.keys,
    }
    return tuple(
        f"{description.keys.get(name, name)}: not supported yet: {_UNSUPPORTED[name]}"
        for name, found in present.items()
        if found
    )


def check_supported(description: Description) -> None:
    """Refuse what the core has no code for."""
    reasons = unsupported(description)
    if reasons:
        raise ValueError(f"{description.source}: " + "; ".join(reasons))
