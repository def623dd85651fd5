"""LSTM nodes of ONNX models."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, NoReturn

import numpy as np

from lstm_native import _validate
from lstm_native._cell import Cell
from lstm_native._loaders._description import (
    HALVES,
    Array,
    Description,
    Weights,
    stored_dtype,
)
from lstm_native._loaders._found import Found, choose, library, refuse, sizes_text
from lstm_native._loaders._metadata import KEY, Metadata
from lstm_native._loaders._metadata import read as read_metadata
from lstm_native._loaders._onnx_graph import (
    Scope,
    attributes,
    chains,
    input_name,
    node_name,
    scopes,
)

GATE_ORDER = "iofg"
_DIRECTIONS = {"forward": 1, "reverse": 1, "bidirectional": 2}
_INPUTS = ("X", "W", "R", "B", "sequence_lens", "initial_h", "initial_c", "P")
_DEFAULTS = ("sigmoid", "tanh", "tanh")


def find_in_file(path: Path) -> list[Found]:
    """Return the LSTMs of a file."""
    return _find(_read(path), str(path))


def from_file(path: Path, node: str | None) -> Description:
    """Describe an LSTM of a file."""
    return _describe(_read(path), str(path), node)


def from_model(model: Any, node: str | None) -> Description:
    """Describe an LSTM of a model in memory."""
    if not hasattr(model, "graph"):
        raise TypeError(
            "model: expected an onnx.ModelProto or a path of a file, "
            f"got {_validate.described(model)}"
        )
    return _describe(model, "model", node)


def _read(path: Path) -> Any:
    return library("onnx", f"{path}: an ONNX file").load(path)


def _find(model: Any, file: str) -> list[Found]:
    return [
        Found(
            tuple(node_name(scope, node) for node in chain),
            _sizes(scope, chain),
            partial(_description, model, file, scope, chain),
        )
        for scope in scopes(model)
        for chain in chains(scope)
    ]


def _describe(model: Any, file: str, node: str | None) -> Description:
    found = _find(model, file)
    if not found:
        operators = sorted({op.op_type for scope in scopes(model) for op in scope.nodes})
        what = ", ".join(operators[:12]) + (" ..." if len(operators) > 12 else "")
        refuse(file, "graph", "a node LSTM", f"nodes {what}" if what else "no nodes")
    return choose(found, node, file, "node").read()


def _sizes(scope: Scope, chain: Sequence[Any]) -> str:
    first = chain[0]
    inputs, hidden = (scope.constant(input_name(first, place)) for place in (1, 2))
    if inputs is None or hidden is None or inputs.ndim != 3 or hidden.ndim != 3:
        return "weights that are known at run time only"
    return sizes_text(inputs.shape[2], hidden.shape[2], len(chain), inputs.shape[0])


def _description(model: Any, file: str, scope: Scope, chain: Sequence[Any]) -> Description:
    nodes = [_Node(file, scope, node, attributes(node)) for node in chain]
    layers = [nodes[0].weights(None)]
    for node in nodes[1:]:
        layers.append(node.weights(len(layers[0]) * layers[0][0].hidden.shape[1]))
    first = nodes[0]
    dtypes = {node.dtype(place) for node in nodes for place in (1, 2)}
    stored = next(iter(dtypes)) if len(dtypes) == 1 else None
    names = ", ".join(repr(node_name(scope, node)) for node in chain)
    description = Description(
        source=f"{file}: {names}",
        layers=tuple(layers),
        gate_order=GATE_ORDER,
        batch_first=bool(first.given.get("layout", 0)),
        reverse=first.direction == "reverse",
        cells=tuple(node.cell() for node in nodes),
        keys={key: value for node in nodes for key, value in node.keys().items()},
        weight_dtype=stored_dtype(stored),
    )
    texts = {entry.key: entry.value for entry in model.metadata_props}
    metadata = read_metadata(texts.get(KEY), file)
    return description if metadata is None else _as_written(description, metadata, file)


def _as_written(description: Description, metadata: Metadata, file: str) -> Description:
    """Return the model that was written: the graph has both biases or none, and 32 bits."""
    for name, wanted in (
        ("input_bias", metadata.has_ih_bias),
        ("hidden_bias", metadata.has_hh_bias),
    ):
        for layer in description.layers:
            for weights in layer:
                bias = getattr(weights, name)
                if (bias is not None and bias.any()) and not wanted:
                    refuse(file, "input B", f"zeros for the {name}, as the metadata say", "others")
    layers = tuple(
        tuple(
            replace(
                weights,
                input_bias=weights.input_bias if metadata.has_ih_bias else None,
                hidden_bias=weights.hidden_bias if metadata.has_hh_bias else None,
            )
            for weights in layer
        )
        for layer in description.layers
    )
    return replace(
        description,
        layers=layers,
        batch_first=metadata.batch_first,
        weight_dtype=metadata.weight_dtype,
        cells=tuple(_cell_as_written(cell, metadata.cell) for cell in description.cells),
    )


def _cell_as_written(graph: Cell, written: Cell) -> Cell:
    """Return a cell with what the graph rounded to 32 bits, and with what it has no place for.

    The graph counts where the two differ by more: another program may have changed it.
    """
    exact = {
        name: value
        for name in ("alphas", "betas", "clip")
        if _equal_in_32_bits(value := getattr(written, name), getattr(graph, name))
    }
    return replace(graph, **exact, recurrent_dropout=written.recurrent_dropout)


def _equal_in_32_bits(exact: Any, rounded: Any) -> bool:
    if exact is None or rounded is None:
        return exact is rounded
    return np.array_equal(np.asarray(exact, np.float32), np.asarray(rounded, np.float32))


@dataclass(frozen=True)
class _Node:
    """Reads and checks one node."""

    file: str
    scope: Scope
    node: Any
    given: dict[str, Any]

    @property
    def name(self) -> str:
        return f"node {node_name(self.scope, self.node)!r}"

    @property
    def direction(self) -> str:
        direction: str = self.given.get("direction", "forward")
        if direction not in _DIRECTIONS:
            refuse(
                self.file,
                f"attribute direction of {self.name}",
                " or ".join(map(repr, _DIRECTIONS)),
                repr(direction),
            )
        return direction

    def dtype(self, place: int) -> str:
        array = self.scope.constant(input_name(self.node, place))
        return "" if array is None else array.dtype.name

    def weights(self, inputs: int | None) -> tuple[Weights, ...]:
        """Return the layer's arrays; inputs: the input_size, None where W gives it."""
        self._check_runtime_inputs()
        directions = _DIRECTIONS[self.direction]
        recurrent = self._array(2, (directions, None, None))
        hidden_size: int = self.given.get("hidden_size") or recurrent.shape[2]
        gates = 4 * hidden_size
        recurrent = self._array(2, (directions, gates, hidden_size))
        matrices = self._array(1, (directions, gates, inputs))
        if matrices.dtype != recurrent.dtype:
            self._refuse_input(2, f"dtype {matrices.dtype}, as of W", str(recurrent.dtype))
        biases = self._optional(3, (directions, 2 * gates), matrices)
        peepholes = self._optional(7, (directions, 3 * hidden_size), matrices)
        return tuple(
            Weights(
                input=matrices[direction],
                hidden=recurrent[direction],
                input_bias=None if biases is None else biases[direction, :gates],
                hidden_bias=None if biases is None else biases[direction, gates:],
                peephole=None if peepholes is None else _as_ifo(peepholes[direction]),
            )
            for direction in range(directions)
        )

    def cell(self) -> Cell:
        """Return what the attributes say."""
        directions = _DIRECTIONS[self.direction]
        functions = self.given.get("activations") or _DEFAULTS * directions
        if len(functions) != 3 * directions:
            refuse(
                self.file,
                f"attribute activations of {self.name}",
                f"{3 * directions} functions",
                f"{len(functions)}",
            )
        try:
            return Cell(
                activations=functions,
                alphas=self.given.get("activation_alpha", ()),
                betas=self.given.get("activation_beta", ()),
                clip=self.given.get("clip"),
                input_forget=bool(self.given.get("input_forget", 0)),
                peepholes=bool(input_name(self.node, 7)),
            )
        except ValueError as reason:
            raise ValueError(f"{self.file}: attributes of {self.name}: {reason}") from reason

    def keys(self) -> dict[str, str]:
        """Return the node's names of its properties."""
        names = {"activations": "activations", "clip": "clip", "input_forget": "input_forget"}
        keys = {
            name: f"attribute {attribute} of {self.name}"
            for name, attribute in names.items()
            if attribute in self.given
        }
        if input_name(self.node, 7):
            keys["peephole"] = f"input P of {self.name}"
        return keys

    def _check_runtime_inputs(self) -> None:
        """Refuse states and lengths that are constants of the file: a call would ignore them."""
        for place in (4, 5, 6):
            array = self.scope.constant(input_name(self.node, place))
            if array is not None and (place == 4 or array.any()):
                kind = "no constant" if place == 4 else "zeros, or no constant"
                self._refuse_input(
                    place,
                    f"{kind}: a Model takes it at each call",
                    f"a constant of shape {array.shape}",
                )

    def _refuse_input(self, place: int, expected: str, found: str) -> NoReturn:
        refuse(self.file, f"input {_INPUTS[place]} of {self.name}", expected, found)

    def _optional(self, place: int, shape: tuple[int | None, ...], like: Array) -> Array | None:
        if not input_name(self.node, place):
            return None
        array = self._array(place, shape)
        if array.dtype != like.dtype:
            self._refuse_input(place, f"dtype {like.dtype}, as of W", str(array.dtype))
        return array

    def _array(self, place: int, shape: tuple[int | None, ...]) -> Array:
        """Return a constant input of this shape; 16-bit numbers as float32 of the same value."""
        name = input_name(self.node, place)
        sizes = ", ".join("any" if size is None else str(size) for size in shape)
        found = self.scope.constant(name)
        if found is None:
            what = f"{name!r}, {self.scope.origin(name)}" if name else "none"
            self._refuse_input(place, f"a constant of shape ({sizes})", what)
        if len(found.shape) != len(shape) or any(
            size != got if size is not None else not got
            for size, got in zip(shape, found.shape, strict=True)
        ):
            self._refuse_input(place, f"shape ({sizes})", f"{found.shape}")
        if found.dtype.name in HALVES:
            return found.astype(np.float32)
        if found.dtype.name not in ("float32", "float64"):
            self._refuse_input(
                place, "dtype float32, float64, float16 or bfloat16", str(found.dtype)
            )
        return found


def _as_ifo(peephole: Array) -> Array:
    """Return the three parts in the order i, f, o; ONNX has i, o, f."""
    i, o, f = np.split(peephole, 3)
    return np.concatenate([i, f, o])
