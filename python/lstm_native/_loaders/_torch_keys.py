"""LSTMs among named tensors, by the names that PyTorch gives them: `encoder.weight_ih_l0`.

PyTorch has no peepholes: `Model.save` calls them `peephole_l0`.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np

from lstm_native._cell import Cell
from lstm_native._loaders._description import HALVES, Array, Description, Weights, stored_dtype
from lstm_native._loaders._found import Found, choose, refuse, sizes_text

_KEY = re.compile(
    r"(?P<prefix>(?:.*\.)?)(?P<role>(?:weight|bias)_(?:ih|hh)|weight_hr|peephole)"
    r"(?:_l(?P<layer>\d+)(?P<reverse>_reverse)?)?"
)
INT8 = "int8 with scales"
_DTYPES = ("float32", "float64", "float16", "bfloat16", INT8)
_HIDDEN_SHAPE = "shape (4 * hidden_size, hidden_size)"


@dataclass(frozen=True)
class Tensors:
    """Named tensors, read one by one."""

    file: str
    shapes: Mapping[str, tuple[int, ...]]
    dtypes: Mapping[str, str]
    """As NumPy calls them, "bfloat16", and INT8 where a file has the scales beside them."""
    read: Callable[[str], Array]
    """float16, bfloat16 and INT8 come as float32 of the same value."""


@dataclass(frozen=True)
class _Group:
    """The keys of one LSTM: those that begin with its prefix, without a further dot."""

    prefix: str
    keys: Mapping[tuple[str, int, int], str]
    """By role ("weight_ih"), layer and direction."""
    others: Sequence[str]

    @property
    def num_layers(self) -> int:
        return 1 + max(layer for _, layer, _ in self.keys)

    @property
    def directions(self) -> int:
        return 1 + max(direction for _, _, direction in self.keys)

    def expected_key(self, role: str, layer: int, direction: int) -> str:
        """Return the key that the file must have for an array, spelt as its other keys are."""
        numbered = any("_l" in key[len(self.prefix) :] for key in self.keys.values())
        ending = f"_l{layer}" + "_reverse" * direction if numbered else ""
        return f"{self.prefix}{role}{ending}"


def find(tensors: Tensors) -> list[Found]:
    """Return the LSTMs among the tensors."""
    return [
        Found((group.prefix,), _sizes(tensors, group), partial(_description, tensors, group))
        for group in _groups(tensors)
        if _is_lstm(tensors, group)
    ]


def choose_prefix(tensors: Tensors, prefix: str) -> Found:
    """Return the LSTM with exactly this prefix, or else the only one whose keys begin with it."""
    found = find(tensors)
    if not found:
        others = ", ".join(repr(group.prefix) for group in _groups(tensors))
        what = f"GRU or RNN cells at {others}" if others else _few(tensors.shapes)
        refuse(tensors.file, "keys", "those of an LSTM, such as 'weight_ih_l0'", what)
    spellings = (prefix, f"{prefix}.")
    for spelling in spellings:
        if any(spelling in one.names for one in found):
            return choose(found, spelling, tensors.file, "prefix")
    below = [
        one for one in found if not prefix or one.names[0].startswith(prefix.rstrip(".") + ".")
    ]
    if not below:
        return choose(found, prefix, tensors.file, "prefix")
    return choose(below, None, tensors.file, "prefix")


def _few(keys: Mapping[str, object]) -> str:
    listed = [repr(key) for key in list(keys)[:8]]
    return ", ".join(listed) + (f" and {len(keys) - 8} more" if len(keys) > 8 else "") or "no key"


def _groups(tensors: Tensors) -> list[_Group]:
    keys: dict[str, dict[tuple[str, int, int], str]] = {}
    for key in tensors.shapes:
        match = _KEY.fullmatch(key)
        if match is not None:
            place = (match["role"], int(match["layer"] or 0), int(match["reverse"] is not None))
            here = keys.setdefault(match["prefix"], {})
            if place in here:
                refuse(tensors.file, f"key {key!r}", f"one array beside {here[place]!r}", "two")
            here[place] = key
    others: dict[str, list[str]] = {prefix: [] for prefix in keys}
    for key in tensors.shapes:
        head, dot, _ = key.rpartition(".")
        prefix = head + dot
        if prefix in keys and key not in keys[prefix].values():
            others[prefix].append(key)
    return [
        _Group(prefix, places, others[prefix])
        for prefix, places in keys.items()
        if any(role in ("weight_ih", "weight_hh") for role, _, _ in places)
    ]


def _first_hidden(tensors: Tensors, group: _Group) -> tuple[str, tuple[int, ...]]:
    """Return the key and the shape of the first w_hh; () where the file lacks it."""
    places = [place for place in group.keys if place[0] == "weight_hh"]
    if not places:
        return group.expected_key("weight_hh", 0, 0), ()
    key = group.keys[min(places)]
    return key, tensors.shapes[key]


def _is_lstm(tensors: Tensors, group: _Group) -> bool:
    """Whether it is an LSTM: PyTorch's RNN has as many rows as columns, its GRU 3 times as many."""
    _, shape = _first_hidden(tensors, group)
    return len(shape) != 2 or shape[0] not in (shape[1], 3 * shape[1])


