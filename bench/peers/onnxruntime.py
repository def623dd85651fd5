"""Runs an ONNX LSTM in ONNX Runtime."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import onnx
import onnxruntime
from onnxruntime.quantization import QuantType, quantize_dynamic

from bench.peers.base import Answer, Peer, Prepared
from bench.peers.onnx_model import INPUTS, OUTPUTS, build_model
from shapes import Case


class Adapter(Peer):
    """Quantised dynamically in its variants: weights by the tensor, or by the channel."""

    variants = ("int8", "int8 per channel")

    def prepare(self, case: Case, threads: int, seed: int) -> Prepared:
        model = build_model(case)
        if self.variant:
            model = _quantised(model, per_channel=self.variant == "int8 per channel")
        session = _session(model, threads)
        # IO binding spares the conversions of session.run, which cost as much again as a small
        # LSTM. The outputs are bound to the device only, so each call allocates them, as the
        # other implementations do.
        binding = session.io_binding()
        arrays = (case.x, case.h0, case.c0)
        inputs = [onnxruntime.OrtValue.ortvalue_from_numpy(array) for array in arrays]
        for name, value in zip(INPUTS, inputs, strict=True):
            binding.bind_ortvalue_input(name, value)
        for name in OUTPUTS:
            binding.bind_output(name, "cpu")

        def call() -> Any:
            session.run_with_iobinding(binding)
            return binding

        return Prepared(call, _to_answer, keep_alive=inputs)

    def versions(self) -> dict[str, str]:
        return {"onnxruntime": onnxruntime.__version__, "onnx": onnx.__version__}


def _quantised(model: bytes, *, per_channel: bool) -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        given, quantised = Path(folder, "given.onnx"), Path(folder, "quantised.onnx")
        given.write_bytes(model)
        quantize_dynamic(given, quantised, per_channel=per_channel, weight_type=QuantType.QInt8)
        return quantised.read_bytes()


def _session(model: bytes, threads: int) -> onnxruntime.InferenceSession:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    return onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])


def _to_answer(binding: Any) -> Answer:
    output, h_n, c_n = binding.copy_outputs_to_cpu()
    return output, h_n, c_n
