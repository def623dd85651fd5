"""Renders what must be reached beside what was."""

from __future__ import annotations

from collections.abc import Sequence

from bench.contract_row import Row
from bench.markdown import format_ratio, table


def render_contract(rows: Sequence[Row]) -> str:
    header = ["what", "at least", "aim", "reached", "verdict"]
    lines = [
        [row.what, _bound(row), row.aim, _reached(row), "; ".join([row.verdict, *row.figure.gaps])]
        for row in rows
    ]
    return table(header, lines, left=len(header))


def _bound(row: Row) -> str:
    if row.bound is None:
        return "-"
    return f"at most {row.bound:g}" if row.is_at_most else f"{row.bound:g}"


def _reached(row: Row) -> str:
    figure = row.figure
    return format_ratio(figure.value) + (f" ({figure.note})" if figure.note else "")
