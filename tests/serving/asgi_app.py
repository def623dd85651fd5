"""An ASGI application: calls in a pool of threads, and requests that are cancelled.

For the tests a step can be held in its middle, and released.
"""

import asyncio
import os
import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
from served import from_bytes, hidden_states, packed_weights
from starlette.applications import Starlette
from starlette.responses import Response
from starlette.routing import Route

import lstm_native
from cancellation import hook

packed = packed_weights()
sessions = lstm_native.Sessions(packed, 4)
client = sessions.open()
pool = ThreadPoolExecutor(os.cpu_count())
entered, released, cancelled = threading.Event(), threading.Event(), asyncio.Event()


async def in_pool(function, *arguments):
    """The pattern of docs/serving.md."""
    return await asyncio.get_running_loop().run_in_executor(pool, function, *arguments)


async def disconnected(request):
    while (await request.receive())["type"] != "http.disconnect":
        pass


async def run(request):
    x = from_bytes(await request.body())
    return Response((await in_pool(hidden_states, packed, x)).tobytes())


def step_when_released(frame):
    """Wait in the middle of the step's computation."""

    def wait(*_):
        entered.set()
        released.wait()

    with hook(wait):
        return sessions.step([client], frame)


async def held(request):
    """A step whose request is cancelled when its client leaves."""
    frame = from_bytes(await request.body())
    step = asyncio.ensure_future(in_pool(step_when_released, frame))
    left = asyncio.ensure_future(disconnected(request))
    await asyncio.wait({step, left}, return_when=asyncio.FIRST_COMPLETED)
    left.cancel()
    if step.done():
        return Response(step.result().tobytes())
    step.cancel()
    try:
        await step
    except asyncio.CancelledError:
        cancelled.set()
    return Response(b"")


async def wait_entered(_request):
    await in_pool(entered.wait)
    return Response(b"entered")


async def wait_cancelled(_request):
    await cancelled.wait()
    return Response(b"cancelled")


async def release(_request):
    released.set()
    return Response(b"released")


async def state(_request):
    """Behind the step that is on its way: calls of the same sessions wait for each other."""
    h, c = await in_pool(sessions.state, client)
    return Response(np.concatenate([h, c]).tobytes())


application = Starlette(
    routes=[
        Route(f"/{function.__name__}", function, methods=["POST"])
        for function in (run, held, wait_entered, wait_cancelled, release, state)
    ]
)