def _sizes(tensors: Tensors, group: _Group) -> str:
    _, hidden = _first_hidden(tensors, group)
    inputs = tensors.shapes.get(group.keys.get(("weight_ih", 0, 0), ""), ())
    if len(hidden) != 2 or len(inputs) != 2:
        return "incomplete"
    units = hidden[0] // 4
    roles = {role for role, _, _ in group.keys}
    proj_size = hidden[1] if "weight_hr" in roles or hidden[1] != units else 0
    return sizes_text(inputs[1], units, group.num_layers, group.directions, proj_size)


def _description(tensors: Tensors, group: _Group) -> Description:
    if group.others:
        refuse(
            tensors.file,
            f"key {group.others[0]!r}",
            "no keys beside an LSTM's own",
            f"{len(group.others)}: {_few(dict.fromkeys(group.others))}",
        )
    hidden_key, shape = _first_hidden(tensors, group)
    if hidden_key not in tensors.shapes:
        refuse(tensors.file, f"key {hidden_key!r}", _HIDDEN_SHAPE, "none")
    if len(shape) != 2 or shape[0] % 4 or shape[0] < 4 or not shape[1]:
        refuse(tensors.file, f"key {hidden_key!r}", _HIDDEN_SHAPE, f"{shape}")
    reader = _Reader(tensors, group, shape[0] // 4, shape[1])
    layers = tuple(
        tuple(reader.weights(layer, direction) for direction in range(group.directions))
        for layer in range(group.num_layers)
    )
    has_peepholes = layers[0][0].peephole is not None
    proj_size = 0 if layers[0][0].projection is None else reader.output_size
    dtype = tensors.dtypes[hidden_key]
    return Description(
        source=f"{tensors.file}: {group.prefix!r}" if group.prefix else tensors.file,
        layers=layers,
        cells=(Cell(peepholes=has_peepholes, proj_size=proj_size),),
        weight_dtype="int8" if dtype == INT8 else stored_dtype(dtype),
    )


@dataclass(frozen=True)
class _Reader:
    """Reads the arrays of one LSTM, each of the dtype and the shape that the first w_hh gives."""

    tensors: Tensors
    group: _Group
    hidden_size: int
    output_size: int

    def weights(self, layer: int, direction: int) -> Weights:
        gates = 4 * self.hidden_size
        roles = {role for role, _, _ in self.group.keys}
        projects = "weight_hr" in roles or self.output_size != self.hidden_size
        inputs = None if layer == 0 else self.group.directions * self.output_size
        if layer == 0 and direction == 1:
            first = self.group.keys.get(("weight_ih", 0, 0))
            inputs = None if first is None else self.tensors.shapes[first][-1]
        read = self._array

        def bias(role: str) -> Array | None:
            return read((role, layer, direction), (gates,)) if role in roles else None

        return Weights(
            input=read(("weight_ih", layer, direction), (gates, inputs)),
            hidden=read(("weight_hh", layer, direction), (gates, self.output_size)),
            input_bias=bias("bias_ih"),
            hidden_bias=bias("bias_hh"),
            peephole=read(("peephole", layer, direction), (3 * self.hidden_size,))
            if "peephole" in roles
            else None,
            projection=read(("weight_hr", layer, direction), (self.output_size, self.hidden_size))
            if projects
            else None,
        )

    def _array(self, place: tuple[str, int, int], shape: tuple[int | None, ...]) -> Array:
        tensors, key = self.tensors, self.group.keys.get(place)
        sizes = tuple("input_size" if size is None else str(size) for size in shape)
        expected = f"shape ({', '.join(sizes)}{',' if len(sizes) == 1 else ''})"
        if key is None:
            name = self.group.expected_key(*place)
            refuse(tensors.file, f"key {name!r}", f"an array of {expected}", "none")
        found = tensors.shapes[key]
        if len(found) != len(shape) or any(
            size != got if size is not None else not got
            for size, got in zip(shape, found, strict=True)
        ):
            refuse(tensors.file, f"key {key!r}", expected, f"{found}")
        self._check_dtype(key, matrix=len(shape) == 2)
        array = tensors.read(key)
        return np.ascontiguousarray(array)

    def _check_dtype(self, key: str, matrix: bool) -> None:
        """Check that all have one dtype; biases beside matrices in fewer bits may be float32."""
        dtypes = self.tensors.dtypes
        first, _ = _first_hidden(self.tensors, self.group)
        wanted, found = dtypes[first], dtypes[key]
        if found not in _DTYPES:
            refuse(self.tensors.file, f"key {key!r}", f"dtype {', '.join(_DTYPES)}", found)
        narrow = wanted == INT8 or wanted in HALVES
        if found != wanted and (matrix or not narrow or found != "float32"):
            refuse(self.tensors.file, f"key {key!r}", f"dtype {wanted}, as of {first!r}", found)
