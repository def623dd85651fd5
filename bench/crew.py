"""Keeps one worker process per implementation."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from bench.worker_process import WorkerCrashedError, WorkerProcess


class Crew:
    """The implementations' workers; one that crashed is replaced when it is next needed."""

    def __init__(self, names: Sequence[str]) -> None:
        self.names = tuple(names)
        self._workers: dict[str, WorkerProcess] = {}

    def close(self) -> None:
        for name in list(self._workers):
            self._dismiss(name)

    def request(self, name: str, op: str, **arguments: Any) -> dict[str, Any]:
        if name not in self._workers:
            self._workers[name] = WorkerProcess(name)
        try:
            return self._workers[name].request(op, **arguments)
        except WorkerCrashedError:
            self._dismiss(name)
            raise

    def _dismiss(self, name: str) -> None:
        self._workers.pop(name).close()
