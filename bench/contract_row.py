"""One requirement with its verdict."""

from __future__ import annotations

from dataclasses import dataclass

from bench.evidence import Figure


@dataclass(frozen=True)
class Row:
    """One requirement with what was reached."""

    what: str
    bound: float | None
    """None where nothing is required."""

    aim: str
    figure: Figure
    is_at_most: bool = False

    @property
    def verdict(self) -> str:
        value = self.figure.value
        if self.bound is None:
            return "-"
        if value is None:
            return "not judged"
        passes = value <= self.bound if self.is_at_most else value >= self.bound
        if self.figure.gaps and (passes or not self.figure.is_worst):
            return "not judged"
        return "ok" if passes else "MISSED"
