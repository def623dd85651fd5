"""Draws a report: speed relative to the best peer, with a roofline below."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import matplotlib as mpl

mpl.use("Agg")

from matplotlib import pyplot as plt

from bench.measure.results import Report
from bench.report.bars import draw_bars, legend_entries
from bench.report.roofline_plot import draw_roofline

# Shown 900 pixels wide in the README; twice as many, so that it stays sharp.
_WIDTH_INCHES = 9
_DOTS_PER_INCH = 200
_BARS_INCHES = 2.9
_ROOFLINE_INCHES = 5.2

_STYLE: dict[Any, Any] = {
    "font.size": 10,
    "axes.titlesize": 11.5,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.spines.top": False,
    "axes.spines.right": False,
}


def draw(report: Report, path: Path) -> None:
    """One panel of bars per number of threads, the most first; then the roofline with the most."""
    threads = sorted({result.threads for result in report.results}, reverse=True)
    limits = report.limits_with(threads[0])
    heights = [_BARS_INCHES] * len(threads) + ([_ROOFLINE_INCHES] if limits else [])
    with mpl.rc_context(_STYLE):
        figure, axes = plt.subplots(
            len(heights),
            figsize=(_WIDTH_INCHES, sum(heights) + 1),
            height_ratios=heights,
            squeeze=False,
            layout="constrained",
        )
        panels = list(axes[:, 0])
        for panel, number in zip(panels, threads, strict=False):
            draw_bars(panel, report, number, is_last=number == threads[-1])
        handles, labels = legend_entries(panels[0])
        figure.legend(handles, labels, loc="outside upper left", ncols=len(labels), frameon=False)
        if limits:
            draw_roofline(figure, panels[-1], report, limits)
        figure.savefig(path, dpi=_DOTS_PER_INCH)
        plt.close(figure)
