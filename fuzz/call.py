"""One call of some surface, made of bytes."""

from __future__ import annotations

from fuzz import boundary, functions, operators
from fuzz.reader import Reader

SURFACES = (*functions.SURFACES, *operators.SURFACES, *boundary.SURFACES)


def run(data: bytes) -> None:
    """Make the call that the bytes stand for; raise where something else came than must."""
    reader = Reader(data)
    reader.choose(SURFACES)(reader)
