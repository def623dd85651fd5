"""Times of the CUDA target on a device, beside PyTorch's cuDNN LSTM on the same shapes.

python -m bench.gpu_check [--rounds N] [--shapes NAME ...] [--without-torch] [--files PATH]

Needs lstm_native built with the CUDA target, and a PyTorch that sees the device. Inference is a
forward call; training is forward and backward, all gradients. Arrays are on the device before, and
stay there. Each result is compared with the CPU's before it is timed. A time is the median of the
rounds, each of as many calls as take 20 ms, between two synchronisations; the host's time of a call
is what passes until it returns.

--files writes PATH.json and PATH.md after each row, so that what was timed is kept in any case.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

import lstm_native
from bench.report.markdown import format_ratio, format_time, table
from lstm_native import _cuda_extension
from shapes import BENCH_SHAPES, Case, Shape, make_case
from tolerances import TOLERANCES

SECONDS_PER_ROUND = 0.02
# Relative to the largest value: TF32 has 10 bits of mantissa, and sums of them are carried from
# step to step.
TF32_TOLERANCE = 2e-2
INFERENCE, TRAINING = "inference", "training"
WAYS = (INFERENCE, TRAINING)
OURS, CUDNN = "ours", "cuDNN"
# How the steps of our calls run; OURS is whichever of the two the target chooses.
STEP_LOOPS = LAUNCHES, PERSISTENT = "launches", "persistent"

# fmt: off
DEVICE_SHAPES = (
    Shape("device_batch_h512_l2", 100, 128, 512, 512, num_layers=2,
          reason="a batch that fills a device: where cuDNN is at its best"),
    Shape("device_batch_h1024", 50, 256, 1024, 1024,
          reason="bound by multiply-adds on any device"),
)
# Batches of sequences that are shorter than the longest one: lengths fall evenly to a sixth of it.
RAGGED_SHAPES = (
    Shape("ragged_encoder", 100, 32, 128, 256, bidirectional=True,
          reason="a speech encoder's batch"),
    Shape("ragged_tagger", 200, 64, 64, 128, reason="sentences of a text tagger"),
)
# fmt: on
EVERY_SHAPE = (*BENCH_SHAPES, *DEVICE_SHAPES, *RAGGED_SHAPES)


@dataclass(frozen=True)
class Problem:
    """A case on the host; packed, as rows step by step, where its sequences have lengths."""

    case: Case
    batch_sizes: tuple[int, ...] | None

    @property
    def label(self) -> str:
        return self.case.shape.label + (" ragged" if self.batch_sizes else "")

    def on_cpu(self) -> np.ndarray[Any, Any]:
        case, shape = self.case, self.case.shape
        return lstm_native.lstm(
            case.x, (case.h0, case.c0), case.all_weights, shape.num_layers, 0.0, False,
            shape.bidirectional, batch_sizes=self.batch_sizes,
        )[0]  # fmt: skip


def problem_of(shape: Shape) -> Problem:
    case = make_case(shape, np.float32)
    if shape not in RAGGED_SHAPES:
        return Problem(case, None)
    lengths = np.linspace(shape.seq_len, shape.seq_len / 6, shape.batch).round()
    batch_sizes = tuple(int((lengths > step).sum()) for step in range(shape.seq_len))
    rows = np.concatenate([case.x[step, :size] for step, size in enumerate(batch_sizes)])
    return Problem(replace(case, x=rows), batch_sizes)


class Ours:
    """Calls of lstm_native with arrays on the device."""

    def __init__(self, problem: Problem, stream: Any, step_loop: str, *, tf32: bool) -> None:
        self._step_loop = step_loop
        case, shape = problem.case, problem.case.shape
        device = lstm_native.cuda.Device(stream=stream, tf32=tf32)
        x, h0, c0, *weights = (
            lstm_native.cuda.to_device(array, device)
            for array in (case.x, case.h0, case.c0, *case.all_weights)
        )
        self._arguments = (x, (h0, c0), weights, shape.num_layers, 0.0)
        self._options = {
            "bidirectional": shape.bidirectional,
            "batch_sizes": problem.batch_sizes,
            "device": device,
        }
        outputs = (*case.x.shape[:-1], shape.num_directions * shape.hidden_size)
        self._d_output = lstm_native.cuda.to_device(np.ones(outputs, case.x.dtype), device)

    def inference(self) -> Any:
        self._choose()
        return lstm_native.lstm(*self._arguments, train=False, **self._options)

    def training(self) -> Any:
        self._choose()
        _, pullback = lstm_native.lstm_vjp(*self._arguments, train=True, **self._options)
        return pullback(self._d_output)

    def _choose(self) -> None:
        _cuda_extension.load().set_step_loop(self._step_loop)

    def result(self) -> np.ndarray[Any, Any]:
        return self.inference()[0].to_host()


class CuDnn:
    """The same through torch.nn.LSTM, which is cuDNN's."""

    def __init__(self, problem: Problem, torch: Any, *, tf32: bool) -> None:
        self._torch, self._tf32 = torch, tf32
        case, shape = problem.case, problem.case.shape
        sizes = (shape.input_size, shape.hidden_size, shape.num_layers)
        net = torch.nn.LSTM(*sizes, bidirectional=shape.bidirectional).cuda()
        with torch.no_grad():
            for parameter, weight in zip(net.parameters(), case.all_weights, strict=True):
                parameter.copy_(torch.from_numpy(weight))
        self._net = net
        leaves = [torch.from_numpy(a).cuda() for a in (case.x, case.h0, case.c0)]
        self._leaves = [leaf.requires_grad_() for leaf in leaves]
        self._batch_sizes = problem.batch_sizes and torch.tensor(problem.batch_sizes)
        self._d_output = torch.ones_like(self.inference())

    def _output(self) -> Any:
        self._torch.backends.cudnn.allow_tf32 = self._tf32
        x, h0, c0 = self._leaves
        if self._batch_sizes is None:
            return self._net(x, (h0, c0))[0]
        packed = self._torch.nn.utils.rnn.PackedSequence(x, self._batch_sizes)
        return self._net(packed, (h0, c0))[0].data

    def inference(self) -> Any:
        with self._torch.no_grad():
            return self._output()

    def training(self) -> Any:
        wanted = [*self._leaves, *self._net.parameters()]
        return self._torch.autograd.grad(self._output(), wanted, self._d_output)

    def result(self) -> np.ndarray[Any, Any]:
        return self.inference().cpu().numpy()


