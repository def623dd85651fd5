"""A module's weights, packed for inference until they change."""

from __future__ import annotations

import weakref
from collections.abc import Sequence
from typing import Any, NamedTuple

import torch

from lstm_native._packing import PackedWeights, pack_weights
from lstm_native._torch.errors import as_torch_errors
from lstm_native._torch.kernels import cell_of, form_of
from lstm_native._types import WeightDtype


class Form(NamedTuple):
    """How weights are packed."""

    num_layers: int
    bidirectional: bool
    bias: bool
    weight_dtype: WeightDtype | None


class _Seen(NamedTuple):
    """The parameters of one call, and what shows that they have changed."""

    references: tuple[Any, ...]
    places: tuple[tuple[int, int], ...]
    """Version and address."""
    samples: tuple[tuple[Any, int, int], ...]
    """For each parameter: its memory as integers, and the position and value of one of these."""
    form: Form
    packed: PackedWeights | None

    def holds(self, weights: Sequence[Any], form: Form) -> bool:
        return (
            self.form == form
            and all(
                reference() is weight and weight._version == version and weight.data_ptr() == place
                for weight, reference, (version, place) in zip(
                    weights, self.references, self.places, strict=True
                )
            )
            # A change through `.data` leaves a parameter's version as it is.
            and all(memory.item(place) == value for memory, place, value in self.samples)
        )


class InferenceWeights:
    """Packs parameters at the first call with them, so that all calls have the same bits.

    Tensors in the place of parameters, as `functional_call` puts them there, may differ from call
    to call. Safe under threads: what is kept is replaced as a whole, and parameters that change
    while they are packed have another version afterwards.
    """

    __slots__ = ("_seen",)

    def __init__(self) -> None:
        self._seen: _Seen | None = None

    @property
    def nbytes(self) -> int:
        seen = self._seen
        return 0 if seen is None or seen.packed is None else seen.packed.nbytes

    def of(self, weights: Sequence[Any], form: Form) -> PackedWeights | None:
        """Return packed weights, or None where the call reads them as they are."""
        seen = self._seen
        known = seen is not None and len(seen.references) == len(weights)
        if seen is None or not known or not seen.holds(weights, form):
            self._seen = seen = _seen(weights, form)
        if seen is None:  # nothing would show that packed weights are stale
            return None if form.weight_dtype is None else _pack(weights, form)
        if seen.packed is None:
            self._seen = seen = seen._replace(packed=_pack(weights, form))
        return seen.packed


def _seen(weights: Sequence[Any], form: Form) -> _Seen | None:
    """Return what shows that the weights have changed, or None where nothing does."""
    if not all(
        type(weight) is torch.nn.Parameter and weight.is_contiguous() and not weight.is_inference()
        for weight in weights
    ):
        return None
    samples = []
    places = tuple((weight._version, weight.data_ptr()) for weight in weights)
    for weight in weights:
        array = weight.detach().flatten().view(_INTEGERS[weight.element_size()]).numpy()
        samples.append((array, array.size // 2, array.item(array.size // 2)))
    return _Seen(tuple(map(weakref.ref, weights)), places, tuple(samples), form, None)


_INTEGERS = {2: torch.int16, 4: torch.int32, 8: torch.int64}


def _pack(weights: Sequence[Any], form: Form) -> PackedWeights:
    _, proj_size = form_of(weights, form.num_layers, form.bidirectional)
    stored = form.weight_dtype or _STORED.get(weights[0].dtype)
    whole = [weight.float() if weight.dtype in _STORED else weight for weight in weights]
    with as_torch_errors:
        return pack_weights(
            [weight.numpy(force=True) for weight in whole],
            form.num_layers,
            form.bidirectional,
            False,
            form.bias,
            form.bias,
            weight_dtype=stored,
            cell=cell_of(proj_size),
        )


# Parameters of 16 bits keep their values.
_STORED: dict[Any, WeightDtype] = {torch.bfloat16: "bfloat16", torch.float16: "float16"}
