"""Gate orders by name: rows of weights, from one order of the gates to another."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from lstm_native import _validate

if TYPE_CHECKING:
    import numpy.typing as npt

# The order of the core, and of every array that the package returns.
IFGO = "ifgo"


def check_gate_order(value: Any, name: str = "gate_order") -> str:
    """Return an order of the four gates, with the candidate spelled g."""
    expected = f"{name}: expected the letters i, f, g (or c) and o in an order, such as 'ifgo'"
    if not isinstance(value, str):
        raise TypeError(f"{expected}, got {_validate.described(value)}")
    order = value.replace("c", "g")
    if sorted(order) != sorted(IFGO):
        raise ValueError(f"{expected}, got {value!r}")
    return order


def reordered(array: npt.NDArray[Any], given: str, wanted: str = IFGO) -> npt.NDArray[Any]:
    """Return an array whose rows are four gates of H each in another order of the gates.

    array: (4 * H, ...), returned as it is where both orders are the same.
    """
    if given == wanted:
        return array
    rows = len(array) // len(IFGO)
    result = np.empty(array.shape, array.dtype)
    for place, gate in enumerate(wanted):
        first = given.index(gate) * rows
        result[place * rows : (place + 1) * rows] = array[first : first + rows]
    return result
