"""What `Model` writes into a file beside the arrays, so that a round trip is exact."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from lstm_native._gate_order import IFGO, check_gate_order
from lstm_native._loaders._description import HALVES
from lstm_native._loaders._found import refuse
from lstm_native._types import HalfDtype

KEY = "lstm_native"
_VERSION = 1
_ACTIVATIONS = ["sigmoid", "tanh", "tanh"]


@dataclass(frozen=True)
class Metadata:
    """Properties of a model that a format has no place for."""

    batch_first: bool
    weight_dtype: HalfDtype | None
    has_ih_bias: bool
    has_hh_bias: bool
    gate_order: str = IFGO
    input_forget: bool = False

    def text(self) -> str:
        """Return it as a file holds it."""
        values = dict(vars(self))
        cell = {"activations": _ACTIVATIONS, "input_forget": values.pop("input_forget")}
        return json.dumps({"version": _VERSION, **values, "cell": cell}, sort_keys=True)


def read(text: str | None, file: str) -> Metadata | None:
    """Return a file's metadata, or None of a file that another program wrote."""
    if text is None:
        return None
    key = f"metadata {KEY!r}"
    try:
        value: Any = json.loads(text)
    except ValueError:
        refuse(file, key, "JSON", repr(text[:80]))
    if not isinstance(value, Mapping) or value.get("version") != _VERSION:
        refuse(file, key, f"an object of version {_VERSION}", repr(text[:80]))
    for name in ("batch_first", "has_ih_bias", "has_hh_bias"):
        if not isinstance(value.get(name), bool):
            refuse(file, f"{key}, {name!r}", "a bool", repr(value.get(name)))
    weight_dtype = value.get("weight_dtype")
    if weight_dtype is not None and weight_dtype not in HALVES:
        refuse(file, f"{key}, 'weight_dtype'", "'float16', 'bfloat16' or null", repr(weight_dtype))
    try:
        order = check_gate_order(value.get("gate_order"))
    except (TypeError, ValueError) as reason:
        raise ValueError(f"{file}: {key}: {reason}") from reason
    cell = value.get("cell")
    input_forget = cell.get("input_forget") if isinstance(cell, Mapping) else None
    if not isinstance(input_forget, bool) or cell != {
        "activations": _ACTIVATIONS,
        "input_forget": input_forget,
    }:
        expected = f"{{'activations': {_ACTIVATIONS}, 'input_forget': a bool}}"
        refuse(file, f"{key}, 'cell'", expected, repr(cell))
    return Metadata(
        value["batch_first"],
        weight_dtype,
        value["has_ih_bias"],
        value["has_hh_bias"],
        order,
        input_forget,
    )
