"""Writes a report's files."""

from __future__ import annotations

import json
from pathlib import Path

from bench.measure.results import Report
from bench.report.page import render
from bench.report.record import to_record


def write(report: Report, path: Path) -> tuple[str, str]:
    """Leave ``path`` (JSON) with a table and a picture beside it.

    Returns the table, and why there is no picture (empty if there is one).
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(to_record(report), indent=1) + "\n", encoding="utf-8")
    why_no_picture = _draw(report, path.with_suffix(".png"))
    text = render(report, "" if why_no_picture else path.with_suffix(".png").name)
    path.with_suffix(".md").write_text(text, encoding="utf-8")
    return text, why_no_picture


def _draw(report: Report, path: Path) -> str:
    try:
        from bench.report.picture import draw  # noqa: PLC0415  # tables are to be had without matplotlib
    except ModuleNotFoundError as error:
        # An older run's picture would pass for this one's.
        path.unlink(missing_ok=True)
        return str(error)
    draw(report, path)
    return ""
