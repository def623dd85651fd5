"""Values as messages show them."""

from __future__ import annotations

import reprlib
from typing import Any

import numpy as np


def scalar(value: Any) -> str:
    """Return a short form of a scalar; a very long int, which str() refuses, as a power of two."""
    if isinstance(value, int) and value.bit_length() > 128:
        power = f"2**{value.bit_length() - 1}"
        return f"{power} or more" if value > 0 else f"-{power} or less"
    return str(value) if isinstance(value, np.generic) else reprlib.repr(value)
