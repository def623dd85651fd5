"""JAX: parameters of flax' LSTM cells, and the flat weight of jax.experimental.rnn."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from lstm_native import _validate
from lstm_native._loaders._description import HALVES, Array, Description, Weights, stored_dtype
from lstm_native._loaders._found import refuse

_SOURCE = "params"
_KEYS = {"input": ("ii", "if", "ig", "io"), "hidden": ("hi", "hf", "hg", "ho")}
_FUSED = {"input": "dense_i", "hidden": "dense_h"}


@dataclass(frozen=True)
class FlatSizes:
    """The arguments that jax.experimental.rnn takes beside a flat weight."""

    input_size: Any
    hidden_size: Any
    num_layers: Any
    bidirectional: Any


def from_params(params: Any, sizes: FlatSizes) -> Description:
    """Describe flax' parameters, or a flat weight with its sizes."""
    if not isinstance(params, Mapping | list | tuple):
        return _of_flat(params, sizes)
    for name in ("input_size", "hidden_size"):
        if getattr(sizes, name) is not None:
            raise ValueError(f"{name}: expected None for parameters of cells, which tell it")
    layers: Sequence[Any] = [params] if isinstance(params, Mapping) else params
    if not layers:
        refuse(_SOURCE, "layers", "at least one", "none")
    pairs = [layer if isinstance(layer, list | tuple) else (layer,) for layer in layers]
    directions = len(pairs[0])
    cells: list[tuple[_Cell, ...]] = []
    for number, pair in enumerate(pairs):
        if len(pair) != directions or directions not in (1, 2):
            refuse(
                f"{_SOURCE}[{number}]",
                "cells",
                f"{directions}, as of the first layer" if number else "one, or (forward, reverse)",
                f"{len(pair)}",
            )
        cells.append(tuple(_only_cell(cell, number) for cell in pair))
    first = cells[0][0]
    width = len(pairs[0]) * first.hidden_size
    stored = first.dtype
    return Description(
        source="flax",
        layers=tuple(
            tuple(
                cell.weights(cells[0][0].input_size if number == 0 else width, first.hidden_size)
                for cell in pair
            )
            for number, pair in enumerate(cells)
        ),
        weight_dtype=stored_dtype(stored),
    )


@dataclass(frozen=True)
class _Cell:
    """The parameters of one cell, by key: one part per gate, or one for all four."""

    path: str
    params: Mapping[str, Any]

    @property
    def fused(self) -> bool:
        return _FUSED["hidden"] in self.params

    @property
    def input_size(self) -> int:
        key = _FUSED["input"] if self.fused else "ii"
        return int(np.shape(self._part(key, "kernel", (None, None), True))[0])

    @property
    def hidden_size(self) -> int:
        key = _FUSED["hidden"] if self.fused else "hi"
        return int(np.shape(self._part(key, "kernel", (None, None), True))[0])

    @property
    def dtype(self) -> str:
        key = _FUSED["hidden"] if self.fused else "hi"
        return str(np.asarray(self.params[key]["kernel"]).dtype)

    def weights(self, inputs: int, hidden_size: int) -> Weights:
        return Weights(
            input=self._matrix("input", inputs, hidden_size),
            hidden=self._matrix("hidden", hidden_size, hidden_size),
            input_bias=self._bias("input", hidden_size),
            hidden_bias=self._bias("hidden", hidden_size),
        )

    def _matrix(self, role: str, rows: int, units: int) -> Array:
        if self.fused:
            kernel = self._part(_FUSED[role], "kernel", (rows, 4 * units), True)
            return np.ascontiguousarray(kernel.T)
        keys = _KEYS[role]
        kernels = [self._part(key, "kernel", (rows, units), True) for key in keys]
        return np.concatenate([kernel.T for kernel in kernels])

    def _bias(self, role: str, units: int) -> Array | None:
        keys = (_FUSED[role],) if self.fused else _KEYS[role]
        size = 4 * units if self.fused else units
        have = ["bias" in self._dense(key) for key in keys]
        if not any(have):
            return None
        return np.concatenate([self._part(key, "bias", (size,), False) for key in keys])

    def _dense(self, key: str) -> Mapping[str, Any]:
        spelling = "if_" if key == "if" and "if_" in self.params else key
        dense = self.params.get(spelling)
        if not isinstance(dense, Mapping):
            refuse(_SOURCE, f"key {self.path + key!r}", "a kernel", "none")
        return dense

    def _part(self, key: str, part: str, shape: tuple[int | None, ...], matrix: bool) -> Array:
        """Return a kernel (inputs, units) or a bias, of the dtype of the first kernel."""
        where = f"key {f'{self.path}{key}.{part}'!r}"
        dense = self._dense(key)
        sizes = ", ".join("any" if size is None else str(size) for size in shape)
        expected = f"shape ({sizes}{',' if len(shape) == 1 else ''})"
        if part not in dense:
            refuse(_SOURCE, where, f"an array of {expected}", "none")
        array = np.asarray(dense[part])
        if array.ndim != len(shape) or any(
            size != got if size is not None else not got
            for size, got in zip(shape, array.shape, strict=True)
        ):
            refuse(_SOURCE, where, expected, f"{array.shape}")
        found, wanted = str(array.dtype), self.dtype
        if found not in ("float32", "float64", *HALVES):
            refuse(_SOURCE, where, "dtype float32, float64, float16 or bfloat16", found)
        if found != wanted and (matrix or wanted not in HALVES or found != "float32"):
            refuse(_SOURCE, where, f"dtype {wanted}, as of the recurrent kernel", found)
        return array.astype(np.float32) if found in HALVES else array


