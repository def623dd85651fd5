"""Padded batches and the packed sequences of the same steps, turned into each other."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from shapes import Case


def fill_padding(x: Any, lengths: Sequence[int], value: float) -> None:
    for row, length in enumerate(lengths):
        x[length:, row] = value


def sorted_rows(
    case: Case, lengths: Sequence[int], padded: Any = None
) -> tuple[Any, tuple[Any, Any], list[int], list[int]]:
    """Input, states, batch_sizes and rows of the same sequences, the longest first, none empty.

    Another array (T, N, F) may take the place of the case's input.
    """
    padded = case.x if padded is None else padded
    order = [row for row in np.argsort([-n for n in lengths], kind="stable") if lengths[row] > 0]
    sizes = [sum(lengths[row] > step for row in order) for step in range(max(lengths, default=0))]
    pieces = [padded[step, order[:size]] for step, size in enumerate(sizes)]
    rows = np.concatenate(pieces) if pieces else padded.reshape(-1, padded.shape[2])[:0]
    return rows, (case.h0[:, order], case.c0[:, order]), sizes, order


def padded_again(
    rows: Any, states: Sequence[Any], elsewhere: Sequence[Any], lengths: Sequence[int], steps: int
) -> tuple[Any, ...]:
    """What belongs to a packed sequence's rows and states, where the padded batch has it.

    Padding is 0. The states of sequences without steps are those of `elsewhere`.
    """
    order = [row for row in np.argsort([-n for n in lengths], kind="stable") if lengths[row] > 0]
    output = np.zeros((steps, len(lengths), rows.shape[1]), rows.dtype)
    start = 0
    for step in range(max(lengths, default=0)):
        size = sum(lengths[row] > step for row in order)
        output[step, order[:size]] = rows[start : start + size]
        start += size
    placed = [np.array(other, state.dtype) for state, other in zip(states, elsewhere, strict=True)]
    for array, state in zip(placed, states, strict=True):
        array[:, order] = state
    return output, *placed
