"""What a real CUDA device has to show: the tests on it, then times beside PyTorch's cuDNN LSTM.

python -m bench.gpu_check [--rounds N] [--shapes NAME ...] [--without-torch] [--without-tests]

Needs lstm_native built with the CUDA target, pytest with what `pip install '.[test]'` brings, and a
PyTorch that sees the device. Inference is a forward call; training is forward and backward, all
gradients. Arrays are on the device before, and stay there. A time is the median of the rounds, each
of as many calls as take 50 ms, between two synchronisations.
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

import lstm_native
from bench import ROOT
from bench.report.markdown import format_ratio, format_time, table
from shapes import BENCH_SHAPES, Case, Shape, make_case, shapes_by_name
from tolerances import TOLERANCES

SECONDS_PER_ROUND = 0.05
# Relative to the largest value: TF32 has 10 bits of mantissa, and sums of them are carried from
# step to step.
TF32_TOLERANCE = 2e-2


class Ours:
    """Calls of lstm_native with arrays on the device."""

    def __init__(self, case: Case, stream: Any, *, tf32: bool) -> None:
        device = lstm_native.cuda.Device(stream=stream, tf32=tf32)
        x, h0, c0, *weights = (
            lstm_native.cuda.to_device(array, device)
            for array in (case.x, case.h0, case.c0, *case.all_weights)
        )
        shape = case.shape
        self._arguments = (x, (h0, c0), weights, shape.num_layers, 0.0)
        self._bidirectional = shape.bidirectional
        self._device = device
        outputs = (shape.seq_len, shape.batch, shape.num_directions * shape.hidden_size)
        self._d_output = lstm_native.cuda.to_device(np.ones(outputs, case.x.dtype), device)

    def infer(self) -> Any:
        return lstm_native.lstm(*self._arguments, False, self._bidirectional, device=self._device)

    def train(self) -> Any:
        _, pullback = lstm_native.lstm_vjp(
            *self._arguments, True, self._bidirectional, device=self._device
        )
        return pullback(self._d_output)

    def result(self) -> np.ndarray[Any, Any]:
        return self.infer()[0].to_host()


class Torch:
    """The same through torch.nn.LSTM, which is cuDNN's."""

    def __init__(self, case: Case, torch: Any, *, tf32: bool) -> None:
        self._torch, self._tf32 = torch, tf32
        shape = case.shape
        sizes = (shape.input_size, shape.hidden_size, shape.num_layers)
        net = torch.nn.LSTM(*sizes, bidirectional=shape.bidirectional).cuda()
        with torch.no_grad():
            for parameter, weight in zip(net.parameters(), case.all_weights, strict=True):
                parameter.copy_(torch.from_numpy(weight))
        self._net = net
        self._x, h0, c0 = (torch.from_numpy(a).cuda() for a in (case.x, case.h0, case.c0))
        self._state = (h0, c0)
        self._leaves = [t.clone().requires_grad_() for t in (self._x, h0, c0)]

    def infer(self) -> Any:
        self._torch.backends.cudnn.allow_tf32 = self._tf32
        with self._torch.no_grad():
            return self._net(self._x, self._state)

    def train(self) -> Any:
        self._torch.backends.cudnn.allow_tf32 = self._tf32
        x, h0, c0 = self._leaves
        output, _ = self._net(x, (h0, c0))
        wanted = [*self._leaves, *self._net.parameters()]
        return self._torch.autograd.grad(output, wanted, self._torch.ones_like(output))

    def result(self) -> np.ndarray[Any, Any]:
        return self.infer()[0].cpu().numpy()


def median_us(call: Callable[[], Any], synchronize: Callable[[], None], rounds: int) -> float:
    """The median of the rounds' times of one call, after calls that capture graphs and warm up."""
    for _ in range(3):
        call()
    synchronize()
    begin = time.perf_counter()
    call()
    synchronize()
    calls = max(1, round(SECONDS_PER_ROUND / max(time.perf_counter() - begin, 1e-6)))
    times = []
    for _ in range(rounds):
        begin = time.perf_counter()
        for _ in range(calls):
            call()
        synchronize()
        times.append((time.perf_counter() - begin) / calls)
    return 1e6 * statistics.median(times)


