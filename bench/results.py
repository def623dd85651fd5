"""The record of a benchmark run."""

from __future__ import annotations

import dataclasses
import math
import statistics
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Any

from bench.timing import Turn
from shapes import Shape


class Status(str, Enum):
    OK = "ok"
    WRONG_ANSWER = "wrong answer"
    UNSUPPORTED = "unsupported"
    NOT_INSTALLED = "not installed"
    FAILED = "failed"
    CRASHED = "crashed"


@dataclass
class Outcome:
    """What became of one implementation on one shape."""

    status: Status = Status.OK
    detail: str = ""
    max_abs_error: float | None = None
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

    def to_json(self) -> dict[str, Any]:
        error = self.max_abs_error
        return {
            "status": self.status.value,
            "detail": self.detail,
            "min_us": self.min_us,
            "median_us": self.median_us,
            # JSON knows no infinity and no NaN.
            "max_abs_error": error if error is None or math.isfinite(error) else str(error),
            "rounds": [dataclasses.asdict(turn) for turn in self.turns],
        }


@dataclass(frozen=True)
class ShapeResult:
    """All implementations' outcomes on one shape with one number of threads."""

    shape: Shape
    threads: int
    outcomes: Mapping[str, Outcome]

    def best_peer(self, ours: str) -> str | None:
        times = {
            name: outcome.min_us
            for name, outcome in self.outcomes.items()
            if name != ours and outcome.min_us is not None
        }
        return min(times, key=lambda name: times[name]) if times else None

    def ratio(self, peer: str | None, ours: str) -> float | None:
        """How many times as long ``peer`` takes; None where either has no time."""
        mine = self.outcomes[ours].min_us if ours in self.outcomes else None
        theirs = self.outcomes[peer].min_us if peer and peer in self.outcomes else None
        return theirs / mine if mine and theirs else None

    def to_json(self) -> dict[str, Any]:
        return {
            "shape": dataclasses.asdict(self.shape),
            "threads": self.threads,
            "implementations": {name: o.to_json() for name, o in self.outcomes.items()},
        }


@dataclass(frozen=True)
class Report:
    """A whole run with what is needed to judge or repeat it."""

    context: Mapping[str, Any]
    """Date, command, commit, machine, versions and settings, ready for JSON."""

    implementations: tuple[str, ...]
    results: tuple[ShapeResult, ...]

    def to_json(self) -> dict[str, Any]:
        return {**self.context, "results": [result.to_json() for result in self.results]}


def geometric_mean(ratios: list[float]) -> float | None:
    return statistics.geometric_mean(ratios) if ratios else None
