"""Takes the ONNX model apart into encoder, LSTM and head."""

# onnx is imported where it is used, so that its absence can be reported.
# ruff: noqa: PLC0415

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cli.errors import InputError
from vad.signatures import Array

if TYPE_CHECKING:
    from onnx import ModelProto

# The model's file in the package, its LSTM, and the names in its graph where it is cut.
MODEL_FILE = "silero_vad_16k_sequence.onnx"
HIDDEN_SIZE = 128
FRAMES_INPUT = "input"
HEAD_WEIGHT = "output.weight"
HEAD_BIAS = "output.bias"


def load_model() -> ModelProto:
    """Read the model from the installed silero-vad package, its inner shapes inferred."""
    import onnx

    # A graph can be cut only where the shapes are known.
    return onnx.shape_inference.infer_shapes(onnx.load(model_path()))


def model_path() -> Path:
    """Return the model's file in the installed silero-vad package."""
    # Found, not imported: importing silero_vad would import PyTorch.
    package = find_spec("silero_vad")
    folders = list(package.submodule_search_locations or []) if package else []
    paths = [Path(folder) / "data" / MODEL_FILE for folder in folders]
    path = next((path for path in paths if path.is_file()), None)
    if path is None:
        raise InputError(f"silero-vad lacks {MODEL_FILE}: install silero-vad 6.2.3 or newer")
    return path


def cut_graph(model: ModelProto) -> tuple[ModelProto, ModelProto]:
    """Cut the encoder (frames in, features out) and the LSTM out of the model."""
    from onnx.utils import Extractor

    node = lstm_node(model)
    features, h0, c0 = node.input[0], node.input[5], node.input[6]
    extractor = Extractor(model)
    return (
        extractor.extract_model([FRAMES_INPUT], [features]),
        extractor.extract_model([features, h0, c0], list(node.output)),
    )


def lstm_node(model: ModelProto) -> Any:
    """Return the model's only LSTM node."""
    (node,) = (node for node in model.graph.node if node.op_type == "LSTM")
    return node


def head_weights(model: ModelProto) -> tuple[Array, Array]:
    """Return the weight (H,) and the bias (1,) of the head."""
    return read_initialiser(model, HEAD_WEIGHT)[0, :, 0], read_initialiser(model, HEAD_BIAS)


def read_initialiser(model: ModelProto, name: str) -> Array:
    """Return a weight of the model by its name."""
    from onnx import numpy_helper

    (tensor,) = (tensor for tensor in model.graph.initializer if tensor.name == name)
    weight: Array = numpy_helper.to_array(tensor)
    return weight
