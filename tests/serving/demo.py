"""The example server as a process, and clients that send it the bundled recording."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from websockets.sync.client import ClientConnection, connect

EXAMPLES = Path(__file__).parents[2] / "examples"
FRAME_SAMPLES = 512
# Only so that a test that hangs ends.
HANGING = 120


@contextmanager
def serving(*arguments: str) -> Iterator[str]:
    """Run the server on a free port; give its address, without a scheme."""
    process = subprocess.Popen(
        [sys.executable, str(EXAMPLES / "serve.py"), "--port", "0", *arguments],
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stderr is not None
    try:
        printed = []
        for line in process.stderr:
            printed.append(line)
            if found := re.search(r"running on http://(\S+)", line):
                break
        else:
            raise AssertionError("".join(printed))
        yield found[1]
        process.send_signal(signal.SIGINT)
        rest = process.communicate(timeout=HANGING)[1]
        assert process.returncode in (0, -signal.SIGINT), rest
        assert "Traceback" not in rest, rest
    finally:
        process.kill()
        process.communicate()


def as_16_bits(samples: Any) -> bytes:
    return np.round(samples * 2**15).astype("<i2").tobytes()


def client(address: str) -> ClientConnection:
    """A connection, to be used by `with`."""
    return connect(f"ws://{address}/audio", open_timeout=HANGING)


@contextmanager
def clients(address: str, count: int) -> Iterator[list[ClientConnection]]:
    with ExitStack() as stack:
        yield [stack.enter_context(client(address)) for _ in range(count)]


def answers(connection: ClientConnection, count: int) -> list[float]:
    """The next probabilities; their frames are in order."""
    return [answer["probability"] for answer in messages(connection, count)]


def messages(connection: ClientConnection, count: int) -> list[dict[str, Any]]:
    return [json.loads(connection.recv(timeout=HANGING)) for _ in range(count)]
