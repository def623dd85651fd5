"""Times of a model on this machine, beside onnxruntime where it is installed."""

import importlib
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from statistics import median
from typing import Any

import numpy as np

from lstm_native._config import get_num_threads
from lstm_native._explanation import time_text
from lstm_native._model import Model

_ROUNDS = 25
_LEAST_SECONDS = 2e-3


@dataclass(frozen=True)
class Case:
    """What is timed."""

    model: Model
    steps: int
    batch: int
    threads: int | None


def report(case: Case) -> Iterator[str]:
    """Yield the lines of the report: medians of rounds in which both take turns."""
    threads = case.threads or get_num_threads()
    batch = f"batch {case.batch}"
    yield f"medians of {_ROUNDS} rounds, threads: {threads}"
    session, reason = _session(case, threads)
    by = "" if _streams(case.model) else " (a call, as no stream has a reverse direction)"
    step = f"one step, {batch}{by}"
    for what, steps in ((step, 1), (f"{case.steps} steps, {batch}", case.steps)):
        calls = {"lstm_native": _ours(case, steps, threads)}
        if session is not None:
            calls["onnxruntime"] = _theirs(session, case, steps)
        times = _medians(calls)
        listed = ", ".join(f"{name} {time_text(seconds)}" for name, seconds in times.items())
        yield f"{what}: {listed}"
    if session is None:
        yield f"without onnxruntime: {reason}"


def _streams(model: Model) -> bool:
    """Whether a stream can compute the model: a reverse direction begins with a sequence's end."""
    return not model.bidirectional and model.direction == "forward"


def _input(case: Case, steps: int) -> Any:
    """Return random numbers; MemoryError, too, for more than NumPy can count."""
    if steps * case.batch * case.model.input_size > sys.maxsize // 8:
        raise MemoryError("more bytes than there are addresses")
    size = (case.batch, steps) if case.model.batch_first else (steps, case.batch)
    rng = np.random.default_rng(1)
    return rng.standard_normal((*size, case.model.input_size)).astype(case.model.dtype)


def _ours(case: Case, steps: int, threads: int) -> Callable[[], object]:
    """Return a function that calls the model; for a step, a stream where there can be one."""
    x = _input(case, steps)
    if steps == 1 and _streams(case.model):
        stream = case.model.stream(case.batch, num_threads=threads)
        frame = x[:, 0] if case.model.batch_first else x[0]
        return lambda: stream.step(frame)
    return lambda: case.model(x, num_threads=threads)


def _theirs(session: Any, case: Case, steps: int) -> Callable[[], object]:
    model = case.model
    rows = model.num_layers * (2 if model.bidirectional else 1)
    state = np.zeros((rows, case.batch, model.hidden_size), model.dtype)
    feeds = {"input": _input(case, steps), "h_0": state, "c_0": state}
    return lambda: session.run(None, feeds)


def _session(case: Case, threads: int) -> tuple[Any, str]:
    """Return the model in onnxruntime, or None and why."""
    model = case.model
    for lacking, what in (
        (model.weight_dtype == "int8", "in int8"),
        (model.compute is not None, f"with {model.compute} products"),
        (model.cell.proj_size > 0, "with a projection"),
    ):
        if lacking:
            return None, f"ONNX has no LSTM {what}"
    try:
        onnxruntime = importlib.import_module("onnxruntime")
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        content = model.to_onnx().SerializeToString()
        session = onnxruntime.InferenceSession(content, options)
        _theirs(session, case, 1)()  # a dtype that it does not compute is found in the first run
    except MemoryError:
        raise
    except Exception as reason:  # of onnxruntime, or a missing package
        return None, (str(reason).splitlines() or [type(reason).__name__])[0]
    return session, ""


def _medians(calls: dict[str, Callable[[], object]]) -> dict[str, float]:
    repeats = {name: _repeats(call) for name, call in calls.items()}
    times: dict[str, list[float]] = {name: [] for name in calls}
    for _ in range(_ROUNDS):
        for name, call in calls.items():
            times[name].append(_seconds(call, repeats[name]))
    return {name: median(each) for name, each in times.items()}


def _repeats(call: Callable[[], object]) -> int:
    """Return how many calls take long enough to be timed."""
    repeats = 1
    while _seconds(call, repeats) * repeats < _LEAST_SECONDS:
        repeats *= 2
    return repeats


def _seconds(call: Callable[[], object], repeats: int) -> float:
    """Return the mean time of a call, over `repeats` calls."""
    begin = time.perf_counter()
    for _ in range(repeats):
        call()
    return (time.perf_counter() - begin) / repeats