@dataclass(frozen=True)
class Time:
    """Microseconds of a call: until the device has done it, and until it returns to the host."""

    total: float
    host: float


def time_of(call: Callable[[], Any], synchronize: Callable[[], None], rounds: int) -> Time:
    """The medians of the rounds, after calls that capture graphs and warm up."""
    for _ in range(3):
        call()
    synchronize()
    begin = time.perf_counter()
    call()
    synchronize()
    calls = max(1, round(SECONDS_PER_ROUND / max(time.perf_counter() - begin, 1e-6)))
    totals, hosts = [], []
    for _ in range(rounds):
        begin = time.perf_counter()
        for _ in range(calls):
            call()
        hosts.append((time.perf_counter() - begin) / calls)
        synchronize()
        totals.append((time.perf_counter() - begin) / calls)
    return Time(1e6 * statistics.median(totals), 1e6 * statistics.median(hosts))


@dataclass(frozen=True)
class Row:
    """One shape, with or without TF32: errors against the CPU, and times by way and library.

    split: how the steps of a layer are one launch, in both passes; None: they do not fit.
    """

    name: str
    label: str
    tf32: bool
    split: dict[str, Any] | None
    errors: dict[str, float]
    times: dict[str, dict[str, Time]]

    @property
    def wrong(self) -> bool:
        tolerance = TF32_TOLERANCE if self.tf32 else TOLERANCES["cuda"].float32
        ours = [error for whose, error in self.errors.items() if whose != CUDNN]
        return not max(ours) <= tolerance

    def cells(self) -> list[str]:
        cells = [self.label, *(_format_error(self.errors.get(whose)) for whose in (OURS, CUDNN))]
        for way in WAYS:
            if self.wrong:
                cells += ["wrong"] * 6
                continue
            times = self.times[way]
            ours, peer = times[OURS], times.get(CUDNN)
            cells += [format_time(ours.host), format_time(ours.total)]
            for whose in (*STEP_LOOPS, CUDNN):
                cells.append(format_time(times[whose].total if whose in times else None))
            cells.append(format_ratio(peer and peer.total / ours.total))
        return cells


def _format_error(error: float | None) -> str:
    return "-" if error is None else f"{error:.1e}"


HEADER = (
    *("shape", "error", "error, cuDNN"),
    *("inference: host", "total", LAUNCHES, PERSISTENT, "cuDNN", "ratio"),
    *("training: host", "total", LAUNCHES, PERSISTENT, "cuDNN", "ratio"),
)


def difference(got: np.ndarray[Any, Any], expected: np.ndarray[Any, Any]) -> float:
    """The largest difference, in parts of the largest value."""
    return float(np.abs(got - expected).max() / np.abs(expected).max())


