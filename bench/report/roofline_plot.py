"""Draws our speed on each shape beside the machine's limits.

A point's own limit also depends on where its weights fit. Beyond L2 it is an estimate, which a call
may exceed: see ``bench/report/roofline.py``.
"""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.text import Annotation

from bench.measure.results import Limits, Report
from bench.peers import OURS
from bench.report.label_placement import Box, place_labels
from bench.report.markdown import threads_heading
from bench.report.palette import COLOURS, FAINT, INK
from bench.report.roofline import flops, intensity, limit_us

# One line per level of the caches; the other parts of L3 are between them.
_LEVELS = {"L2": "-", "1/4 of L3": "--", "memory": ":"}

# In points. The width is an average character's, in matplotlib's own font.
_FONT_SIZE = 9
_LABEL_HEIGHT = 11.0
_CHARACTER_WIDTH = 5.3


@dataclass(frozen=True)
class _Point:
    label: str
    intensity: float
    gflops: float
    share: float
    """Of the speed that the roofline estimates for this shape."""


def draw_roofline(figure: Figure, axes: Axes, report: Report, limits: Limits) -> None:
    points = _points(report, limits)
    axes.set_xscale("log")
    axes.set_yscale("log")
    axes.set_title(_title(points, limits))
    axes.set_xlabel("operations per byte of weights that is read (FLOP / byte)", color=FAINT)
    axes.set_ylabel(f"GFLOP/s, {threads_heading(limits.threads)}")
    if not points:
        return
    intensities = [point.intensity for point in points]
    # Room on both sides for the outermost labels.
    left, right = min(intensities) / 2, max(intensities) * 3.5
    axes.set_xlim(left, right)
    speeds = [point.gflops for point in points]
    axes.set_ylim(min(speeds) / 2, max(limits.peak_gflops, *speeds) * 1.7)
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_formatter("{x:g}")
    peak_text = _draw_limits(axes, limits, left, right)
    for point in points:
        axes.plot(point.intensity, point.gflops, "o", color=COLOURS[OURS], markersize=6, zorder=3)
    # Free places for labels are found on the page, which needs the final layout.
    figure.draw_without_rendering()
    _write_labels(axes, points, peak_text, pixels_per_point=figure.dpi / 72)


def _points(report: Report, limits: Limits) -> list[_Point]:
    return [
        _Point(
            result.shape.label,
            intensity(result.shape),
            flops(result.shape) / time / 1e3,
            limit_us(result.shape, limits) / time,
        )
        for result in report.results
        if result.threads == limits.threads and (time := result.time_us(OURS)) is not None
    ]


def _draw_limits(axes: Axes, limits: Limits, left: float, right: float) -> Annotation:
    """Draw the lines; return the text at the peak."""
    peak = limits.peak_gflops
    axes.plot([left, right], [peak, peak], color=INK, linewidth=1.2)
    peak_text = axes.annotate(
        f"FMA peak, {limits.isa}: {peak:.0f} GFLOP/s",
        (right, peak),
        (0, 4),
        textcoords="offset points",
        ha="right",
        color=INK,
        fontsize=9.5,
    )
    for bandwidth in limits.bandwidths:
        if bandwidth.level not in _LEVELS:
            continue
        ridge = peak / bandwidth.gb_per_s
        if ridge <= left:
            continue
        axes.plot(
            [left, ridge],
            [left * bandwidth.gb_per_s, peak],
            color=INK,
            linewidth=1.2,
            linestyle=_LEVELS[bandwidth.level],
            label=f"read {bandwidth.level}: {bandwidth.gb_per_s:.0f} GB/s",
        )
    if axes.get_legend_handles_labels()[0]:
        axes.legend(loc="upper center", bbox_to_anchor=(0.5, -0.13), ncols=3, frameon=False)
    return peak_text


def _write_labels(
    axes: Axes, points: Sequence[_Point], peak_text: Annotation, pixels_per_point: float
) -> None:
    places = [
        tuple(axes.transData.transform((point.intensity, point.gflops)) / pixels_per_point)
        for point in points
    ]
    widths = [_CHARACTER_WIDTH * len(point.label) for point in points]
    left, bottom, width, height = np.divide(peak_text.get_window_extent().bounds, pixels_per_point)
    boxes = place_labels(places, widths, _LABEL_HEIGHT, [Box(left, bottom, width, height)])
    for point, (x, y), box in zip(points, places, boxes, strict=True):
        middle = box.bottom + box.height / 2
        axes.annotate(
            point.label,
            (point.intensity, point.gflops),
            (box.left - x, middle - y),
            textcoords="offset points",
            va="center",
            fontsize=_FONT_SIZE,
            color=COLOURS[OURS],
            zorder=4,
            bbox={"boxstyle": "square,pad=0.05", "facecolor": "#ffffffbb", "edgecolor": "none"},
        )
        if middle != y:
            _draw_leader(axes, point, (x, y), box)


def _draw_leader(axes: Axes, point: _Point, place: tuple[float, float], box: Box) -> None:
    x, y = place
    end = box.left - 1 if box.left > x else box.left + box.width + 1
    axes.annotate(
        "",
        (point.intensity, point.gflops),
        (end - x, box.bottom + box.height / 2 - y),
        textcoords="offset points",
        arrowprops={
            "arrowstyle": "-",
            "color": FAINT,
            "linewidth": 0.7,
            "shrinkA": 0,
            "shrinkB": 3,
        },
    )


def _title(points: Sequence[_Point], limits: Limits) -> str:
    if not points:
        return "Nothing to place beside the limits"
    shares = sorted(point.share for point in points)
    return (
        f"{threads_heading(limits.threads)}: {100 * shares[0]:.0f} to {100 * shares[-1]:.0f} % of "
        f"the roofline's estimate, {100 * statistics.median(shares):.0f} % in the median"
    )
