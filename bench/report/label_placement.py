"""Finds a free place beside each point of a picture for its label."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

# From a point's centre to its label, and around it, in the unit of the coordinates.
_GAP = 7.0
_POINT_RADIUS = 4.0

# Of the height: how far labels are moved per try, and how often in each direction.
_STEP = 0.5
_MOST_STEPS = 12


@dataclass(frozen=True)
class Box:
    left: float
    bottom: float
    width: float
    height: float

    def overlaps(self, other: Box) -> bool:
        return (
            self.left < other.left + other.width
            and other.left < self.left + self.width
            and self.bottom < other.bottom + other.height
            and other.bottom < self.bottom + self.height
        )


def place_labels(
    points: Sequence[tuple[float, float]],
    widths: Sequence[float],
    height: float,
    reserved: Sequence[Box] = (),
) -> list[Box]:
    """The nearest boxes that cover no point, no reserved place and no other label, if any do."""
    taken = [
        Box(x - _POINT_RADIUS, y - _POINT_RADIUS, 2 * _POINT_RADIUS, 2 * _POINT_RADIUS)
        for x, y in points
    ]
    taken += reserved
    placed = []
    for point, width in zip(points, widths, strict=True):
        candidates = list(_candidates(point, width, height))
        is_free = (box for box in candidates if not any(box.overlaps(other) for other in taken))
        box = next(is_free, candidates[0])
        taken.append(box)
        placed.append(box)
    return placed


def _candidates(point: tuple[float, float], width: float, height: float) -> Iterator[Box]:
    """On the right, then on the left, at the point's height, then ever farther above or below."""
    x, y = point
    for step in range(_MOST_STEPS):
        for offset in (step, -step):
            for left in (x + _GAP, x - _GAP - width):
                yield Box(left, y + (offset * _STEP - 0.5) * height, width, height)
