"""The web application: audio in and probabilities out, a live page, and what it shows."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import numpy as np
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, Response
from starlette.routing import Route, WebSocketRoute
from starlette.websockets import WebSocket, WebSocketDisconnect

from live.detector import Detector
from live.rounds import Client, Rounds
from vad.frames import FRAME_SAMPLES
from vad.signatures import Array

PAGE = Path(__file__).with_name("page.html")
# Reasons for the end of a connection, as RFC 6455 numbers them.
NOT_BYTES, NOT_SAMPLES, FAILED, TRY_LATER = 1003, 1007, 1011, 1013
_PAGE_EVERY_S = 0.25

# What a client's frames will be answered by, in their order; None: no more.
Answers = asyncio.Queue["asyncio.Future[float] | None"]


def application(detector: Detector) -> Starlette:
    """Return the application; it makes rounds while it runs."""

    @contextlib.asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        app.state.rounds = Rounds(detector)
        rounds = asyncio.create_task(app.state.rounds.run())
        yield
        rounds.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await rounds

    return Starlette(
        routes=[
            Route("/", page),
            Route("/now", now),
            WebSocketRoute("/audio", audio),
            WebSocketRoute("/live", live),
        ],
        lifespan=lifespan,
    )


async def page(request: Request) -> Response:
    """Return the page."""
    return HTMLResponse(PAGE.read_text(encoding="utf-8"))


async def now(request: Request) -> Response:
    """Return what the page shows, once."""
    return JSONResponse(shown(request.app.state.rounds))


async def live(socket: WebSocket) -> None:
    """Send what the page shows, again and again."""
    await socket.accept()
    with contextlib.suppress(WebSocketDisconnect):
        while True:
            await socket.send_json(shown(socket.app.state.rounds))
            await asyncio.sleep(_PAGE_EVERY_S)


def shown(rounds: Rounds) -> dict[str, Any]:
    """Return what the page shows."""
    return {
        "clients": [
            {"id": client.id, "probability": client.probability, "frames": client.frames}
            for client in rounds.clients.values()
        ],
        "latency": rounds.latencies.summary(),
        "step": rounds.steps.summary(),
    }


async def audio(socket: WebSocket) -> None:
    """Take a client's audio: 16-bit samples, little-endian, 16 kHz, in messages of any length.

    Each 512 samples are answered by {"frame": its number, "probability": of speech}.
    """
    rounds: Rounds = socket.app.state.rounds
    await socket.accept()
    try:
        client = await rounds.join()
    except RuntimeError:  # all places are taken
        await socket.close(TRY_LATER, "all places are taken")
        return
    answers: Answers = asyncio.Queue()
    answering = asyncio.create_task(answer(socket, answers))
    try:
        if reason := await take(socket, rounds, client, answers):
            answers.put_nowait(None)
            await answering
            await socket.close(*reason)
    finally:
        answering.cancel()
        await rounds.leave(client)


async def take(
    socket: WebSocket, rounds: Rounds, client: Client, answers: Answers
) -> tuple[int, str] | None:
    """Cut messages into frames until the client leaves, or sends what is no audio: then why."""
    rest: Array = np.empty(0, np.float32)
    while True:
        message = await socket.receive()
        if message["type"] == "websocket.disconnect":
            return None
        data = message.get("bytes")
        if data is None:
            return NOT_BYTES, "expected 16-bit samples in a binary message, got text"
        if len(data) % 2:
            return NOT_SAMPLES, f"expected 16-bit samples, got {len(data)} bytes"
        new = np.frombuffer(data, "<i2").astype(np.float32) / 2**15
        rest = np.concatenate([rest, new]) if len(rest) else new
        while len(rest) >= FRAME_SAMPLES:
            answers.put_nowait(await rounds.put(client, rest[:FRAME_SAMPLES]))
            rest = rest[FRAME_SAMPLES:]


async def answer(socket: WebSocket, answers: Answers) -> None:
    """Send the answers in their order."""
    number = 0
    with contextlib.suppress(WebSocketDisconnect):
        while (coming := await answers.get()) is not None:
            try:
                probability = await coming
            except Exception:  # of the detector
                logging.getLogger(__name__).exception("a round failed")
                await socket.close(FAILED, "the server failed")
                return
            await socket.send_text(f'{{"frame": {number}, "probability": {probability!r}}}')
            number += 1
