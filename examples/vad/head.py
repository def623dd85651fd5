"""Computes the model's head: hidden states to probabilities of speech."""

from __future__ import annotations

import numpy as np

from vad.signatures import Array


def speech_probability(hidden: Array, weight: Array, bias: Array) -> Array:
    """Map hidden states (T, H) to probabilities (T,) with the head's weight (H,) and bias (1,)."""
    logits = np.maximum(hidden, 0) @ weight + bias
    # Through tanh, because exp(-x) overflows for a large negative x.
    probabilities: Array = 0.5 + 0.5 * np.tanh(0.5 * logits)
    return probabilities
