"""Computes ONNX models with onnxruntime."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from vad.signatures import Array, Function, Step

if TYPE_CHECKING:
    from onnx import ModelProto
    from onnxruntime import InferenceSession


def onnxruntime_function(model: ModelProto, threads: int) -> Function:
    """Return onnxruntime's function for a model with one input and one output."""
    session = start_session(model, threads)
    (argument,) = session.get_inputs()

    def function(inputs: Array) -> Array:
        outputs: Array
        (outputs,) = session.run(None, {argument.name: inputs})
        return outputs

    return function


def onnxruntime_step(model: ModelProto, threads: int) -> Step:
    """Return onnxruntime's step for a model with three inputs and outputs: data, h, c."""
    session = start_session(model, threads)
    names = [argument.name for argument in session.get_inputs()]

    def step(inputs: Array, h: Array, c: Array) -> Sequence[Array]:
        outputs: Sequence[Array] = session.run(None, dict(zip(names, (inputs, h, c), strict=True)))
        return outputs

    return step


def start_session(model: ModelProto, threads: int) -> InferenceSession:
    """Let onnxruntime compute a model on the CPU with `threads` threads."""
    # Imported here, so that its absence can be reported.
    import onnxruntime  # noqa: PLC0415

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    return onnxruntime.InferenceSession(
        model.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )
