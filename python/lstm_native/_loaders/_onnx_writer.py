"""A model as an ONNX graph that any runtime computes."""

from typing import Any

import numpy as np

from lstm_native._cell import STANDARD, Cell
from lstm_native._gate_order import IFGO, reordered
from lstm_native._loaders._description import Array, Description, Weights
from lstm_native._loaders._found import library
from lstm_native._loaders._metadata import KEY, Metadata
from lstm_native._loaders._onnx import GATE_ORDER

# The first operator set with today's Squeeze, Split and LSTM, and its file format.
_OPSET = 14
_IR_VERSION = 7


def write(description: Description, metadata: Metadata) -> Any:
    """Return a ModelProto: input, h_0, c_0 to output, h_n, c_n, as a call of `Model`."""
    onnx = library("onnx", "to_onnx")
    library("onnx.helper", "to_onnx")
    graph = _Graph(onnx, description)
    graph.build()
    helper = onnx.helper
    first = description.layers[0][0]
    directions = len(description.layers[0])
    hidden, inputs = first.hidden.shape[1], first.input.shape[1]
    kind = helper.np_dtype_to_tensor_dtype(first.input.dtype)
    steps = ["batch", "seq_len"] if description.batch_first else ["seq_len", "batch"]
    states = [len(description.layers) * directions, "batch", hidden]

    def value(name: str, shape: list[Any]) -> Any:
        return helper.make_tensor_value_info(name, kind, shape)

    proto = helper.make_graph(
        graph.nodes,
        "lstm_native",
        [value("input", [*steps, inputs]), value("h_0", states), value("c_0", states)],
        [
            value("output", [*steps, directions * hidden]),
            value("h_n", states),
            value("c_n", states),
        ],
        graph.constants,
    )
    model = helper.make_model(
        proto,
        opset_imports=[helper.make_opsetid("", _OPSET)],
        ir_version=_IR_VERSION,
        producer_name="lstm_native",
    )
    helper.set_model_props(model, {KEY: metadata.text()})
    return model


class _Graph:
    """Collects nodes and constants."""

    def __init__(self, onnx: Any, description: Description) -> None:
        self._onnx = onnx
        self._description = description
        self.nodes: list[Any] = []
        self.constants: list[Any] = []

    def build(self) -> None:
        layers = self._description.layers
        count = len(layers)
        batch_first = self._description.batch_first
        steps = "input"
        if batch_first:
            steps = self._add("Transpose", [steps], ["time_major"], perm=[1, 0, 2])
        states = {name: self._split(name) for name in ("h_0", "c_0")}
        for number, layer in enumerate(layers):
            last = number + 1 == count
            target = "output" if last and not batch_first else f"output_{number}"
            initial = [states["h_0"][number], states["c_0"][number]]
            steps = self._layer(number, layer, [steps, *initial], target)
        if batch_first:
            self._add("Transpose", [steps], ["output"], perm=[1, 0, 2])
        for name in ("h_n", "c_n"):
            if count > 1:
                self._add("Concat", [f"{name}_{k}" for k in range(count)], [name], axis=0)

    def _layer(
        self, number: int, layer: tuple[Weights, ...], inputs: list[str], target: str
    ) -> str:
        """Add a layer; inputs: its input, h_0 and c_0."""
        directions, hidden = len(layer), layer[0].hidden.shape[1]
        steps, *initial = inputs
        stacked = {
            "W": [weights.input for weights in layer],
            "R": [weights.hidden for weights in layer],
        }
        names = [self._constant(f"{k}_{number}", _stacked(each)) for k, each in stacked.items()]
        names.append(self._biases(number, layer))
        peepholes = self._peepholes(number, layer)
        only = len(self._description.layers) == 1
        finals = [name if only else f"{name}_{number}" for name in ("h_n", "c_n")]
        self._add(
            "LSTM",
            [steps, *names, "", *initial, *peepholes],
            [f"Y_{number}", *finals],
            name=f"lstm_{number}",
            hidden_size=hidden,
            direction="bidirectional" if directions == 2 else self._one_direction,
            **_attributes(self._description.cells[0], directions),
        )
        if directions == 1:
            axes = self._integers("axis_of_directions", [1])
            return self._add("Squeeze", [f"Y_{number}", axes], [target])
        moved = self._add("Transpose", [f"Y_{number}"], [f"moved_{number}"], perm=[0, 2, 1, 3])
        shape = self._integers("shape_of_output", [0, 0, 2 * hidden])
        return self._add("Reshape", [moved, shape], [target])

    def _biases(self, number: int, layer: tuple[Weights, ...]) -> str:
        """Return the name of B, "" where there are no biases; a missing one of two is zeros."""
        if layer[0].input_bias is None and layer[0].hidden_bias is None:
            return ""
        both = []
        for weights in layer:
            zeros = np.zeros(len(weights.input), weights.input.dtype)
            pair = (weights.input_bias, weights.hidden_bias)
            both.append(
                np.concatenate(
                    [zeros if b is None else reordered(b, IFGO, GATE_ORDER) for b in pair]
                )
            )
        return self._constant(f"B_{number}", np.stack(both))

    @property
    def _one_direction(self) -> str:
        return "reverse" if self._description.reverse else "forward"

    def _peepholes(self, number: int, layer: tuple[Weights, ...]) -> list[str]:
        """Return the name of P, in ONNX's order i, o, f, where there are peepholes."""
        found = []
        for weights in layer:
            if weights.peephole is None:
                return []
            i, f, o = np.split(weights.peephole, 3)
            found.append(np.concatenate([i, o, f]))
        return [self._constant(f"P_{number}", np.stack(found))]

    def _split(self, name: str) -> list[str]:
        """Return the names of each layer's rows of a state."""
        count = len(self._description.layers)
        if count == 1:
            return [name]
        parts = [f"{name}_{number}" for number in range(count)]
        sizes = self._integers("rows_of_a_layer", [len(self._description.layers[0])] * count)
        self._add("Split", [name, sizes], parts, axis=0)
        return parts

    def _add(self, operator: str, inputs: list[str], outputs: list[str], **options: Any) -> str:
        self.nodes.append(self._onnx.helper.make_node(operator, inputs, outputs, **options))
        return outputs[0]

    def _constant(self, name: str, array: Array) -> str:
        if all(constant.name != name for constant in self.constants):
            helper = library("onnx.numpy_helper", "to_onnx")
            self.constants.append(helper.from_array(np.ascontiguousarray(array), name))
        return name

    def _integers(self, name: str, values: list[int]) -> str:
        return self._constant(name, np.array(values, np.int64))


def _attributes(cell: Cell, directions: int) -> dict[str, Any]:
    """Return a node's attributes for a cell; onnxruntime has defaults for what they leave out."""
    attributes: dict[str, Any] = {"input_forget": int(cell.input_forget)}
    times = directions // cell.triples
    if cell.activations != STANDARD.activations:
        attributes["activations"] = list(cell.activations) * times
    if cell.alphas:
        attributes["activation_alpha"] = list(cell.alphas) * times
    if cell.betas:
        attributes["activation_beta"] = list(cell.betas) * times
    if cell.clip is not None:
        attributes["clip"] = cell.clip
    return attributes


def _stacked(matrices: list[Array]) -> Array:
    return np.stack([reordered(matrix, IFGO, GATE_ORDER) for matrix in matrices])
