"""Steps all clients that have a new frame in one call, again and again."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple

import numpy as np

from live.detector import Detector
from live.latencies import Latencies
from vad.signatures import Array

# Frames of a client that wait for their turn: 2 s of audio. Further messages wait in its socket.
MOST_WAITING = 64


class Frame(NamedTuple):
    """512 samples of a client, when they were whole, and who waits for the answer."""

    samples: Array
    whole_at: float
    answer: asyncio.Future[float]


class Client:
    """A client's frames that wait, and its last answer."""

    def __init__(self, id: int) -> None:
        self.id = id
        self.waiting: deque[Frame] = deque()
        self.room = asyncio.Event()
        self.room.set()
        self.frames = 0
        self.probability: float | None = None


class Rounds:
    """All clients of a detector. Each round takes the oldest frame of each client that has one.

    A round computes in a thread of its own. Frames that come meanwhile are for the next one: the
    busier the server is, the more clients share a round, and the less each of them costs.
    """

    def __init__(self, detector: Detector) -> None:
        self.clients: dict[int, Client] = {}
        self.latencies = Latencies()  # from a whole frame to its answer
        self.steps = Latencies()  # of the detector
        self._detector = detector
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="detector")
        self._came = asyncio.Event()

    async def join(self) -> Client:
        """Return a new client. RuntimeError: all places are taken."""
        client = Client(await self._in_thread(self._detector.open))
        self.clients[client.id] = client
        return client

    async def leave(self, client: Client) -> None:
        """Forget a client and what it waits for, after the round that it may be in."""
        del self.clients[client.id]
        for frame in client.waiting:
            frame.answer.cancel()
        client.waiting.clear()
        await self._in_thread(self._detector.close, client.id)

    async def put(self, client: Client, samples: Array) -> asyncio.Future[float]:
        """Add a frame, once there is room for it; return what will be its probability."""
        await client.room.wait()
        answer: asyncio.Future[float] = asyncio.get_running_loop().create_future()
        client.waiting.append(Frame(samples, time.perf_counter(), answer))
        if len(client.waiting) >= MOST_WAITING:
            client.room.clear()
        self._came.set()
        return answer

    async def run(self) -> None:
        """Make rounds until cancelled."""
        try:
            while True:
                await self._came.wait()
                self._came.clear()
                while ready := [c for c in self.clients.values() if c.waiting]:
                    await self._round(ready)
        finally:
            self._pool.shutdown()

    async def _round(self, clients: list[Client]) -> None:
        frames = [client.waiting.popleft() for client in clients]
        for client in clients:
            client.room.set()
        ids, samples = [client.id for client in clients], [frame.samples for frame in frames]
        begin = time.perf_counter()
        try:
            probabilities = await self._in_thread(self._detector.step, ids, np.stack(samples))
        except Exception as error:  # the next round may succeed
            for frame in frames:
                if not frame.answer.done():
                    frame.answer.set_exception(error)
            return
        now = time.perf_counter()
        self.steps.add(1e3 * (now - begin))
        for client, frame, probability in zip(clients, frames, probabilities.tolist(), strict=True):
            client.probability = probability
            client.frames += 1
            self.latencies.add(1e3 * (now - frame.whole_at))
            if not frame.answer.done():
                frame.answer.set_result(probability)

    async def _in_thread(self, function: Callable[..., Any], *arguments: Any) -> Any:
        """Run calls of the detector one after the other, while the event loop goes on."""
        return await asyncio.get_running_loop().run_in_executor(self._pool, function, *arguments)
