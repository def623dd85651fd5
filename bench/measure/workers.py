"""The processes in which the implementations run, as their owner sees them."""

from __future__ import annotations

import contextlib
import json
import os
import queue
import subprocess
import sys
import tempfile
import threading
from collections.abc import Sequence
from typing import Any

from bench import ROOT
from bench.peers.variants import environment_of

_STDERR_LINES = 8
_EXIT_TIMEOUT_S = 5.0


class NotInstalledError(Exception):
    """The implementation isn't installed."""


class RequestFailedError(Exception):
    """The implementation raised an exception; its worker lives on."""


class WorkerCrashedError(Exception):
    """The worker ended, or gave no answer in time."""


class WorkerProcess:
    """One implementation's process, as its owner sees it."""

    def __init__(self, name: str) -> None:
        # Open for the worker's whole life, so a context manager can't close it.
        self._stderr = tempfile.TemporaryFile(mode="w+", errors="replace")  # noqa: SIM115
        self._process = subprocess.Popen(
            [sys.executable, "-m", "bench.measure.worker", name],
            cwd=ROOT,
            env={**os.environ, **environment_of(name)},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._stderr,
            encoding="utf-8",
        )
        self._replies: queue.SimpleQueue[str] = queue.SimpleQueue()
        self._reader = threading.Thread(target=self._read_replies, daemon=True)
        self._reader.start()

    def request(self, op: str, timeout_s: float = 300.0, **arguments: Any) -> dict[str, Any]:
        """Ask, wait, and return the reply; a reply that is an error is raised."""
        self._send({"op": op, **arguments})
        reply: dict[str, Any] = json.loads(self._next_line(op, timeout_s))
        if "not_installed" in reply:
            raise NotInstalledError(reply["not_installed"])
        if "error" in reply:
            raise RequestFailedError(reply["error"])
        return reply

    def close(self) -> None:
        """End the process: politely at first, since some runtimes join threads on the way out."""
        if self._process.stdin and not self._process.stdin.closed:
            with contextlib.suppress(BrokenPipeError):
                self._process.stdin.close()
        try:
            self._process.wait(_EXIT_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._reader.join()
        if self._process.stdout:
            self._process.stdout.close()
        self._stderr.close()

    def _send(self, message: dict[str, Any]) -> None:
        assert self._process.stdin
        try:
            self._process.stdin.write(json.dumps(message) + "\n")
            self._process.stdin.flush()
        except BrokenPipeError:
            raise WorkerCrashedError(self._last_words()) from None

    def _next_line(self, op: str, timeout_s: float) -> str:
        try:
            line = self._replies.get(timeout=timeout_s)
        except queue.Empty:
            self._process.kill()
            raise WorkerCrashedError(f"no answer to {op!r} in {timeout_s:g} s") from None
        if not line:
            raise WorkerCrashedError(self._last_words())
        return line

    def _read_replies(self) -> None:
        """Runs in its own thread, since a pipe can't be read with a time limit everywhere."""
        assert self._process.stdout
        for line in self._process.stdout:
            self._replies.put(line)
        self._replies.put("")

    def _last_words(self) -> str:
        exit_status = self._process.wait()
        self._stderr.seek(0)
        lines = self._stderr.read().strip().splitlines()[-_STDERR_LINES:]
        return "\n".join([f"exit status {exit_status}", *lines])


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
