"""Prints what the example finds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from vad.audio import Recording
from vad.frames import FRAME_SAMPLES, SAMPLE_RATE
from vad.segments import Segment


def print_recording(path: Path, recording: Recording, num_frames: int) -> None:
    """Print what was read."""
    kind = {1: "mono", 2: "stereo"}.get(recording.channels, f"{recording.channels} channels")
    print(
        f"{path.name}: {len(recording.samples) / SAMPLE_RATE:.2f} s, {recording.rate} Hz, {kind}; "
        f"{num_frames} frames of {1000 * FRAME_SAMPLES // SAMPLE_RATE} ms"
    )


def print_segments(segments: Sequence[Segment]) -> None:
    """Print the segments of speech in seconds."""
    speech = sum(end - start for start, end in segments) / SAMPLE_RATE
    print(f"\nSpeech: {len(segments)} segments, {speech:.2f} s in all")
    for start, end in segments:
        print(f"  {start / SAMPLE_RATE:8.3f} to {end / SAMPLE_RATE:8.3f} s")


def print_precision(name: str, difference: float, same_segments: bool) -> None:
    """Print what weights with fewer bits change in the probabilities and in the segments."""
    segments = "the same segments" if same_segments else "other segments"
    print(f"With weights in {name}: {segments}, probabilities differ by at most {difference:.1e}")


def print_times(what: str, times: Mapping[str, float]) -> None:
    """Print what was timed, then each contender's time and its speed relative to the first one."""
    print(f"  {what}")
    first = next(iter(times.values()))
    for name, microseconds in times.items():
        print(f"    {name:44s} {microseconds:7.2f} us   {first / microseconds:4.2f} x as fast")