def _only_cell(params: Any, number: int) -> _Cell:
    """Return the cell among a layer's parameters, wherever it is in them."""
    if not isinstance(params, Mapping):
        raise TypeError(
            f"params[{number}]: expected a mapping of parameters, got {_validate.described(params)}"
        )
    found = list(_cells(params, ""))
    if not found:
        keys = ", ".join(map(repr, list(params)[:8])) or "no key"
        refuse(_SOURCE, "keys", "those of an LSTM cell, such as 'hi' and 'ii'", keys)
    if len(found) > 1:
        listed = ", ".join(repr(cell.path.removesuffix(".")) for cell in found)
        refuse(
            _SOURCE,
            "cells",
            "one; several are passed as a list of layers, [params['a'], params['b']]",
            f"{len(found)}: {listed}",
        )
    return found[0]


def _cells(params: Mapping[str, Any], path: str) -> Iterator[_Cell]:
    if _FUSED["hidden"] in params or {"hi", "hf", "hg", "ho"} & set(params):
        yield _Cell(path, params)
        return
    for name, inner in params.items():
        if isinstance(inner, Mapping):
            yield from _cells(inner, f"{path}{name}.")


def _of_flat(weight: Any, sizes: FlatSizes) -> Description:
    """Describe a flat weight: all matrices, then all biases, each by layer and direction."""
    if not hasattr(weight, "__array__") or np.ndim(weight) != 1:
        raise TypeError(
            "params: expected parameters of flax' cells, or the flat weight of "
            f"jax.experimental.rnn, got {_validate.described(weight)}"
        )
    inputs = _validate.integer(sizes.input_size, "input_size", 1)
    hidden = _validate.integer(sizes.hidden_size, "hidden_size", 1)
    count = _validate.layer_count(sizes.num_layers)
    directions = 2 if _validate.boolean(sizes.bidirectional, "bidirectional") else 1
    flat = np.asarray(weight)
    if str(flat.dtype) not in ("float32", "float64"):
        raise TypeError(f"params: expected dtype float32 or float64, got {flat.dtype}")
    gates = 4 * hidden
    widths = [inputs if layer == 0 else directions * hidden for layer in range(count)]
    expected = sum(directions * gates * (width + hidden + 2) for width in widths)
    if flat.size != expected:
        raise ValueError(
            f"params: expected {expected} elements (input_size={inputs}, hidden_size={hidden}, "
            f"num_layers={count}, bidirectional={directions == 2}), got {flat.size}"
        )
    taken = 0

    def take(*shape: int) -> Array:
        nonlocal taken
        size = int(np.prod(shape))
        taken += size
        return flat[taken - size : taken].reshape(shape)

    cells = [width for width in widths for _ in range(directions)]
    matrices = [(take(gates, width), take(gates, hidden)) for width in cells]
    weights = [Weights(*pair, take(gates), take(gates)) for pair in matrices]
    return Description(
        source="jax.experimental.rnn",
        layers=tuple(
            tuple(weights[first : first + directions])
            for first in range(0, len(weights), directions)
        ),
    )
