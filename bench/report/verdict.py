"""What a benchmark says of a bound, and the exit status that follows."""

from __future__ import annotations

from collections.abc import Sequence

_OK = "ok"
_MISSED = "MISSED"


def verdict(holds: bool) -> str:
    return _OK if holds else _MISSED


def exit_status(rows: Sequence[Sequence[str]]) -> int:
    """1 where a row's last cell, a verdict, says that a bound was missed."""
    return int(any(row[-1] == _MISSED for row in rows))
