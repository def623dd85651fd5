"""Runs ncnn's LSTM layers."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path
from typing import Any

import ncnn
import numpy as np
from numpy.typing import NDArray

from bench.peers.base import Answer, Peer, Prepared
from bench.peers.layers import layers_of, reorder_gates
from shapes import Case, Shape

# ncnn's gates: input, forget, output, cell candidate.
_GATES = "ifog"

_PARAM_MAGIC = 7767517

# Precedes each weight array in the file: the values are raw float32.
_FLOAT32_TAG = bytes(4)


class Adapter(Peer):
    def unsupported(self, shape: Shape) -> str:
        return "" if shape.batch == 1 else "batch of one only"

    def prepare(self, case: Case, threads: int, seed: int) -> Prepared:
        net = _load(case, threads)
        # A Mat made from an array points into it without keeping it alive; a clone owns its data.
        inputs = {name: ncnn.Mat(array).clone() for name, array in _inputs(case).items()}
        outputs = ["output", *_state_names(case.shape, "h_n"), *_state_names(case.shape, "c_n")]

        def call() -> list[Any]:
            extractor = net.create_extractor()
            for name, mat in inputs.items():
                extractor.input(name, mat)
            return [extractor.extract(name)[1] for name in outputs]

        return Prepared(call, lambda mats: _to_answer(case.shape, mats))

    def versions(self) -> dict[str, str]:
        return {"ncnn": metadata.version("ncnn")}


def _load(case: Case, threads: int) -> ncnn.Net:
    net = ncnn.Net()
    net.opt.num_threads = threads
    for option in ("use_fp16_packed", "use_fp16_storage", "use_fp16_arithmetic"):
        setattr(net.opt, option, False)
    with tempfile.TemporaryDirectory() as folder:
        param, model = Path(folder, "lstm.param"), Path(folder, "lstm.bin")
        param.write_text(_param_text(case.shape))
        model.write_bytes(b"".join(_weight_blobs(case)))
        if net.load_param(str(param)) or net.load_model(str(model)):
            raise RuntimeError("ncnn can't load the LSTM written for it")
    return net


def _param_text(shape: Shape) -> str:
    """The network: its inputs, then one LSTM per layer that reads the layer before."""
    inputs = ["x", *_state_names(shape, "h0"), *_state_names(shape, "c0")]
    lines = [f"Input {name} 0 1 {name}" for name in inputs]
    blobs = len(inputs)
    for layer, (h0, c0, h_n, c_n) in enumerate(
        zip(*(_state_names(shape, state) for state in ("h0", "c0", "h_n", "c_n")), strict=True)
    ):
        source = "x" if layer == 0 else f"features_{layer - 1}"
        target = "output" if layer == shape.num_layers - 1 else f"features_{layer}"
        lines.append(
            f"LSTM lstm_{layer} 3 3 {source} {h0} {c0} {target} {h_n} {c_n} "
            f"{_layer_params(shape, layer)}"
        )
        blobs += 3
    return "\n".join([str(_PARAM_MAGIC), f"{len(lines)} {blobs}", *lines, ""])


def _layer_params(shape: Shape, layer: int) -> str:
    """Keys 0 output size, 1 number of input weights, 2 direction, 3 hidden size."""
    directions = shape.num_directions
    width = shape.input_size if layer == 0 else directions * shape.hidden_size
    weights = directions * 4 * shape.hidden_size * width
    direction = 2 if shape.bidirectional else 0
    return f"0={shape.hidden_size} 1={weights} 2={direction} 3={shape.hidden_size}"


def _weight_blobs(case: Case) -> Iterator[bytes]:
    for weights in layers_of(case):
        for array in (weights.w_ih, weights.b_ih + weights.b_hh, weights.w_hh):
            yield _FLOAT32_TAG
            yield reorder_gates(array, _GATES).astype(np.float32).tobytes()


def _state_names(shape: Shape, state: str) -> list[str]:
    return [f"{state}_{layer}" for layer in range(shape.num_layers)]


def _inputs(case: Case) -> dict[str, NDArray[np.floating]]:
    shape = case.shape
    inputs = {"x": case.x[:, 0]}
    for state, rows in (("h0", case.h0), ("c0", case.c0)):
        by_layer = np.split(rows[:, 0], shape.num_layers)
        inputs.update(zip(_state_names(shape, state), by_layer, strict=True))
    return {name: np.ascontiguousarray(array) for name, array in inputs.items()}


def _to_answer(shape: Shape, mats: list[Any]) -> Answer:
    output, *states = [np.array(mat) for mat in mats]
    state_shape = (shape.num_layers * shape.num_directions, 1, shape.hidden_size)
    h_n = np.concatenate(states[: shape.num_layers]).reshape(state_shape)
    c_n = np.concatenate(states[shape.num_layers :]).reshape(state_shape)
    return output.reshape(shape.seq_len, 1, -1), h_n, c_n
