"""Turns probabilities of speech into segments of speech."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from vad.frames import FRAME_SAMPLES, SAMPLE_RATE
from vad.signatures import Array

# The segment rules that silero-vad uses by default.
SPEECH_THRESHOLD = 0.5
SILENCE_THRESHOLD = 0.35
MIN_SPEECH_SAMPLES = 250 * SAMPLE_RATE // 1000
MIN_SILENCE_SAMPLES = 100 * SAMPLE_RATE // 1000
PAD_SAMPLES = 30 * SAMPLE_RATE // 1000


class Segment(NamedTuple):
    """A stretch of speech, in samples: from `start`, up to and without `end`."""

    start: int
    end: int


def find_segments(probabilities: Array, num_samples: int) -> list[Segment]:
    """Turn the frames' probabilities (T,) into padded segments of speech."""
    return [
        # Two segments are further apart than two pads, so that none can run into the next.
        Segment(max(0, segment.start - PAD_SAMPLES), min(num_samples, segment.end + PAD_SAMPLES))
        for segment in hysteresis(probabilities, num_samples)
        if segment.end - segment.start > MIN_SPEECH_SAMPLES
    ]


def hysteresis(probabilities: Array, num_samples: int) -> Iterator[Segment]:
    """Yield the unpadded stretches of speech, the shortest ones included.

    Speech starts at a frame above the upper threshold. It ends at a frame below the lower one, but
    only if no frame reaches the upper threshold until the minimum silence has passed.
    """
    start: int | None = None
    silence: int | None = None
    for frame, probability in enumerate(probabilities):
        position = frame * FRAME_SAMPLES
        if probability >= SPEECH_THRESHOLD:
            start = position if start is None else start
            silence = None
        elif probability < SILENCE_THRESHOLD and start is not None:
            silence = position if silence is None else silence
            if position - silence >= MIN_SILENCE_SAMPLES:
                yield Segment(start, silence)
                start = silence = None
    if start is not None:
        yield Segment(start, num_samples)
