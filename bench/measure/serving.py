"""Loads examples/serve.py with clients in real time: each sends a frame of audio every 32 ms.

python -m bench.measure.serving [--clients N ...] [--seconds S]

Latency is from when a client's frame was due to its answer, as the client sees it. It includes the
network on this machine, and what this program itself is late by, which is printed beside. Server
and clients share the machine's cores.
"""

from __future__ import annotations

import argparse
import asyncio
import base64
import json
import os
import re
import signal
import struct
import subprocess
import sys
import time
import urllib.request
import wave
from pathlib import Path
from typing import Any

import numpy as np
import uvloop

from bench import ROOT
from bench.measure.machine import describe_machine
from bench.report.markdown import format_time, table

_EXAMPLES = ROOT / "examples"
_RECORDING = _EXAMPLES / "data" / "sense_and_sensibility.wav"
_FRAME_BYTES = 2 * 512
_FRAME_S = 512 / 16_000
_PERCENTILES = (50, 90, 99, 99.9)
# Frames of each client before those that count: 2 s.
_WARM_UP = 62


class Load:
    """Microseconds from when each counted frame was due: to its sending, and to its answer."""

    def __init__(self) -> None:
        self.sent: list[float] = []
        self.answered: list[float] = []


class Client(asyncio.Protocol):
    """A client's connection; a library for websockets would take more of the cores than the server.

    What it sends is masked, as RFC 6455 wants it from clients, by zeros, which change nothing.
    Answers are short texts, each in a frame with a head of two bytes.
    """

    def __init__(self, frames: int, begin: float, load: Load) -> None:
        self._frames, self._begin, self._load = frames, begin, load
        self._received = b""
        self._number = 0
        self.open: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.answered: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.WriteTransport) -> None:
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        now = time.perf_counter()
        self._received += data
        if not self.open.done():
            head, found, rest = self._received.partition(b"\r\n\r\n")
            if not found:
                return
            if not head.startswith(b"HTTP/1.1 101 "):
                raise RuntimeError(head.decode())
            self._received = rest
            self.open.set_result(None)
        while len(self._received) >= 2 and len(self._received) >= (size := 2 + self._received[1]):
            if self._received[0] == _PING:
                payload = self._received[2:size]
                self._transport.write(_head(_PONG, len(payload)) + payload)
            else:
                self._take(self._received[:size], now)
            self._received = self._received[size:]

    def _take(self, frame: bytes, now: float) -> None:
        if frame[0] != _WHOLE_TEXT or json.loads(frame[2:])["frame"] != self._number:
            raise RuntimeError(f"expected the answer to frame {self._number}, got {frame!r}")
        if self._number >= _WARM_UP:
            self._load.answered.append(1e6 * (now - self._begin - self._number * _FRAME_S))
        self._number += 1
        if self._number == self._frames:
            self.answered.set_result(None)

    def connection_lost(self, error: Exception | None) -> None:
        for future in (self.open, self.answered):
            if not future.done():
                future.set_exception(error or ConnectionError("the server has left"))


# Whole messages, by their first byte.
_WHOLE_TEXT, _WHOLE_BYTES, _PING, _PONG = 0x81, 0x82, 0x89, 0x8A
_MASKED, _LONG = 0x80, 126


def _head(kind: int, size: int) -> bytes:
    """What stands before a message of a client, with a mask of zeros."""
    if size < _LONG:
        return struct.pack(">BBI", kind, _MASKED | size, 0)
    return struct.pack(">BBHI", kind, _MASKED | _LONG, size, 0)


async def client(address: str, frames: list[bytes], begin: float, load: Load) -> None:
    """Send each frame when it is due, until the last is answered."""
    host, _, port = address.partition(":")
    transport, protocol = await asyncio.get_running_loop().create_connection(
        lambda: Client(len(frames), begin, load), host, int(port)
    )
    key = base64.b64encode(os.urandom(16)).decode()
    transport.write(
        f"GET /audio HTTP/1.1\r\nHost: {address}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        f"Sec-WebSocket-Key: {key}\r\nSec-WebSocket-Version: 13\r\n\r\n".encode()
    )
    await protocol.open
    for number, frame in enumerate(frames):
        due = begin + number * _FRAME_S
        await asyncio.sleep(due - time.perf_counter())
        if number >= _WARM_UP:
            load.sent.append(1e6 * (time.perf_counter() - due))
        transport.write(_head(_WHOLE_BYTES, len(frame)) + frame)
    await protocol.answered
    transport.close()


async def all_clients(address: str, clients: int, seconds: float) -> Load:
    """Clients that begin at different places of the recording, and at different moments."""
    with wave.open(str(_RECORDING)) as recording:
        samples = recording.readframes(recording.getnframes())
    frames = [
        samples[k : k + _FRAME_BYTES] for k in range(0, len(samples) - _FRAME_BYTES, _FRAME_BYTES)
    ]
    count = _WARM_UP + round(seconds / _FRAME_S)
    load = Load()
    begin = time.perf_counter() + 1.0 + clients / 200
    await asyncio.gather(
        *(
            client(
                address,
                [frames[(17 * k + n) % len(frames)] for n in range(count)],
                begin + _FRAME_S * k / clients,
                load,
            )
            for k in range(clients)
        )
    )
    return load


def processor_seconds(pid: int) -> float:
    """Of a process so far."""
    fields = Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def measure(clients: int, seconds: float) -> list[str]:
    """A row of the table."""
    server = subprocess.Popen(
        [sys.executable, str(_EXAMPLES / "serve.py"), "--port", "0", "--clients", str(clients)],
        stderr=subprocess.PIPE,
        text=True,
    )
    assert server.stderr is not None
    try:
        for line in server.stderr:
            if found := re.search(r"running on http://(\S+)", line):
                address = found[1]
                break
        else:
            raise RuntimeError("the server ended")
        used, begin = processor_seconds(server.pid), time.perf_counter()
        load = uvloop.run(all_clients(address, clients, seconds))
        cores = (processor_seconds(server.pid) - used) / (time.perf_counter() - begin)
        with urllib.request.urlopen(f"http://{address}/now") as response:
            now: dict[str, Any] = json.load(response)
    finally:
        server.send_signal(signal.SIGINT)
        server.wait()
    latencies = np.percentile(load.answered, _PERCENTILES)
    return [
        str(clients),
        f"{len(load.answered):,}",
        *map(format_time, latencies),
        format_time(max(load.answered)),
        format_time(float(np.percentile(load.sent, 99))),
        *(format_time(1e3 * now["step"][name]) for name in ("p50", "p99")),
        f"{cores:.2f}",
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--clients", type=int, nargs="+", default=[50, 200])
    parser.add_argument("--seconds", type=float, default=20.0)
    given = parser.parse_args()
    rows = [measure(clients, given.seconds) for clients in given.clients]
    print(f"{describe_machine()['cpu']}, {len(os.sched_getaffinity(0))} cores:\n")
    names = [f"p{p:g}" for p in _PERCENTILES]
    header = ["clients", "frames", *names, "max", "sent late, p99", "step, p50", "p99", "cores"]
    print(table(header, rows, left=0))


if __name__ == "__main__":
    main()
