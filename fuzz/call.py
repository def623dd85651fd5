"""One call of some surface, made of bytes."""

from __future__ import annotations

import contextlib

import lstm_native
from fuzz import boundary, functions, operators
from fuzz.reader import Reader

SURFACES = (*functions.SURFACES, *operators.SURFACES, *boundary.SURFACES)
POOL = lstm_native.MemoryPool()  # with what earlier calls left in it


def run(data: bytes) -> None:
    """Make the call that the bytes stand for; raise where something else came than must."""
    reader = Reader(data)
    # Which byte says so must not change what the others stand for.
    in_pool = data[-1:] and data[-1] % 3 == 0
    with POOL if in_pool else contextlib.nullcontext():
        reader.choose(SURFACES)(reader)
    if POOL.nbytes > 1 << 28:
        POOL.clear()
