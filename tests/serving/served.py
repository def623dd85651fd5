"""What the servers of the tests serve, and what they must answer."""

from __future__ import annotations

from typing import Any

import numpy as np

import lstm_native
from calls import pack
from shapes import Shape, make_case

SHAPE = Shape("served", 30, 1, 16, 70, 2)
CASE = make_case(SHAPE, np.float32)


def packed_weights() -> lstm_native.PackedWeights:
    return pack(CASE)


def hidden_states(packed: lstm_native.PackedWeights, x: Any) -> Any:
    """The hidden states (T, H) of a sequence (T, I) from a state of zeros."""
    state = np.zeros((SHAPE.num_layers, 1, SHAPE.hidden_size), np.float32)
    output, *_ = lstm_native.lstm(
        x[:, None], (state, state), packed, SHAPE.num_layers, 0.0, False, False
    )
    return output[:, 0]


FRAMES = CASE.x[:, 0]
EXPECTED = hidden_states(packed_weights(), FRAMES)


def _state_size() -> int:
    sessions = lstm_native.Sessions(packed_weights(), 1)
    return len(sessions.dump(sessions.open()))


STATE_SIZE = _state_size()


def from_bytes(data: bytes) -> Any:
    """Frames (T, I)."""
    return np.frombuffer(data, np.float32).reshape(-1, SHAPE.input_size)
