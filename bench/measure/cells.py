"""Measures cells other than the standard one beside ONNX Runtime, on the same node.

python -m bench.measure.cells [--threads N ...]
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import onnxruntime

import lstm_native
from bench.measure.machine import default_threads
from bench.measure.timing import time_turn
from bench.report.markdown import table
from bench.report.verdict import exit_status, verdict
from cell_cases import case_for
from lstm_native import Cell
from shapes import Shape

SHAPES = (
    Shape("step", 1, 1, 64, 64),
    Shape("wide step", 1, 1, 512, 512),
    Shape("stream", 100, 1, 128, 128),
    Shape("forecast", 200, 8, 32, 32),
    Shape("small batch", 100, 8, 512, 512),
    Shape("sensors", 50, 128, 64, 64),
    Shape("batch", 25, 64, 512, 512),
)
CELLS = {
    "standard": Cell(),
    "coupled": Cell(input_forget=True),
    "clip": Cell(clip=3.0),
    "hard sigmoid": Cell(activations=("HardSigmoid", "Tanh", "Tanh")),
    "peepholes": Cell(peepholes=True),
    "all": Cell(
        activations=("HardSigmoid", "Softsign", "Elu"), clip=3.0, input_forget=True, peepholes=True
    ),
}
# Of the times of ONNX Runtime to ours, cells other than the standard one.
LEAST_RATIO = 1.1
LEAST_MEAN = 1.5
_ROUNDS = 8
_TURN_MS = 10.0
_PAUSE_S = 0.05


def peer_call(model: lstm_native.Model, inputs: dict[str, Any], threads: int) -> Callable[[], Any]:
    """A call of the same model in ONNX Runtime, through IO binding."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    session = onnxruntime.InferenceSession(
        model.to_onnx().SerializeToString(), options, providers=["CPUExecutionProvider"]
    )
    binding = session.io_binding()
    for name, array in inputs.items():
        binding.bind_ortvalue_input(name, onnxruntime.OrtValue.ortvalue_from_numpy(array))
    for output in session.get_outputs():
        binding.bind_output(output.name, "cpu")

    def call() -> Any:
        session.run_with_iobinding(binding)
        return binding

    return call


def measure(shape: Shape, cell: Cell, threads: int) -> tuple[float, float]:
    """Least microseconds of a call: ours, and ONNX Runtime's."""
    case = case_for(cell, shape, np.float32)
    model = lstm_native.Model(case.all_weights, cell=cell)
    states = (case.h0, case.c0)

    def ours() -> Any:
        return model(case.x, state=states, num_threads=threads)

    theirs = peer_call(model, {"input": case.x, "h_0": case.h0, "c_0": case.c0}, threads)
    output = theirs().copy_outputs_to_cpu()[0]
    np.testing.assert_allclose(ours()[0], output, rtol=0, atol=2e-5)
    turns: list[tuple[float, float]] = []
    for _ in range(_ROUNDS):
        pair = []
        for call in (ours, theirs):
            time.sleep(_PAUSE_S)  # until the other's threads have stopped spinning
            pair.append(time_turn(call, _TURN_MS, 1).min_us)
        turns.append((pair[0], pair[1]))
    ours_us, theirs_us = (min(times) for times in zip(*turns, strict=True))
    return ours_us, theirs_us


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--threads", type=int, nargs="+", default=default_threads(), metavar="N")
    rows, means = [], []
    for threads in parser.parse_args().threads:
        ratios = []
        for shape in SHAPES:
            for name, cell in CELLS.items():
                ours, theirs = measure(shape, cell, threads)
                ratio = theirs / ours
                judged = verdict(ratio >= LEAST_RATIO)
                times = [f"{ours:.1f} us", f"{theirs:.1f} us", f"{ratio:.2f}"]
                rows.append([shape.label, name, str(threads), *times, judged])
                if name != "standard":
                    ratios.append(ratio)
        mean = statistics.geometric_mean(ratios)
        means.append([str(threads), f"{mean:.2f}", verdict(mean >= LEAST_MEAN)])
    print("A call of a `Model` beside ONNX Runtime, the same node:\n")
    print(table(["T,N,I/H", "cell", "threads", "ours", "theirs", "ratio", ""], rows, left=2))
    print("\nGeometric means, without the standard cell:\n")
    print(table(["threads", "ratio", ""], means, left=0))
    return exit_status([*rows, *means])


if __name__ == "__main__":
    raise SystemExit(main())
