"""The record of a benchmark run."""

from __future__ import annotations

import statistics
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Any

from bench.measure.timing import Turn
from bench.peers import PEERS
from shapes import Shape


class Status(str, Enum):
    OK = "ok"
    WRONG_ANSWER = "wrong answer"
    LEFT_OUT = "left out"
    UNSUPPORTED = "unsupported"
    NOT_INSTALLED = "not installed"
    FAILED = "failed"
    CRASHED = "crashed"


# Follows from the shape, and was to be expected.
NOT_APPLICABLE = (Status.UNSUPPORTED, Status.LEFT_OUT)


@dataclass
class Outcome:
    """What became of one implementation on one shape."""

    status: Status = Status.OK
    detail: str = ""
    max_abs_error: float | None = None
    """Of output and states."""

    max_gradient_error: float | None = None
    """Relative to the largest magnitude of each gradient; None for those who don't train."""

    tape_bytes: int | None = None
    turns: list[Turn] = field(default_factory=list)

    @property
    def min_us(self) -> float | None:
        """The time that is quoted; None where nothing valid was timed."""
        return min(turn.min_us for turn in self.turns) if self._is_timed else None

    @property
    def median_us(self) -> float | None:
        return statistics.median(t.median_us for t in self.turns) if self._is_timed else None

    @property
    def _is_timed(self) -> bool:
        return self.status is Status.OK and bool(self.turns)


@dataclass(frozen=True)
class ShapeResult:
    """All implementations' outcomes on one shape with one number of threads."""

    shape: Shape
    threads: int
    outcomes: Mapping[str, Outcome]

    def time_us(self, name: str | None) -> float | None:
        return self.outcomes[name].min_us if name and name in self.outcomes else None

    def best_peer(self) -> str | None:
        """The fastest of the peers; our own variants are none."""
        times = {name: time for name in PEERS if (time := self.time_us(name)) is not None}
        return min(times, key=lambda name: times[name]) if times else None

    def ratio(self, name: str | None, unit: str | None) -> float | None:
        """How many times as long as ``unit`` ``name`` takes; None where either has no time."""
        time, unit_time = self.time_us(name), self.time_us(unit)
        return time / unit_time if time and unit_time else None


@dataclass(frozen=True)
class Bandwidth:
    """What all threads together read per second, each going through its own working set."""

    level: str
    bytes_per_thread: int
    gb_per_s: float


@dataclass(frozen=True)
class Limits:
    """What was measured with one number of threads."""

    threads: int
    isa: str
    """The instruction set in use, with which the bandwidths were measured."""

    gflops: Mapping[str, float]
    """FMA peak in float32 of all threads together, by instruction set."""

    bandwidths: tuple[Bandwidth, ...]
    """From the smallest working set to the largest."""

    caches: Mapping[str, int]
    """Sizes in bytes: L1d and L2 of each core, L3 of all."""

    @property
    def peak_gflops(self) -> float:
        return self.gflops[self.isa]


@dataclass(frozen=True)
class StreamLatency:
    """The least times with one size and one number of threads, in microseconds."""

    hidden_size: int
    threads: int
    step: float
    step_into: float
    """``step`` with ``out=``."""

    run_step: float
    """``run`` over many steps, divided by their number: it reads W_ih once for all of them."""

    kernel: float
    """The same step repeated without returning to Python."""

    @property
    def overhead(self) -> float:
        """The larger one, with or without ``out=``."""
        return max(self.step, self.step_into) - self.kernel


@dataclass(frozen=True)
class Report:
    """A whole run with what is needed to judge or repeat it."""

    context: Mapping[str, Any]
    """Date, command, commit, machine, versions and settings, ready for JSON."""

    implementations: tuple[str, ...]
    results: tuple[ShapeResult, ...]
    ragged: tuple[ShapeResult, ...] = ()
    limits: tuple[Limits, ...] = ()
    streams: tuple[StreamLatency, ...] = ()
    omissions: Mapping[str, str] = field(default_factory=dict)
    """Parts of the benchmark that are missing, each with the reason."""

    training: tuple[ShapeResult, ...] = ()
    """Forward and backward, on even shapes and on ragged batches."""

    @property
    def variants(self) -> tuple[str, ...]:
        return tuple(name for name in self.implementations if " " in name)

    def limits_with(self, threads: int) -> Limits | None:
        return next((limits for limits in self.limits if limits.threads == threads), None)


def geometric_mean(ratios: list[float]) -> float | None:
    return statistics.geometric_mean(ratios) if ratios else None