def difference(got: np.ndarray[Any, Any], case: Case) -> float:
    """The largest difference to the CPU's result, in parts of its largest value."""
    shape = case.shape
    expected = lstm_native.lstm(
        case.x, (case.h0, case.c0), case.all_weights, shape.num_layers, 0.0, False,
        shape.bidirectional,
    )[0]  # fmt: skip
    return float(np.abs(got - expected).max() / np.abs(expected).max())


HEADER = (
    *("shape", "error", "error, TF32", "inference", "cuDNN", "ratio", "training", "cuDNN", "ratio"),
    *("inference, TF32", "cuDNN", "ratio", "training, TF32", "cuDNN", "ratio"),
)


def row_of(shape: Shape, torch: Any, rounds: int) -> list[str]:
    """Check and time one shape; SystemExit where a result is wrong."""
    case = make_case(shape, np.float32)
    stream = torch.cuda.current_stream() if torch is not None else 0
    cells: list[str] = []
    errors: list[str] = []
    for tf32 in (False, True):
        ours = Ours(case, stream, tf32=tf32)
        peer = Torch(case, torch, tf32=tf32) if torch is not None else None
        error = difference(ours.result(), case)
        if error > (TF32_TOLERANCE if tf32 else TOLERANCES["cuda"].float32):
            sys.exit(f"{shape.label}: wrong by {error:.2g} (tf32={tf32})")
        errors.append(f"{error:.1e}")
        for way in ("infer", "train"):
            synchronize = torch.cuda.synchronize if torch is not None else _wait_for_default_stream
            time_of_ours = median_us(getattr(ours, way), synchronize, rounds)
            time_of_peer = peer and median_us(getattr(peer, way), synchronize, rounds)
            ratio = time_of_peer / time_of_ours if time_of_peer else None
            cells += [format_time(time_of_ours), format_time(time_of_peer), format_ratio(ratio)]
    return [shape.label, *errors, *cells]


def _wait_for_default_stream() -> None:
    lstm_native._cuda_extension.load().synchronize(0, 0)


def run_tests() -> str:
    """Run the matrix of tests on the device; return pytest's last line."""
    command = [sys.executable, "-m", "pytest", "tests/cuda", "--cuda=device", "-q"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(done.stdout + done.stderr)
    return done.stdout.strip().splitlines()[-1]


def describe(torch: Any) -> str:
    compiler, runtime, driver = lstm_native._cuda_extension.load().versions()
    words = f"CUDA: compiler {compiler}, runtime {runtime}, driver {driver}"
    if torch is None:
        return words
    major, minor = torch.cuda.get_device_capability()
    return (
        f"{torch.cuda.get_device_name()} (compute capability {major}.{minor}), {words}, "
        f"torch {torch.__version__}, cuDNN {torch.backends.cudnn.version()}"
    )


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=9, metavar="N")
    names = [shape.name for shape in BENCH_SHAPES]
    parser.add_argument("--shapes", nargs="+", default=names, metavar="NAME")
    parser.add_argument("--without-torch", action="store_true", help="no times of cuDNN")
    parser.add_argument("--without-tests", action="store_true", help="times alone")
    options = parser.parse_args(arguments)
    missing = lstm_native.cuda.why_unavailable()
    if missing is not None:
        sys.exit(missing)
    torch = None
    if not options.without_torch:
        import torch  # noqa: PLC0415

        if not torch.cuda.is_available():
            sys.exit("PyTorch sees no CUDA device; --without-torch leaves it out")
    print(describe(torch), flush=True)
    if not options.without_tests:
        print(run_tests(), flush=True)
    shapes = [shapes_by_name()[name] for name in options.shapes]
    print(table(HEADER, [row_of(shape, torch, options.rounds) for shape in shapes]))


if __name__ == "__main__":
    main()
