"""Runs an ONNX LSTM in OpenVINO."""

from __future__ import annotations

from typing import Any

import openvino

from bench.peers.base import Answer, Peer, Prepared
from bench.peers.onnx_model import INPUTS, OUTPUTS, build_model
from shapes import Case


class Adapter(Peer):
    variants = ("bf16",)

    def prepare(self, case: Case, threads: int, seed: int) -> Prepared:
        request = _compile(case, threads, self.variant or "f32").create_infer_request()
        for name, array in zip(INPUTS, (case.x, case.h0, case.c0), strict=True):
            request.get_tensor(name).data[:] = array

        def call() -> Any:
            request.infer(share_outputs=True)
            return request

        return Prepared(call, _to_answer)

    def versions(self) -> dict[str, str]:
        return {"openvino": openvino.__version__}


def _compile(case: Case, threads: int, precision: str) -> openvino.CompiledModel:
    core = openvino.Core()
    options = {
        "INFERENCE_NUM_THREADS": threads,
        "PERFORMANCE_HINT": "LATENCY",
        # Some CPUs would otherwise compute in bfloat16, which is the variant's contest.
        "INFERENCE_PRECISION_HINT": precision,
    }
    return core.compile_model(core.read_model(build_model(case)), "CPU", options)


def _to_answer(request: Any) -> Answer:
    output, h_n, c_n = (request.get_tensor(name).data.copy() for name in OUTPUTS)
    return output, h_n, c_n
