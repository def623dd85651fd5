"""Names the array and function types that the parts share."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy.typing as npt

Array = npt.NDArray[Any]

Function = Callable[[Array], Array]

Step = Callable[[Array, Array, Array], Sequence[Array]]
"""(inputs of a chunk, h, c) -> (outputs of the chunk, h, c), with h and c of shape (1, 1, H)."""