def row_of(problem: Problem, torch: Any, rounds: int, *, tf32: bool) -> Row:
    """Check one shape, and time it where the result is right."""
    synchronize = torch.cuda.synchronize if torch is not None else _wait_for_default_stream
    stream = torch.cuda.current_stream() if torch is not None else 0
    split = split_of(problem.case.shape, tf32=tf32)
    loops = {OURS: "automatic", LAUNCHES: LAUNCHES, **({PERSISTENT: PERSISTENT} if split else {})}
    calls: dict[str, Any] = {
        whose: Ours(problem, stream, loop, tf32=tf32) for whose, loop in loops.items()
    }
    if torch is not None:
        calls[CUDNN] = CuDnn(problem, torch, tf32=tf32)
    expected = problem.on_cpu()
    errors = {whose: difference(call.result(), expected) for whose, call in calls.items()}
    row = Row(problem.case.shape.name, problem.label, tf32, split, errors, {})
    if row.wrong:
        return row
    for way in WAYS:
        row.times[way] = {
            whose: time_of(getattr(call, way), synchronize, rounds) for whose, call in calls.items()
        }
    return row


def split_of(shape: Shape, *, tf32: bool) -> dict[str, Any] | None:
    sizes = {
        "steps": shape.seq_len,
        "batch": shape.batch,
        "units": shape.hidden_size,
        "directions": shape.num_directions,
        "overlaps": shape.num_layers > 1 and not shape.bidirectional,
    }
    module = _cuda_extension.load()
    options = {"element_bytes": 4, "tf32": tf32}
    forward = module.persistent_split(0, **sizes, **options, backward=False)
    backward = module.persistent_split(0, **sizes, **options, backward=True)
    return forward and {"forward": forward, "backward": backward}


def _wait_for_default_stream() -> None:
    _cuda_extension.load().synchronize(0, 0)


def tables(rows: Sequence[Row]) -> str:
    """Two tables in Markdown: float32 in full, and TF32."""
    parts = []
    for tf32, heading in ((False, "float32"), (True, "float32, products in TF32")):
        cells = [row.cells() for row in rows if row.tf32 is tf32]
        parts.append(f"{heading}; ratio: cuDNN's time over ours\n\n{table(HEADER, cells)}\n")
    return "\n".join(parts)


def write_files(path: Path, about: str, rows: Sequence[Row]) -> None:
    content = {"about": about, "rows": [asdict(row) for row in rows]}
    path.with_suffix(".json").write_text(json.dumps(content, indent=1) + "\n")
    path.with_suffix(".md").write_text(f"{about}\n\n{tables(rows)}")


def describe(torch: Any) -> str:
    compiler, runtime, driver = _cuda_extension.load().versions()
    words = f"CUDA: compiler {compiler}, runtime {runtime}, driver {driver}"
    if torch is None:
        return f"{words}; without PyTorch"
    major, minor = torch.cuda.get_device_capability()
    return (
        f"{torch.cuda.get_device_name()} (compute capability {major}.{minor}), {words}, "
        f"torch {torch.__version__}, cuDNN {torch.backends.cudnn.version()}"
    )


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5, metavar="N")
    names = {shape.name: shape for shape in EVERY_SHAPE}
    parser.add_argument("--shapes", nargs="+", default=[*names], choices=names, metavar="NAME")
    parser.add_argument("--without-torch", action="store_true", help="no times of cuDNN")
    parser.add_argument("--files", type=Path, metavar="PATH", help="also write PATH.json, PATH.md")
    options = parser.parse_args(arguments)
    missing = lstm_native.cuda.why_unavailable()
    if missing is not None:
        sys.exit(missing)
    torch = None
    if not options.without_torch:
        import torch  # noqa: PLC0415

        if not torch.cuda.is_available():
            sys.exit("PyTorch sees no CUDA device; --without-torch leaves it out")
    about = describe(torch)
    print(about, flush=True)
    rows: list[Row] = []
    for name in options.shapes:
        problem = problem_of(names[name])
        for tf32 in (False, True):
            rows.append(row_of(problem, torch, options.rounds, tf32=tf32))
            print(" ".join(rows[-1].cells()), flush=True)
            if options.files is not None:
                write_files(options.files, about, rows)
    print(f"\n{tables(rows)}", flush=True)
    wrong = [f"{row.label} by {row.errors} (tf32={row.tf32})" for row in rows if row.wrong]
    if wrong:
        sys.exit(f"wrong: {', '.join(wrong)}")
    print(f"{len(rows)} rows timed")


if __name__ == "__main__":
    main()
