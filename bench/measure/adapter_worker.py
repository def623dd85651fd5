"""Times one way to run a layer in PyTorch on one shape, in a process of its own.

python -m bench.measure.adapter_worker IMPLEMENTATION SHAPE THREADS (training|inference) SECONDS

module: lstm_native.torch.LSTM; torch: torch.nn.LSTM; function: lstm_vjp or lstm, without PyTorch.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from typing import Any

import numpy as np

from bench.measure.timing import time_turn
from shapes import Case, make_case, shapes_by_name

# The gradients of input, h_0, c_0 and of all weights; output, h_n and c_n without a backward pass.
Step = Callable[[], list[Any]]


def output_gradient(case: Case) -> Any:
    rng = np.random.default_rng(1)
    shape = case.shape
    features = shape.num_directions * case.h0.shape[2]
    return rng.standard_normal((shape.seq_len, shape.batch, features)).astype(np.float32)


def projection(case: Case) -> int:
    """Return the size of a projection, or 0."""
    units = case.h0.shape[2]
    return units if units != case.shape.hidden_size else 0


def function_step(case: Case, threads: int, training: bool) -> Step:
    import lstm_native  # noqa: PLC0415

    shape = case.shape
    d_output = output_gradient(case)
    options: dict[str, Any] = {"num_threads": threads}
    if projection(case):
        options["cell"] = lstm_native.Cell(proj_size=projection(case))
    arguments = (
        *(case.x, (case.h0, case.c0), case.all_weights, shape.num_layers, 0.0, training),
        shape.bidirectional,
    )

    def train() -> list[Any]:
        _, pullback = lstm_native.lstm_vjp(*arguments, **options)
        d_input, d_states, d_weights = pullback(d_output)
        return [d_input, *d_states, *(d_weights or ())]

    def infer() -> list[Any]:
        return list(lstm_native.lstm(*arguments, **options))

    return train if training else infer


def module_step(module_class: Any, case: Case, threads: int, training: bool) -> Step:
    import torch  # noqa: PLC0415

    torch.set_num_threads(threads)
    shape = case.shape
    module = module_class(
        shape.input_size,
        shape.hidden_size,
        shape.num_layers,
        bidirectional=shape.bidirectional,
        proj_size=projection(case),
    )
    names = [name for name, _ in module.named_parameters()]
    weights = [torch.from_numpy(weight) for weight in case.all_weights]
    module.load_state_dict(dict(zip(names, weights, strict=True)))
    x, h_0, c_0 = (torch.from_numpy(a).requires_grad_() for a in (case.x, case.h0, case.c0))
    leaves = [x, h_0, c_0, *module.parameters()]
    d_output = torch.from_numpy(output_gradient(case))

    def train() -> list[Any]:
        for leaf in leaves:
            leaf.grad = None
        module(x, (h_0, c_0))[0].backward(d_output)
        return [leaf.grad for leaf in leaves]

    def infer() -> list[Any]:
        with torch.inference_mode():
            output, (h_n, c_n) = module(x, (h_0, c_0))
        return [output, h_n, c_n]

    return train if training else infer


def make_step(name: str, case: Case, threads: int, training: bool) -> Step:
    if name == "function":
        return function_step(case, threads, training)
    if name == "torch":
        from torch.nn import LSTM  # noqa: PLC0415
    else:
        from lstm_native.torch import LSTM  # noqa: PLC0415
    return module_step(LSTM, case, threads, training)


def main() -> None:
    name, shape, threads, way, seconds = sys.argv[1:6]
    case = make_case(shapes_by_name()[shape], np.float32, 0)
    step = make_step(name, case, int(threads), way == "training")
    # What a wrong implementation would hardly get right by chance: the size of each result.
    sums = [float(np.abs(np.asarray(result, np.float64)).sum()) for result in step()]
    turn = time_turn(step, float(seconds) * 1e3, 3)
    print(json.dumps([{"sums": sums, "min_us": turn.min_us}]))


if __name__ == "__main__":
    main()
