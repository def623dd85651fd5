"""Keeps the last latencies, and says how they are distributed."""

from __future__ import annotations

from collections import deque
from typing import Any

import numpy as np

# Where the histogram's bins end, in milliseconds; the last bin has no end.
EDGES = tuple(0.25 * 2**k for k in range(12))
_KEPT = 20_000


class Latencies:
    """The latest ones, in milliseconds, and how many there have been."""

    def __init__(self) -> None:
        self._latest: deque[float] = deque(maxlen=_KEPT)
        self._count = 0

    def add(self, milliseconds: float) -> None:
        """Add one."""
        self._latest.append(milliseconds)
        self._count += 1

    def summary(self) -> dict[str, Any]:
        """Return the count of all; of the latest, percentiles and how many are in each bin."""
        latest = np.array(self._latest)
        p50, p99 = (
            (round(float(p), 3) for p in np.percentile(latest, (50, 99)))
            if latest.size
            else (None, None)
        )
        bins = np.bincount(np.digitize(latest, EDGES), minlength=len(EDGES) + 1)
        return {
            "count": self._count,
            "p50": p50,
            "p99": p99,
            "edges": EDGES,
            "bins": bins.tolist(),
        }
