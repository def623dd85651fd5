"""Measures all implementations on one shape in interleaved rounds."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from bench.measure.results import Outcome, ShapeResult, Status
from bench.measure.timing import Turn
from bench.measure.workers import Crew, NotInstalledError, RequestFailedError, WorkerCrashedError
from bench.peers.check import Array, Verdict, check_answer
from bench.peers.oracle import expected_answer
from bench.peers.oracle_backward import expected_training
from bench.peers.variants import (
    FADING,
    gradient_tolerance_of,
    heeds_lengths,
    tolerance_of,
    trains,
    why_left_out,
)
from shapes import Shape


@dataclass(frozen=True)
class Settings:
    """How long and how often each implementation is timed."""

    rounds: int = 10
    turn_ms: float = 50.0
    min_samples: int = 2
    # After a parallel call a runtime's threads spin for a while, waiting for the next one, and
    # take a core from the peer that is timed next. ONNX Runtime 1.32 was seen to spin for 40 ms on
    # two cores of a Zen 3 server; torch, OpenVINO and ncnn for less than 10.
    pause_ms: float = 60.0
    seed: int = 0


def measure(shape: Shape, threads: int, crew: Crew, settings: Settings) -> ShapeResult:
    """Check every answer, time those that are right, then check again.

    The second check catches state that goes wrong from call to call.
    """
    contest = _Contest(shape, crew, settings)
    contest.prepare(threads)
    contest.check()
    for index in range(settings.rounds):
        contest.play_round(index)
    contest.check()
    return ShapeResult(shape, threads, contest.outcomes)


class _Contest:
    """One shape's implementations; who fails at any point drops out."""

    def __init__(self, shape: Shape, crew: Crew, settings: Settings) -> None:
        self.outcomes = {name: Outcome() for name in crew.names}
        self._shape = shape
        self._crew = crew
        self._settings = settings

    def prepare(self, threads: int) -> None:
        arguments = {"shape": self._shape.name, "threads": threads, "seed": self._settings.seed}
        for name, outcome in self._remaining():
            why = why_left_out(name, self._shape)
            if why:
                outcome.status, outcome.detail = Status.LEFT_OUT, why
                continue
            with _recorded_in(outcome):
                reply = self._crew.request(name, "prepare", **arguments)
                outcome.tape_bytes = reply.get("tape_bytes")
                if reply["unsupported"]:
                    outcome.status, outcome.detail = Status.UNSUPPORTED, reply["unsupported"]

    def check(self) -> None:
        with tempfile.TemporaryDirectory() as folder:
            for name, outcome in self._remaining():
                path = Path(folder, f"{name}.npz")
                expected = self._expected(name)
                with _recorded_in(outcome):
                    self._crew.request(name, "save_answer", path=str(path))
                    verdict = check_answer(
                        _load(path), expected, tolerance_of(name), gradient_tolerance_of(name)
                    )
                    _record(outcome, verdict)
        self._pause()

    def play_round(self, index: int) -> None:
        """Time everyone once.

        The first one changes from round to round, so that no one always follows the same
        neighbour, with the caches as that one left them.
        """
        remaining = self._remaining()
        start = index % len(remaining) if remaining else 0
        for name, outcome in remaining[start:] + remaining[:start]:
            with _recorded_in(outcome):
                outcome.turns.append(self._time(name))
            self._pause()

    def _expected(self, name: str) -> Sequence[Array]:
        arguments = (self._shape, self._settings.seed)
        is_ragged = heeds_lengths(name)
        if trains(name):
            return expected_training(*arguments, is_ragged=is_ragged, fades=name == FADING)
        return expected_answer(*arguments, is_ragged=is_ragged)

    def _time(self, name: str) -> Turn:
        limits = {"budget_ms": self._settings.turn_ms, "min_samples": self._settings.min_samples}
        return Turn(**self._crew.request(name, "time", **limits))

    def _remaining(self) -> list[tuple[str, Outcome]]:
        return [item for item in self.outcomes.items() if item[1].status is Status.OK]

    def _pause(self) -> None:
        time.sleep(self._settings.pause_ms / 1e3)


def _load(path: Path) -> list[Array]:
    with np.load(path) as arrays:
        return [arrays[name] for name in arrays.files]


def _record(outcome: Outcome, verdict: Verdict) -> None:
    """Keep the largest errors of all checks."""
    outcome.max_abs_error = max(verdict.max_abs_error, outcome.max_abs_error or 0.0)
    if verdict.max_gradient_error is not None:
        outcome.max_gradient_error = max(
            verdict.max_gradient_error, outcome.max_gradient_error or 0.0
        )
    if verdict.problem:
        outcome.status, outcome.detail = Status.WRONG_ANSWER, verdict.problem


@contextmanager
def _recorded_in(outcome: Outcome) -> Iterator[None]:
    """Turn an implementation's failure into its outcome, so that the others go on."""
    try:
        yield
    except NotInstalledError as error:
        outcome.status, outcome.detail = Status.NOT_INSTALLED, str(error)
    except RequestFailedError as error:
        outcome.status, outcome.detail = Status.FAILED, str(error)
    except WorkerCrashedError as error:
        outcome.status, outcome.detail = Status.CRASHED, str(error)
