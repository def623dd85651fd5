"""The process in which one implementation runs.

Requests and replies are JSON objects, one per line, on stdin and stdout.
"""

from __future__ import annotations

import dataclasses
import json
import os
import sys
import traceback
from collections.abc import Callable
from typing import Any, TextIO

import numpy as np

from bench.measure.timing import time_turn
from bench.peers import load_peer, package_of
from bench.peers.base import Peer, Prepared
from bench.peers.cases import RAGGED_SHAPES
from bench.peers.check import names_of
from shapes import BENCH_SHAPES, TEST_SHAPES, make_case, shapes_by_name

_SHAPES = shapes_by_name(BENCH_SHAPES + TEST_SHAPES + RAGGED_SHAPES)


class Session:
    """Answers the requests made to one implementation."""

    def __init__(self, peer: Peer) -> None:
        self._peer = peer
        self._prepared: Prepared | None = None

    def answer(self, request: dict[str, Any]) -> dict[str, Any]:
        operations: dict[str, Callable[..., dict[str, Any]]] = {
            "describe": self._describe,
            "prepare": self._prepare,
            "save_answer": self._save_answer,
            "time": self._time,
        }
        arguments = dict(request)
        return operations[arguments.pop("op")](**arguments)

    def _describe(self) -> dict[str, Any]:
        return {"versions": self._peer.versions(), "config": self._peer.config()}

    def _prepare(self, shape: str, threads: int, seed: int) -> dict[str, Any]:
        # The previous shape's weights go first, so that two sets are never held at once.
        self._prepared = None
        sizes = _SHAPES[shape]
        unsupported = self._peer.unsupported(sizes)
        if not unsupported:
            self._prepared = self._peer.prepare(make_case(sizes, np.float32, seed), threads, seed)
        tape_bytes = self._prepared.tape_bytes if self._prepared else None
        return {"unsupported": unsupported, "tape_bytes": tape_bytes}

    def _save_answer(self, path: str) -> dict[str, Any]:
        prepared = self._ready()
        answer = prepared.to_answer(prepared.call())
        np.savez(path, **dict(zip(names_of(len(answer)), answer, strict=True)))
        return {}

    def _time(self, budget_ms: float, min_samples: int) -> dict[str, Any]:
        return dataclasses.asdict(time_turn(self._ready().call, budget_ms, min_samples))

    def _ready(self) -> Prepared:
        if self._prepared is None:
            raise RuntimeError("no shape is prepared")
        return self._prepared


def serve(name: str, requests: TextIO, replies: TextIO) -> None:
    """Answer requests until there are no more; errors are answers too."""
    session: Session | None = None
    for line in requests:
        try:
            session = session or Session(load_peer(name))
            reply = session.answer(json.loads(line))
        except Exception as error:
            traceback.print_exc()
            reply = _describe_error(name, error)
        replies.write(json.dumps(reply, default=str) + "\n")
        replies.flush()


def _describe_error(name: str, error: Exception) -> dict[str, Any]:
    is_missing = isinstance(error, ModuleNotFoundError) and error.name in (package_of(name), "onnx")
    if is_missing:
        return {"not_installed": str(error)}
    return {"error": f"{type(error).__name__}: {error}"}


def _claim_stdout() -> TextIO:
    """Keep stdout for replies; what libraries print goes to stderr."""
    replies = os.fdopen(os.dup(sys.stdout.fileno()), "w", encoding="utf-8")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    return replies


if __name__ == "__main__":
    serve(sys.argv[1], sys.stdin, _claim_stdout())
