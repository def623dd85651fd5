"""Draws single figures from the results of many shapes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from bench.measure.results import ShapeResult, Status, geometric_mean
from shapes import Shape

# How many shapes a gap names; the others are counted.
_MOST_NAMES = 3


@dataclass(frozen=True)
class Measure:
    """A ratio of one shape's result."""

    of: Callable[[ShapeResult], float | None]

    needs: tuple[str, ...]
    """The implementations without which the ratio isn't what it is called."""


def ratio_of(name: str, unit: str) -> Measure:
    """How many times as long as ``unit`` ``name`` takes."""
    return Measure(lambda result: result.ratio(name, unit), (name, unit))


@dataclass(frozen=True)
class Figure:
    """What was drawn; ``value`` is None where there was nothing to draw from."""

    value: float | None
    note: str = ""
    """Which shape it is from, with what else is to be known."""

    gaps: tuple[str, ...] = ()
    """What it should have been drawn from, too, each with the reason why it wasn't."""

    is_worst: bool = False
    """Whether it is one shape's figure, which no other shape's can make better."""


class Evidence:
    """The results with one number of threads on the shapes that matter to a figure."""

    def __init__(
        self, results: Sequence[ShapeResult], threads: int, shapes: Sequence[Shape]
    ) -> None:
        self._shapes = tuple(shapes)
        self._threads = threads
        self._results = {r.shape.name: r for r in results if r.threads == threads}

    def only(self, matters: Callable[[Shape], bool]) -> Evidence:
        shapes = [shape for shape in self._shapes if matters(shape)]
        return Evidence(tuple(self._results.values()), self._threads, shapes)

    def mean(self, measure: Measure) -> Figure:
        """The geometric mean."""
        ratios = [ratio for ratio, _ in self._ratios(measure)]
        note = f"{len(ratios)} of {len(self._shapes)} shapes" if ratios else ""
        return Figure(geometric_mean(ratios), note, self._gaps(measure))

    def least(self, measure: Measure, note: Callable[[ShapeResult], str] | None = None) -> Figure:
        return self._extreme(min, measure, note)

    def most(self, measure: Measure, note: Callable[[ShapeResult], str] | None = None) -> Figure:
        return self._extreme(max, measure, note)

    def _extreme(
        self,
        choose: Callable[..., tuple[float, ShapeResult]],
        measure: Measure,
        note: Callable[[ShapeResult], str] | None,
    ) -> Figure:
        ratios, gaps = self._ratios(measure), self._gaps(measure)
        if not ratios:
            return Figure(None, gaps=gaps)
        ratio, result = choose(ratios, key=lambda item: item[0])
        notes = [result.shape.name, note(result) if note else ""]
        return Figure(ratio, ", ".join(filter(None, notes)), gaps, is_worst=True)

    def _ratios(self, measure: Measure) -> list[tuple[float, ShapeResult]]:
        results = [self._results[s.name] for s in self._shapes if s.name in self._results]
        ratios = [(measure.of(result), result) for result in results]
        return [(ratio, result) for ratio, result in ratios if ratio is not None]

    def _gaps(self, measure: Measure) -> tuple[str, ...]:
        """Each reason with the shapes that it concerns."""
        concerned: dict[str, list[str]] = {}
        for shape in self._shapes:
            for reason in self._reasons(shape, measure):
                concerned.setdefault(reason, []).append(shape.name)
        return tuple(f"{reason} ({self._enumerate(names)})" for reason, names in concerned.items())

    def _enumerate(self, names: Sequence[str]) -> str:
        if len(names) == len(self._shapes):
            return "all"
        rest = len(names) - _MOST_NAMES
        return ", ".join(names[:_MOST_NAMES]) + (f" and {rest} more" if rest > 0 else "")

    def _reasons(self, shape: Shape, measure: Measure) -> list[str]:
        result = self._results.get(shape.name)
        if result is None:
            return ["shape not in this run"]
        return [
            f"{name} {why}" for name in measure.needs if (why := _why_untimed(result, name)) != ""
        ]


def _why_untimed(result: ShapeResult, name: str) -> str:
    """Empty if ``name`` was timed, or can't be."""
    outcome = result.outcomes.get(name)
    if outcome is None:
        return "not in this run"
    return "" if outcome.status in (Status.OK, Status.UNSUPPORTED) else outcome.status.value
