"""Writes a case's LSTM as an ONNX model."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import helper, numpy_helper

from bench.peers.layers import LayerWeights, layers_of, reorder_gates
from shapes import Case

INPUTS = ("x", "h0", "c0")
OUTPUTS = ("output", "h_n", "c_n")

# The ONNX operator's gates: input, output, forget, cell candidate.
_GATES = "iofg"

# Old enough for every runtime compared; LSTM has not changed in what is used here since.
_OPSET = 17
_IR_VERSION = 8


def build_model(case: Case) -> bytes:
    """A serialised model with inputs ``INPUTS`` and outputs ``OUTPUTS``, all of fixed sizes."""
    graph = _GraphBuilder(case)
    features = "x"
    layers = layers_of(case)
    for index, weights in enumerate(layers):
        features = graph.add_layer(index, weights, features, is_last=index == len(layers) - 1)
    graph.join_states(len(layers))
    model = helper.make_model(
        graph.finish(), opset_imports=[helper.make_opsetid("", _OPSET)], ir_version=_IR_VERSION
    )
    onnx.checker.check_model(model)
    return bytes(model.SerializeToString())


class _GraphBuilder:
    """Collects the nodes of a stack of layers."""

    def __init__(self, case: Case) -> None:
        self._shape = case.shape
        self._elem_type = helper.np_dtype_to_tensor_dtype(case.x.dtype)
        self._nodes: list[onnx.NodeProto] = []
        self._constants: list[onnx.TensorProto] = []

    def add_layer(self, index: int, weights: LayerWeights, features: str, *, is_last: bool) -> str:
        """Append layer ``index``; its concatenated output's name is returned."""
        constants = [
            self._constant(f"w_ih_{index}", reorder_gates(weights.w_ih, _GATES)),
            self._constant(f"w_hh_{index}", reorder_gates(weights.w_hh, _GATES)),
            self._constant(f"bias_{index}", _bias(weights)),
        ]
        h0, c0 = (self._layer_state(state, index) for state in ("h0", "c0"))
        h_n, c_n = (self._layer_name(state, index) for state in ("h_n", "c_n"))
        no_sequence_lengths = ""
        self._add(
            "LSTM",
            [features, *constants, no_sequence_lengths, h0, c0],
            [f"by_direction_{index}", h_n, c_n],
            hidden_size=self._shape.hidden_size,
            direction="bidirectional" if self._shape.bidirectional else "forward",
        )
        return self._concatenate_directions(index, "output" if is_last else f"features_{index}")

    def join_states(self, num_layers: int) -> None:
        """Stack the layers' final states; a single layer's already have the right names."""
        if num_layers == 1:
            return
        for state in ("h_n", "c_n"):
            parts = [self._layer_name(state, index) for index in range(num_layers)]
            self._add("Concat", parts, [state], axis=0)

    def finish(self) -> onnx.GraphProto:
        s = self._shape
        states = (s.num_layers * s.num_directions, s.batch, s.hidden_size)
        sizes = {
            "x": (s.seq_len, s.batch, s.input_size),
            "output": (s.seq_len, s.batch, s.num_directions * s.hidden_size),
        }

        def infos(names: tuple[str, ...]) -> list[onnx.ValueInfoProto]:
            return [
                helper.make_tensor_value_info(name, self._elem_type, sizes.get(name, states))
                for name in names
            ]

        return helper.make_graph(
            self._nodes, "lstm", infos(INPUTS), infos(OUTPUTS), self._constants
        )

    def _layer_name(self, state: str, index: int) -> str:
        return state if self._shape.num_layers == 1 else f"{state}_{index}"

    def _layer_state(self, state: str, index: int) -> str:
        """Layer ``index``'s rows of an initial state."""
        if self._shape.num_layers == 1:
            return state
        rows = self._shape.num_directions
        bounds = [
            self._constant(f"{state}_{index}_{name}", np.array([value], np.int64))
            for name, value in (("from", index * rows), ("to", (index + 1) * rows), ("axis", 0))
        ]
        self._add("Slice", [state, *bounds], [f"{state}_{index}"])
        return f"{state}_{index}"

    def _concatenate_directions(self, index: int, name: str) -> str:
        """(T, D, N, H) to (T, N, D * H)."""
        s = self._shape
        by_direction = f"by_direction_{index}"
        if s.num_directions == 1:
            axis = self._constant(f"direction_axis_{index}", np.array([1], np.int64))
            self._add("Squeeze", [by_direction, axis], [name])
            return name
        self._add("Transpose", [by_direction], [f"by_row_{index}"], perm=[0, 2, 1, 3])
        sizes = np.array([s.seq_len, s.batch, s.num_directions * s.hidden_size], np.int64)
        sizes_name = self._constant(f"feature_sizes_{index}", sizes)
        self._add("Reshape", [f"by_row_{index}", sizes_name], [name])
        return name

    def _add(self, op: str, inputs: list[str], outputs: list[str], **attributes: Any) -> None:
        self._nodes.append(helper.make_node(op, inputs, outputs, **attributes))

    def _constant(self, name: str, value: NDArray[np.generic]) -> str:
        self._constants.append(numpy_helper.from_array(np.ascontiguousarray(value), name))
        return name


def _bias(weights: LayerWeights) -> NDArray[np.floating]:
    parts = [reorder_gates(bias, _GATES) for bias in (weights.b_ih, weights.b_hh)]
    return np.concatenate(parts, axis=1)
