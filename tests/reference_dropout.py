"""The oracle for dropout masks: Philox4x32-10 and the documented positions.

It shares no code with the package.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

MASK = 0xFFFFFFFF
Word = Any  # 32 bits: an int, or an array of np.uint64


def philox4x32_10(counter: Sequence[Word], key: Sequence[int]) -> list[Word]:
    c, k = list(counter), list(key)
    for _ in range(10):
        p0, p1 = 0xD2511F53 * c[0], 0xCD9E8D57 * c[2]
        c = [(p1 >> 32) ^ c[1] ^ k[0], p1 & MASK, (p0 >> 32) ^ c[3] ^ k[1], p0 & MASK]
        k = [(k[0] + 0x9E3779B9) & MASK, (k[1] + 0xBB67AE85) & MASK]
    return c


def kept_from(first: int, count: int, rate: float, key: int, counter: int) -> NDArray[np.bool_]:
    """Which elements are kept, of `count` positions from the first one on."""
    quads = np.arange(first // 4, (first + count + 3) // 4, dtype=np.uint64)
    words = philox4x32_10(
        [quads & MASK, quads >> 32, counter & MASK, counter >> 32], [key & MASK, key >> 32]
    )
    chosen = np.stack(words, axis=1).ravel()[first % 4 :][:count]
    return np.asarray(chosen >= round(rate * 2**32))


def keep_mask(
    layer: int, rows: int, width: int, rate: float, key: int, counter: int
) -> NDArray[np.bool_]:
    """(rows, width): which elements of a layer's output are kept."""
    count = rows * width
    return kept_from(layer * count, count, rate, key, counter).reshape(rows, width)


def recurrent_factors(
    shape: tuple[int, int, int], rate: float, key: int, counter: int
) -> NDArray[np.float64]:
    """What multiplies h_(t-1) at every step; shape: of all hidden states, (L * D, N, H)."""
    kept = kept_from(2**62, int(np.prod(shape)), rate, key, counter).reshape(shape)
    return np.where(kept, 1.0 / (1.0 - rate) if rate < 1.0 else 0.0, 0.0)


def drop_with(rate: float, key: int, counter: int):
    """Returns what the LSTM reference calls between layers."""

    def drop(layer: int, outputs: NDArray[np.float64]) -> NDArray[np.float64]:
        kept = keep_mask(layer, *outputs.shape, rate, key, counter)
        return np.where(kept, outputs / (1.0 - rate) if rate < 1.0 else 0.0, 0.0)

    return drop
