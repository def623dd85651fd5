"""ONNX graphs: constants, subgraphs, and chains of LSTM nodes that are one stack of layers."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from lstm_native._loaders._description import Array
from lstm_native._loaders._found import library

EXTRA = "onnx"


@dataclass(frozen=True)
class Scope:
    """One graph of a model, with what it sees of those around it."""

    path: str
    """Of subgraphs: the node and the attribute that hold it, as "if.then_branch/"."""
    nodes: tuple[Any, ...]
    tensors: Mapping[str, Any]
    """Constants by name, not yet converted."""
    origins: Mapping[str, str]
    """The operator that computes each other value."""

    def constant(self, name: str) -> Array | None:
        """Return a constant, or None where the value is known at run time only."""
        tensor = self.tensors.get(name)
        if tensor is None:
            return None
        array: Array = library("onnx.numpy_helper", EXTRA, "ONNX").to_array(tensor)
        return array

    def shape(self, name: str) -> tuple[int, ...] | None:
        """Return a constant's shape without reading it."""
        tensor = self.tensors.get(name)
        return None if tensor is None else tuple(tensor.dims)


def attributes(node: Any) -> dict[str, Any]:
    """Return a node's attributes, text as str."""
    value_of = library("onnx.helper", EXTRA, "ONNX").get_attribute_value
    found = {attribute.name: value_of(attribute) for attribute in node.attribute}
    return {name: _text(value) for name, value in found.items()}


def node_name(scope: Scope, node: Any) -> str:
    """Return what chooses a node: its name, or its first output's where it has none."""
    outputs = [output for output in node.output if output]
    name: str = node.name or (outputs[0] if outputs else node.op_type)
    return scope.path + name


def input_name(node: Any, place: int) -> str:
    """Return the name of a node's input, "" where it is left out."""
    return node.input[place] if place < len(node.input) else ""


def scopes(graph: Any, around: Scope | None = None, path: str = "") -> Iterator[Scope]:
    """Yield a graph and all graphs inside it."""
    tensors = dict(around.tensors) if around else {}
    origins = dict(around.origins) if around else {}
    tensors.update((tensor.name, tensor) for tensor in graph.initializer)
    origins.update((value.name, "an input of the graph") for value in graph.input)
    for node in graph.node:
        if node.op_type == "Constant" and node.attribute and node.attribute[0].name == "value":
            tensors[node.output[0]] = node.attribute[0].t
        elif node.op_type == "Identity" and node.input[0] in tensors:
            tensors[node.output[0]] = tensors[node.input[0]]
        else:
            origins.update((output, f"the result of {node.op_type}") for output in node.output)
    scope = Scope(path, tuple(graph.node), tensors, origins)
    yield scope
    for node in graph.node:
        for attribute in node.attribute:
            graphs = [*attribute.graphs, *([attribute.g] if attribute.HasField("g") else [])]
            for inner in graphs:
                yield from scopes(inner, scope, f"{node_name(scope, node)}.{attribute.name}/")


def chains(scope: Scope) -> list[list[Any]]:
    """Return the graph's LSTM nodes, those together that are layers of one stack."""
    nodes = [node for node in scope.nodes if node.op_type == "LSTM"]
    after = {id(node): _next_layer(scope, node) for node in nodes}
    inner = {id(node) for node in after.values() if node is not None}
    found = []
    for first in nodes:
        if id(first) not in inner:
            chain, node = [first], after[id(first)]
            while node is not None:
                chain.append(node)
                node = after[id(node)]
            found.append(chain)
    return found


def _next_layer(scope: Scope, node: Any) -> Any:
    """Return the only LSTM node that reads this one's output, as a next layer of its kind does."""
    kind = _kind(scope, node)
    directions, hidden_size, layout = kind
    if not node.output or not node.output[0] or not hidden_size:
        return None
    axes = "NTDH" if layout else "TDNH"
    readers: list[Any] = []
    pending = [(node.output[0], axes)]
    while pending:
        name, axes = pending.pop()
        for reader in scope.nodes:
            if not reader.input or reader.input[0] != name:
                continue
            if reader.op_type == "LSTM":
                wanted = ("NT" if layout else "TN") + ("H" if directions == 1 else "B")
                if axes == wanted and _kind(scope, reader) == kind:
                    readers.append(reader)
                continue
            moved = _moved(scope, reader, axes, directions, hidden_size)
            if moved is not None:
                pending.append((reader.output[0], moved))
    return readers[0] if len(readers) == 1 else None


def _kind(scope: Scope, node: Any) -> tuple[int, int, int]:
    """Return directions, hidden_size and layout, which are the same in all layers of a stack."""
    given = attributes(node)
    shape = scope.shape(input_name(node, 2)) or (1, 0, 0)
    directions = 2 if given.get("direction") == "bidirectional" else 1
    return directions, given.get("hidden_size", shape[-1]), given.get("layout", 0)


def _moved(  # noqa: PLR0911  # one line per operator
    scope: Scope, node: Any, axes: str, directions: int, hidden_size: int
) -> str | None:
    """Return the axes after an operator that moves no values; None for any other.

    axes: one letter each, D directions, H units, B both together.
    """
    if node.op_type in ("Identity", "Dropout"):
        return axes
    given = attributes(node)
    if node.op_type == "Transpose":
        order = given.get("perm", range(len(axes))[::-1])
        return "".join(axes[place] for place in order) if len(order) == len(axes) else None
    sizes = scope.constant(input_name(node, 1))
    if node.op_type == "Squeeze":
        listed = given.get("axes") if sizes is None else sizes.tolist()
        places = {place % len(axes) for place in listed or ()}
        if directions == 1 and places == {axes.find("D")}:
            return axes.replace("D", "")
        return None
    if node.op_type != "Reshape" or sizes is None or sizes.shape != (3,):
        return None
    first, second, last = sizes.tolist()
    merged = last == directions * hidden_size or (first, second, last) == (0, 0, -1)
    if axes.endswith("DH") and merged:
        return axes.replace("DH", "H" if directions == 1 else "B")
    # Without a Transpose before it, a size of 0 in the second place would be that of D.
    moved = directions == 1 and axes == "TDNH" and second != 0
    return "TNH" if moved and last == hidden_size else None


def _text(value: Any) -> Any:
    if isinstance(value, bytes):
        return value.decode(errors="replace")
    return [_text(item) for item in value] if isinstance(value, list) else value
