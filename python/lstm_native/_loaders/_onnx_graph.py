"""ONNX graphs: constants, subgraphs, and chains of LSTM nodes that are one stack of layers."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from lstm_native._loaders._description import Array
from lstm_native._loaders._found import library

# Operators that read values of other graphs, or draw numbers.
_NOT_COMPUTED = (
    *("If", "Loop", "Scan", "LSTM", "Bernoulli", "Multinomial", "RandomNormal"),
    *("RandomNormalLike", "RandomUniform", "RandomUniformLike", "Dropout"),
)


@dataclass(frozen=True)
class Scope:
    """One graph of a model, with the values that it sees of the graphs around it."""

    path: str
    """Of subgraphs: the node and the attribute that hold it, as "if.then_branch/"."""
    nodes: tuple[Any, ...]
    tensors: Mapping[str, Any]
    """Constants by name, not yet converted."""
    makers: Mapping[str, Any]
    """The node that computes each other value."""
    opsets: tuple[Any, ...]
    known: dict[str, Array | None] = field(default_factory=dict)
    """What `constant` found."""

    def constant(self, name: str) -> Array | None:
        """Return a constant, or what nodes make of constants; None for what only a run knows.

        Exporters bring weights into the operator's order of gates by such nodes.
        """
        if name not in self.known:
            self.known[name] = None  # for a value that depends on itself
            if name in self.tensors:
                helper = library("onnx.numpy_helper", "ONNX")
                self.known[name] = helper.to_array(self.tensors[name])
            elif name in self.makers:
                self._compute(self.makers[name])
        return self.known[name]

    def origin(self, name: str) -> str:
        """Return where a value that is no constant comes from, for people."""
        if name in self.makers:
            return f"the result of {self.makers[name].op_type}"
        return "an input of the graph, or undefined"

    def _compute(self, node: Any) -> None:
        """Find a node's results, where all that it reads is constant."""
        if node.op_type in _NOT_COMPUTED or not any(node.input):
            return
        feeds = {name: self.constant(name) for name in node.input if name}
        if any(value is None for value in feeds.values()):
            return
        helper = library("onnx.helper", "ONNX")
        evaluator = library("onnx.reference", "ONNX").ReferenceEvaluator
        names = [name for name in node.output if name]

        def untyped(name: str) -> Any:
            return helper.make_tensor_value_info(name, helper.TensorProto.UNDEFINED, None)

        graph = helper.make_graph([node], "one", [untyped(n) for n in feeds], map(untyped, names))
        model = helper.make_model(graph, opset_imports=self.opsets)
        results = evaluator(model).run(None, feeds)
        self.known.update(zip(names, map(np.asarray, results), strict=True))


def attributes(node: Any) -> dict[str, Any]:
    """Return a node's attributes, text as str."""
    value_of = library("onnx.helper", "ONNX").get_attribute_value
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


def scopes(model: Any) -> Iterator[Scope]:
    """Yield a model's graph and all graphs inside it."""
    yield from _scopes(model.graph, Scope("", (), {}, {}, tuple(model.opset_import)))


def _scopes(graph: Any, around: Scope) -> Iterator[Scope]:
    tensors, makers = dict(around.tensors), dict(around.makers)
    inner_names = {value.name for value in graph.input}
    for name in inner_names:
        tensors.pop(name, None)
        makers.pop(name, None)
    tensors.update((tensor.name, tensor) for tensor in graph.initializer)
    for node in graph.node:
        if node.op_type == "Constant" and node.attribute and node.attribute[0].name == "value":
            tensors[node.output[0]] = node.attribute[0].t
        else:
            makers.update((output, node) for output in node.output if output)
    scope = Scope(around.path, tuple(graph.node), tensors, makers, around.opsets)
    yield scope
    for node in graph.node:
        for attribute in node.attribute:
            graphs = [*attribute.graphs, *([attribute.g] if attribute.HasField("g") else [])]
            for inner in graphs:
                path = f"{node_name(scope, node)}.{attribute.name}/"
                yield from _scopes(inner, replace(scope, path=path, known={}))


def chains(scope: Scope) -> list[list[Any]]:
    """Return the graph's LSTM nodes, as stacks of layers."""
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
    direction, hidden_size, layout = kind
    directions = 2 if direction == "bidirectional" else 1
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


def _kind(scope: Scope, node: Any) -> tuple[str, int, int]:
    """Return direction, hidden_size and layout, which are the same in all layers of a stack."""
    given = attributes(node)
    recurrent = scope.constant(input_name(node, 2))
    hidden_size: int = given.get("hidden_size") or (
        recurrent.shape[-1] if recurrent is not None and recurrent.ndim else 0
    )
    return given.get("direction", "forward"), hidden_size, given.get("layout", 0)


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
