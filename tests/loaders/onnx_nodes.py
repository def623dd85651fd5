"""Nodes LSTM drawn at random, with every input and attribute, and what onnxruntime computes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx
import onnxruntime
from onnx import helper, numpy_helper

INPUTS = ("X", "W", "R", "B", "sequence_lens", "initial_h", "initial_c", "P")
OUTPUTS = ("Y", "Y_h", "Y_c")
WEIGHTS = ("W", "R", "B", "P")
FUNCTIONS = (
    *("Relu", "Tanh", "Sigmoid", "Affine", "LeakyRelu", "ThresholdedRelu", "ScaledTanh"),
    *("HardSigmoid", "Elu", "Softsign", "Softplus"),
)
TAKES_ALPHA = ("Affine", "LeakyRelu", "ThresholdedRelu", "ScaledTanh", "HardSigmoid", "Elu")
TAKES_BETA = ("Affine", "ScaledTanh", "HardSigmoid")
# onnxruntime has no default for these, where ONNX has one.
NEEDS_ALPHA = ("Affine", "ThresholdedRelu", "ScaledTanh")


@dataclass(frozen=True)
class Node:
    """Inputs by name, in the operator's layout 0, and attributes."""

    inputs: dict[str, Any]
    attributes: dict[str, Any]

    def model(self) -> Any:
        """A model of the node, whose weights are constants."""
        names = [name if name in self.inputs else "" for name in INPUTS]
        node = helper.make_node("LSTM", names, OUTPUTS, name="lstm", **self.attributes)
        given = {k: array for k, array in self.inputs.items() if k not in WEIGHTS}
        values = [
            helper.make_tensor_value_info(
                name, helper.np_dtype_to_tensor_dtype(array.dtype), array.shape
            )
            for name, array in given.items()
        ]
        outputs = [
            helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, None) for name in OUTPUTS
        ]
        constants = [
            numpy_helper.from_array(self.inputs[name], name)
            for name in WEIGHTS
            if name in self.inputs
        ]
        graph = helper.make_graph([node], "node", values, outputs, constants)
        opset = helper.make_opsetid("", 17)
        return helper.make_model(graph, opset_imports=[opset], ir_version=8)

    def results(self) -> list[Any]:
        """What onnxruntime computes."""
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        session = onnxruntime.InferenceSession(
            self.model().SerializeToString(), options, providers=["CPUExecutionProvider"]
        )
        given = {k: array for k, array in self.inputs.items() if k not in WEIGHTS}
        results: list[Any] = session.run(None, given)
        return results

    def states(self) -> tuple[Any, Any]:
        """h_0 and c_0."""
        directions, units = self.inputs["R"].shape[::2]
        zeros = np.zeros((directions, self.inputs["X"].shape[1], units), np.float32)
        return self.inputs.get("initial_h", zeros), self.inputs.get("initial_c", zeros)

    def turned(self, results: list[Any]) -> tuple[dict[str, Any], list[Any]]:
        """The inputs and results in layout 1, which onnxruntime refuses."""
        moved = ("X", "initial_h", "initial_c")
        inputs = {k: a.swapaxes(0, 1) if k in moved else a for k, a in self.inputs.items()}
        y, y_h, y_c = results
        return inputs, [y.transpose(2, 0, 1, 3), y_h.swapaxes(0, 1), y_c.swapaxes(0, 1)]


def draw_node(seed: int) -> Node:
    rng = np.random.default_rng(seed)

    def maybe() -> bool:
        return bool(rng.integers(2))

    steps, batch, inputs = (int(rng.integers(1, most)) for most in (9, 6, 12))
    units = int(rng.integers(1, 40))
    direction = str(rng.choice(["forward", "reverse", "bidirectional"]))
    directions = 2 if direction == "bidirectional" else 1

    def drawn(*shape: int) -> Any:
        return rng.uniform(-0.5, 0.5, shape).astype(np.float32)

    arrays: dict[str, Any] = {
        "X": 2 * drawn(steps, batch, inputs),
        "W": drawn(directions, 4 * units, inputs),
        "R": drawn(directions, 4 * units, units) / np.float32(np.sqrt(units)),
    }
    if maybe():
        arrays["B"] = drawn(directions, 8 * units)
    if maybe():
        arrays["sequence_lens"] = rng.integers(0, steps + 1, batch).astype(np.int32)
    for name in ("initial_h", "initial_c"):
        if maybe():
            arrays[name] = drawn(directions, batch, units)
    if maybe():
        arrays["P"] = drawn(directions, 3 * units)
    attributes: dict[str, Any] = {"hidden_size": units, "direction": direction}
    if maybe():
        attributes |= _functions(rng, directions)
    if maybe():
        attributes["clip"] = float(rng.uniform(0.1, 2))
    attributes["input_forget"] = int(maybe())
    return Node(arrays, attributes)


def _functions(rng: np.random.Generator, directions: int) -> dict[str, Any]:
    names = [str(name) for name in rng.choice(FUNCTIONS, 3 * directions)]
    if rng.integers(2):
        names = [name.lower() for name in names]
    spelled = [next(f for f in FUNCTIONS if f.lower() == name.lower()) for name in names]
    of_alpha = [name for name in spelled if name in TAKES_ALPHA]
    of_beta = [name for name in spelled if name in TAKES_BETA]
    attributes: dict[str, Any] = {"activations": names}
    needed = any(name in NEEDS_ALPHA for name in spelled)
    if needed or rng.integers(2):
        if of_alpha:
            attributes["activation_alpha"] = rng.uniform(0.1, 0.9, len(of_alpha)).tolist()
        if of_beta:
            attributes["activation_beta"] = rng.uniform(0.1, 0.9, len(of_beta)).tolist()
    return attributes
