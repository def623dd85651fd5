"""Cuts samples into the overlapping frames that the model takes."""

from __future__ import annotations

import math

import numpy as np

from vad.signatures import Array

# The model's audio format: every frame is 512 new samples behind the last 64 of the one before.
SAMPLE_RATE = 16_000
FRAME_SAMPLES = 512
CONTEXT_SAMPLES = 64


def cut_frames(samples: Array) -> Array:
    """Cut samples (S,) into frames (T, 576): the 64 samples before, then 512 new ones.

    Zeros stand in for the samples before the recording and after its end.
    """
    num_frames = math.ceil(len(samples) / FRAME_SAMPLES)
    padded = np.zeros(CONTEXT_SAMPLES + num_frames * FRAME_SAMPLES, np.float32)
    padded[CONTEXT_SAMPLES : CONTEXT_SAMPLES + len(samples)] = samples
    windows = np.lib.stride_tricks.sliding_window_view(padded, CONTEXT_SAMPLES + FRAME_SAMPLES)
    return np.ascontiguousarray(windows[::FRAME_SAMPLES])
