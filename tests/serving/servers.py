"""Starts servers on sockets that they inherit, so that a client never comes too early."""

from __future__ import annotations

import http
import http.client
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

HERE = Path(__file__).parent
# Only so that a test that hangs ends.
HANGING = 120


@contextmanager
def listening(folder: Path) -> Iterator[socket.socket]:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as listener:
        listener.bind(str(folder / "socket"))
        listener.listen(128)
        yield listener


@contextmanager
def server(
    arguments: list[str], descriptors: list[int], **environment: str
) -> Iterator[subprocess.Popen[bytes]]:
    """Run `python -m arguments` until the end; it must then leave in peace."""
    process = subprocess.Popen(
        [sys.executable, "-m", *arguments],
        cwd=HERE,
        pass_fds=descriptors,
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(HERE.parent), str(HERE)])}
        | environment,
    )
    try:
        yield process
        process.send_signal(signal.SIGTERM)
        # uvicorn ends by the signal that ended it.
        assert process.wait(HANGING) in (0, -signal.SIGTERM)
    finally:
        process.kill()
        process.wait()


class Request:
    """A POST request in two parts, so that a test knows when a worker has it."""

    def __init__(self, listener: socket.socket, path: str, size: int) -> None:
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._socket.settimeout(HANGING)
        self._socket.connect(listener.getsockname())
        self._head = f"POST {path} HTTP/1.1\r\nHost: here\r\nContent-Length: {size}\r\n"
        self._head += "Connection: close\r\n"

    def begin(self) -> Request:
        """Send the head; return when a worker waits for the body."""
        self._socket.sendall(f"{self._head}Expect: 100-continue\r\n\r\n".encode())
        self._head = ""
        expected = b"HTTP/1.1 100 Continue\r\n\r\n"
        got = b""
        while len(got) < len(expected):
            part = self._socket.recv(len(expected) - len(got))
            assert part
            got += part
        assert got == expected
        return self

    def send(self, body: bytes) -> Request:
        """Send the body, and the head if that has not been sent."""
        head = f"{self._head}\r\n".encode() if self._head else b""
        try:
            self._socket.sendall(head + body)
        except ConnectionError:
            self._socket.close()
            raise
        return self

    def answer(self) -> tuple[bytes, http.client.HTTPMessage]:
        """Return the answer's body and headers."""
        with self._socket:
            response = http.client.HTTPResponse(self._socket)
            response.begin()
            assert response.status == http.HTTPStatus.OK
            return response.read(), response.headers

    def hang_up(self) -> None:
        """Leave without an answer."""
        self._socket.close()


def ask(listener: socket.socket, path: str, body: bytes = b"") -> bytes:
    """Return the answer's body."""
    return Request(listener, path, len(body)).send(body).answer()[0]
