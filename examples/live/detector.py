"""Finds speech in the audio of many clients: a frame of each client at a time."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

import lstm_native
from vad.frames import CONTEXT_SAMPLES
from vad.head import speech_probability
from vad.model import cut_graph, head_weights, load_model, model_path
from vad.runtime import onnxruntime_function
from vad.signatures import Array


class Detector:
    """The model of the voice activity example, with a session for each client.

    onnxruntime computes the encoder, `lstm_native.Sessions` the LSTM and NumPy the head. A client
    is known by the id of its session. For one thread at a time.
    """

    def __init__(self, capacity: int, threads: int | None = None) -> None:
        model = load_model()
        encoder, _ = cut_graph(model)
        self._encode = onnxruntime_function(encoder, 1)
        self._sessions = lstm_native.Sessions(
            lstm_native.load(model_path()).packed, capacity, num_threads=threads
        )
        self._head = head_weights(model)
        self._contexts: dict[int, Array] = {}  # the last samples of each client

    @property
    def capacity(self) -> int:
        """How many clients there may be at once."""
        return self._sessions.capacity

    def open(self) -> int:
        """Begin with silence; return the client's id. RuntimeError: all places are taken."""
        client = self._sessions.open()
        self._contexts[client] = np.zeros(CONTEXT_SAMPLES, np.float32)
        return client

    def close(self, client: int) -> None:
        """Forget a client."""
        self._sessions.close(client)
        del self._contexts[client]

    def step(self, clients: Sequence[int], samples: Array) -> Array:
        """Return the probabilities (N,) of speech in the next 512 samples (N, 512) of each."""
        contexts = np.stack([self._contexts[client] for client in clients])
        features = self._encode(np.concatenate([contexts, samples], axis=1))
        hidden = self._sessions.step(clients, np.ascontiguousarray(features[:, 0]))
        for client, context in zip(clients, samples[:, -CONTEXT_SAMPLES:], strict=True):
            self._contexts[client] = context
        return speech_probability(hidden, *self._head)
