"""Loads examples/serve.py with clients in real time: each sends a frame of audio every 32 ms.

python -m bench.measure.serving [--clients N ...] [--seconds S]

Latency is from when a client's frame was due to its answer, as the client sees it. It includes the
network on this machine, and what this program itself is late by, which is printed beside. Server
and clients share the machine's cores.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import re
import signal
import subprocess
import sys
import time
import urllib.request
import wave
from pathlib import Path
from typing import Any

import numpy as np
from websockets.asyncio.client import connect

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


async def client(address: str, frames: list[bytes], begin: float, load: Load) -> None:
    """Send each frame when it is due; see when its answer comes."""
    async with connect(f"ws://{address}/audio", compression=None) as connection:

        async def receive() -> None:
            for number in range(len(frames)):
                answer = json.loads(await connection.recv())
                if answer["frame"] != number:
                    raise RuntimeError(f"expected frame {number}, got {answer['frame']}")
                if number >= _WARM_UP:
                    due = begin + number * _FRAME_S
                    load.answered.append(1e6 * (time.perf_counter() - due))

        receiving = asyncio.create_task(receive())
        for number, frame in enumerate(frames):
            due = begin + number * _FRAME_S
            await asyncio.sleep(due - time.perf_counter())
            if number >= _WARM_UP:
                load.sent.append(1e6 * (time.perf_counter() - due))
            await connection.send(frame)
        await receiving


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
        load = asyncio.run(all_clients(address, clients, seconds))
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
