"""Writes Markdown tables."""

from __future__ import annotations

from collections.abc import Sequence


def table(header: Sequence[str], rows: Sequence[Sequence[str]], left: int = 1) -> str:
    """The first ``left`` columns are aligned to the left, the others to the right."""
    alignment = ["---"] * left + ["---:"] * (len(header) - left)
    return "\n".join("| " + " | ".join(row) + " |" for row in (header, alignment, *rows))


def format_time(us: float | None) -> str:
    """Three significant digits in the unit that suits them."""
    if us is None:
        return "-"
    value, unit = (us, "us") if us < 1000 else (us / 1000, "ms")
    decimals = 2 if value < 10 else 1 if value < 100 else 0
    return f"{value:.{decimals}f} {unit}"


def format_ratio(ratio: float | None) -> str:
    return "-" if ratio is None else f"{ratio:.2f}"


def format_share(share: float | None) -> str:
    return "-" if share is None else f"{100 * share:.0f} %"


def format_bytes(num_bytes: int) -> str:
    return f"{num_bytes / 2**20:.3g} MB" if num_bytes >= 2**20 else f"{num_bytes / 2**10:.3g} KB"


def threads_heading(threads: int) -> str:
    return f"{threads} {'thread' if threads == 1 else 'threads'}"
