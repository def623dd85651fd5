"""Finds the adapter of a named implementation.

A name is a package's, or a package's with the variant that is timed: ``lstm_native plain``.
"""

from __future__ import annotations

import importlib

from bench.peers.base import Peer

OURS = "lstm_native"
PEERS = ("torch", "onnxruntime", "openvino", "ncnn")
IMPLEMENTATIONS = (OURS, *PEERS)


def load_peer(name: str) -> Peer:
    """Import the adapter ``bench/peers/<package>.py``, which imports the package itself."""
    package, _, variant = name.partition(" ")
    adapter: Peer = importlib.import_module(f"bench.peers.{package}").Adapter(variant)
    return adapter


def package_of(name: str) -> str:
    return name.partition(" ")[0]
