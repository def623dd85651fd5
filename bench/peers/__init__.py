"""Finds the adapter of a named implementation."""

from __future__ import annotations

import importlib

from bench.peers.base import Peer

OURS = "lstm_native"
PEERS = ("torch", "onnxruntime", "openvino", "ncnn")
IMPLEMENTATIONS = (OURS, *PEERS)


def load_peer(name: str) -> Peer:
    """Import the adapter ``bench/peers/<name>.py``, which imports the implementation itself."""
    adapter: Peer = importlib.import_module(f"bench.peers.{name}").Adapter()
    return adapter
