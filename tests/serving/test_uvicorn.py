"""uvicorn and asyncio: calls in a pool of threads, beside each other, and cancelled."""

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from served import EXPECTED, FRAMES, SHAPE, hidden_states, packed_weights
from servers import Request, ask, listening, server

import lstm_native


@pytest.fixture
def listener(tmp_path):
    with listening(tmp_path) as listener:
        arguments = ["uvicorn", "--fd", str(listener.fileno()), "asgi_app:application"]
        with server(arguments, [listener.fileno()]):
            yield listener


def test_many_requests_at_once(listener):
    # Sequences of different lengths.
    parts = [FRAMES[: 1 + k % SHAPE.seq_len] for k in range(100)]
    with ThreadPoolExecutor(16) as clients:
        answers = list(clients.map(lambda x: ask(listener, "/run", x.tobytes()), parts))
    packed = packed_weights()
    assert answers == [hidden_states(packed, x).tobytes() for x in parts]


def test_a_client_that_leaves_in_the_middle_of_a_step(listener):
    """Its request is cancelled; the step ends as if it were not; the server goes on."""
    frame = FRAMES[:1].tobytes()
    request = Request(listener, "/held", len(frame)).send(frame)
    assert ask(listener, "/wait_entered") == b"entered"
    request.hang_up()
    assert ask(listener, "/wait_cancelled") == b"cancelled"
    # Other calls go on while the step is held.
    assert ask(listener, "/run", FRAMES.tobytes()) == EXPECTED.tobytes()
    assert ask(listener, "/release") == b"released"
    lone = lstm_native.Stream(packed_weights())
    lone.step(FRAMES[:1])
    expected = np.concatenate([array[:, 0] for array in lone.state])
    assert ask(listener, "/state") == expected.tobytes()
    # This client has not left, so it gets the answer.
    assert ask(listener, "/held", FRAMES[1:2].tobytes()) == lone.step(FRAMES[1:2]).tobytes()
