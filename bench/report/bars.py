"""Draws each implementation's speed relative to the best peer's, as bars."""

from __future__ import annotations

from matplotlib.artist import Artist
from matplotlib.axes import Axes

from bench.measure.results import Report, ShapeResult, geometric_mean
from bench.peers import IMPLEMENTATIONS, OURS
from bench.peers.variants import FLOAT16
from bench.report.markdown import threads_heading
from bench.report.palette import COLOURS, FAINT, INK
from bench.report.ratios import speedup

# Of the distance between two shapes.
_GROUP_WIDTH = 0.84

_FLOAT16_LABEL = "ours, 16-bit weights"


def draw_bars(axes: Axes, report: Report, threads: int, *, is_last: bool) -> None:
    results = [result for result in report.results if result.threads == threads]
    names = [name for name in IMPLEMENTATIONS if name in report.implementations]
    width = _GROUP_WIDTH / len(names)
    for index, name in enumerate(names):
        heights = [speedup(result, name) or 0.0 for result in results]
        left = (index - (len(names) - 1) / 2) * width
        positions = [shape + left for shape in range(len(results))]
        axes.bar(positions, heights, width, label=_label(name), color=COLOURS[name])
        if name == OURS:
            _draw_float16(axes, results, left)
            _write_heights(axes, positions, heights)
    axes.axhline(1, color=INK, linewidth=1)
    axes.set_title(_title(results, threads))
    axes.set_ylabel("speed, best peer = 1")
    axes.set_xlim(-0.6, len(results) - 0.4)
    axes.margins(y=0.12)
    axes.set_xticks(range(len(results)))
    axes.tick_params(axis="x", length=0)
    labels = [result.shape.label for result in results] if is_last else []
    axes.set_xticklabels(labels or [""] * len(results), rotation=38, ha="right", fontsize=9.5)
    if is_last:
        axes.set_xlabel("T, N, I/H (L layers, bidirectional)", color=FAINT)


def legend_entries(axes: Axes) -> tuple[list[Artist], list[str]]:
    """The bars in their order, then the marker, with which matplotlib would begin."""
    handles, labels = axes.get_legend_handles_labels()
    order = sorted(range(len(labels)), key=lambda index: labels[index] == _FLOAT16_LABEL)
    return [handles[index] for index in order], [labels[index] for index in order]


def _label(name: str) -> str:
    return f"{name} (ours)" if name == OURS else name


def _draw_float16(axes: Axes, results: list[ShapeResult], left: float) -> None:
    points = [
        (shape + left, ratio)
        for shape, result in enumerate(results)
        if (ratio := speedup(result, FLOAT16)) is not None
    ]
    if points:
        axes.plot(
            *zip(*points, strict=True),
            linestyle="none",
            marker="D",
            markersize=5,
            markerfacecolor="white",
            markeredgecolor=COLOURS[OURS],
            label=_FLOAT16_LABEL,
        )


def _write_heights(axes: Axes, positions: list[float], heights: list[float]) -> None:
    for position, height in zip(positions, heights, strict=True):
        if height:
            axes.annotate(
                f"{height:.1f}",
                (position, height),
                (0, 2),
                textcoords="offset points",
                ha="center",
                fontsize=8.5,
                bbox={"boxstyle": "square,pad=0.05", "facecolor": "white", "edgecolor": "none"},
                color=COLOURS[OURS],
            )


def _title(results: list[ShapeResult], threads: int) -> str:
    """What the bars say."""
    ratios = [ratio for result in results if (ratio := speedup(result, OURS)) is not None]
    mean = geometric_mean(ratios)
    if mean is None:
        return f"{threads_heading(threads)}: nothing to compare"
    faster = sum(ratio > 1 for ratio in ratios)
    where = "all" if faster == len(ratios) else f"{faster} of {len(ratios)}"
    return (
        f"{threads_heading(threads)}: faster than the best peer on {where} shapes, "
        f"{mean:.2f} times in the geometric mean"
    )
