"""Draws the forecasts beside the truth."""

# matplotlib is imported where it is used, so that its absence can be reported.
# ruff: noqa: PLC0415

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from cli.pictures import save
from sunspots.report import Errors
from sunspots.series import Array, Series

if TYPE_CHECKING:
    from matplotlib.axes import Axes

INK, FAINT = "#334e68", "#8795a1"
# The first forecast is the one to look at.
COLOURS = ("#c05621", "#38a169", "#718096", "#cbd5e0")


def draw(
    path: Path,
    series: Series,
    learnt: Series,
    forecasts: Mapping[str, Array],
    errors: Mapping[str, Errors],
) -> None:
    """Write a PNG: all years, the held-out ones larger, and errors.

    Of the forecasts (S,), the first one is drawn over the years.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(12, 6.5), dpi=100, layout="constrained")
    grid = figure.add_gridspec(2, 2, height_ratios=(2, 3), width_ratios=(3, 1))
    name, numbers = next(iter(forecasts.items()))
    end = len(learnt.years)
    first, last = int(series.years[end]), int(series.years[-1])
    figure.suptitle(f"Next year's sunspot number, forecast by an {name}", fontsize=14)

    whole = figure.add_subplot(grid[0, :])
    draw_years(whole, series, numbers, name, 0)
    whole.axvspan(first - 0.5, last + 0.5, color="#f0f4f8", zorder=0, linewidth=0)
    whole.annotate(
        "held out",
        ((first + last) / 2, 1),
        xycoords=("data", "axes fraction"),
        ha="center",
        va="top",
        fontsize=11,
        color=INK,
    )
    whole.legend(loc="upper left", ncols=2, frameon=False, fontsize=11)

    held_out = figure.add_subplot(grid[1, 0])
    draw_years(held_out, series, numbers, name, end)
    held_out.set_title(f"held out: {first} to {last}", loc="left", fontsize=12)
    held_out.set_xlabel("year", fontsize=12)

    draw_errors(figure.add_subplot(grid[1, 1]), errors)
    for axes in figure.axes:
        axes.spines[["top", "right"]].set_visible(False)
    save(figure, path)


def draw_years(axes: Axes, series: Series, forecast: Array, name: str, start: int) -> None:
    """Draw truth and forecast (S,) from step `start` on."""
    years = series.years[start:]
    axes.plot(
        *(years, series.numbers[start:]),
        color=INK,
        linewidth=1.2,
        marker="o",
        markersize=4 if start else 2,
        label="observed",
    )
    axes.plot(years, forecast[start:], color=COLOURS[0], linewidth=1.6, label=name)
    axes.set_xlim(years[0] - 1, years[-1] + 1)
    axes.set_ylim(0, 1.12 * series.numbers.max())
    axes.set_ylabel("sunspot number", fontsize=12)


def draw_errors(axes: Axes, errors: Mapping[str, Errors]) -> None:
    """Draw each forecast's error on the held-out years as a bar, with its name and its length."""
    heights = [error.held_out for error in errors.values()]
    bars = axes.barh(range(len(errors)), heights, height=0.45, color=COLOURS[: len(errors)])
    axes.bar_label(bars, fmt="%.1f", padding=3, fontsize=11, color=INK)
    for row, name in enumerate(errors):
        axes.text(0, row - 0.28, f" {name}", fontsize=10.5, color=INK, va="bottom")
    axes.set_ylim(len(errors) - 0.7, -0.6)
    axes.set_xlim(0, 1.2 * max(heights))
    axes.set_yticks([])
    axes.set_xlabel("root mean square error", fontsize=12)
    axes.set_title("errors, held out", loc="left", fontsize=12)
