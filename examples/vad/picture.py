"""Draws the recording with the speech found in it."""

# matplotlib is imported where it is used, so that its absence can be reported.
# ruff: noqa: PLC0415

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from cli.pictures import save
from vad.frames import FRAME_SAMPLES, SAMPLE_RATE
from vad.segments import SILENCE_THRESHOLD, SPEECH_THRESHOLD, Segment
from vad.signatures import Array

if TYPE_CHECKING:
    from matplotlib.axes import Axes

WAVEFORM_COLUMNS = 1_200


def draw(path: Path, title: str, samples: Array, probs: Array, segments: Sequence[Segment]) -> None:
    """Write a PNG of the waveform (S,), the probabilities (T,) and the segments."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(12, 5), dpi=100, layout="constrained")
    upper, lower = figure.subplots(2, 1, sharex=True, height_ratios=(3, 2))
    # A dollar sign in a file name is no formula.
    figure.suptitle(title, fontsize=14, parse_math=False)
    draw_waveform(upper, samples)
    draw_probabilities(lower, probs)
    for axes in (upper, lower):
        shade_segments(axes, segments)
        axes.spines[["top", "right"]].set_visible(False)
    lower.set_xlim(0, len(samples) / SAMPLE_RATE)
    lower.set_xlabel("time [s]", fontsize=12)
    figure.align_ylabels()
    # By label, because the shading is in both halves and belongs into the legend once.
    labelled = {
        label: handle
        for axes in (upper, lower)
        for handle, label in zip(*axes.get_legend_handles_labels(), strict=True)
    }
    figure.legend(
        labelled.values(),
        labelled.keys(),
        loc="outside lower center",
        ncols=len(labelled),
        frameon=False,
        fontsize=11,
    )
    save(figure, path)


def draw_waveform(axes: Axes, samples: Array) -> None:
    """Draw samples (S,) as the range that they cover in each column of the picture."""
    columns = np.array_split(samples, min(len(samples), WAVEFORM_COLUMNS))
    lows, highs = [part.min() for part in columns], [part.max() for part in columns]
    middles = (np.arange(len(columns)) + 0.5) * len(samples) / len(columns) / SAMPLE_RATE
    axes.fill_between(middles, lows, highs, color="#334e68", linewidth=0.6, label="waveform")
    limit = 1.1 * max(float(np.abs(samples).max()), 1e-3)
    axes.set_ylim(-limit, limit)
    axes.set_ylabel("amplitude\n[full scale = 1]", fontsize=12)


def draw_probabilities(axes: Axes, probs: Array) -> None:
    """Draw the frames' probabilities (T,) as steps, with both thresholds."""
    edges = np.arange(len(probs) + 1) * FRAME_SAMPLES / SAMPLE_RATE
    axes.stairs(
        probs, edges, baseline=None, color="#c05621", linewidth=1.4, label="probability of speech"
    )
    for threshold, style, label in (
        (SPEECH_THRESHOLD, "--", f"speech starts at {SPEECH_THRESHOLD}"),
        (SILENCE_THRESHOLD, ":", f"may end below {SILENCE_THRESHOLD}"),
    ):
        axes.axhline(threshold, color="#4a5568", linewidth=1, linestyle=style, label=label)
    axes.set_ylim(-0.03, 1.05)
    axes.set_yticks([0, 0.5, 1])
    axes.set_ylabel("probability\nof speech", fontsize=12)


def shade_segments(axes: Axes, segments: Sequence[Segment]) -> None:
    """Shade the segments behind what is drawn."""
    for number, (start, end) in enumerate(segments):
        label = "detected speech" if number == 0 else None
        span = (start / SAMPLE_RATE, end / SAMPLE_RATE)
        axes.axvspan(*span, color="#9ae6b4", alpha=0.5, linewidth=0, zorder=0, label=label)
