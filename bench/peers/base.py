"""The interface that every timed implementation offers."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from shapes import Case, Shape

Answer = tuple[NDArray[np.floating], ...]


@dataclass(frozen=True)
class Prepared:
    """An implementation's LSTM, ready to be called on one case."""

    call: Callable[[], Any]
    """Runs the LSTM once; only this is timed."""

    to_answer: Callable[[Any], Answer]
    """Turns what ``call`` returned into (output, h_n, c_n), shaped as lstm_native returns them.

    Of one that trains: (..., d_input, d_h_0, d_c_0, *d_weights).
    """

    keep_alive: Any = None
    """Memory that ``call`` reads through pointers of the implementation's own."""

    tape_bytes: int | None = None
    """What is kept from forward for backward, where an implementation tells."""


class Peer(ABC):
    variants: tuple[str, ...] = ()
    """Other ways than the usual one in which this implementation can be run."""

    def __init__(self, variant: str = "") -> None:
        if variant and variant not in self.variants:
            raise ValueError(f"no variant {variant!r}; there are {self.variants}")
        self.variant = variant

    def unsupported(self, shape: Shape) -> str:
        """Why this implementation can't run ``shape``; empty if it can."""
        return ""

    @abstractmethod
    def prepare(self, case: Case, threads: int, seed: int) -> Prepared:
        """Convert the weights and everything else that a user converts once, outside the call.

        ``seed`` is the case's, for whatever else is drawn.
        """

    @abstractmethod
    def versions(self) -> dict[str, str]:
        """The versions of the packages that decide this implementation's speed."""

    def config(self) -> dict[str, Any]:
        """How the implementation was built, as far as it tells."""
        return {}
