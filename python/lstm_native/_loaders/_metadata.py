"""What `Model` writes into a file beside the arrays, so that a round trip is exact."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, get_args

from lstm_native._cell import STANDARD, Cell
from lstm_native._gate_order import IFGO, check_gate_order
from lstm_native._loaders._found import refuse
from lstm_native._types import Compute, WeightDtype

KEY = "lstm_native"
_VERSION = 1
_WEIGHT_DTYPES: tuple[WeightDtype, ...] = get_args(WeightDtype)
# Every file has these two properties of its cell; the others, and the direction, if unusual.
_ALWAYS = ("activations", "input_forget")
_CELL = (*_ALWAYS, "alphas", "betas", "clip", "peepholes", "recurrent_dropout")


@dataclass(frozen=True)
class Metadata:
    """Properties of a model that a format has no place for."""

    batch_first: bool
    weight_dtype: WeightDtype | None
    has_ih_bias: bool
    has_hh_bias: bool
    gate_order: str = IFGO
    cell: Cell = STANDARD
    reverse: bool = False
    compute: Compute | None = None

    def text(self) -> str:
        """Return the properties as a file holds them."""
        values = dict(vars(self))
        for unusual in ("reverse", "compute"):
            if not values[unusual]:
                del values[unusual]
        cell = {
            name: getattr(self.cell, name)
            for name in _CELL
            if name in _ALWAYS or getattr(self.cell, name) != getattr(STANDARD, name)
        }
        return json.dumps({**values, "version": _VERSION, "cell": cell}, sort_keys=True)


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
    if weight_dtype is not None and weight_dtype not in _WEIGHT_DTYPES:
        expected = ", ".join(map(repr, _WEIGHT_DTYPES)) + " or null"
        refuse(file, f"{key}, 'weight_dtype'", expected, repr(weight_dtype))
    compute = value.get("compute")
    if compute is not None and (compute != weight_dtype or compute not in get_args(Compute)):
        expected = "'bfloat16', 'int8' or null, and the same as 'weight_dtype'"
        refuse(file, f"{key}, 'compute'", expected, repr(compute))
    try:
        order = check_gate_order(value.get("gate_order"))
    except (TypeError, ValueError) as reason:
        raise ValueError(f"{file}: {key}: {reason}") from reason
    reverse = value.get("reverse", False)
    if not isinstance(reverse, bool):
        refuse(file, f"{key}, 'reverse'", "a bool", repr(reverse))
    return Metadata(
        value["batch_first"],
        weight_dtype,
        value["has_ih_bias"],
        value["has_hh_bias"],
        order,
        _cell(value.get("cell"), file, f"{key}, 'cell'"),
        reverse,
        compute,
    )


def _cell(value: Any, file: str, key: str) -> Cell:
    names = set(value) if isinstance(value, Mapping) else set()
    if not names.issuperset(_ALWAYS) or not names.issubset(_CELL):
        refuse(file, key, f"an object of {', '.join(_CELL)}", repr(value))
    try:
        return Cell(**value)
    except (TypeError, ValueError) as reason:
        raise ValueError(f"{file}: {key}: {reason}") from reason
