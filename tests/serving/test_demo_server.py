"""examples/serve.py: what clients get, for right and wrong messages, beside other clients."""

import itertools
import json
import sys
import urllib.request

import numpy as np
import pytest
from demo import EXAMPLES, FRAME_SAMPLES, answers, as_16_bits, client, clients, messages, serving
from websockets.exceptions import ConnectionClosedError

from example_scripts import imported

CAPACITY = 4
FRAMES = 100
# The examples' tolerance: sums in another order, in the encoder and in the LSTM.
CLOSE = {"rtol": 0, "atol": 1e-5}


@pytest.fixture(scope="module")
def recording():
    """Samples, and the probabilities by onnxruntime on the whole model."""
    with imported(EXAMPLES / "voice_activity.py", "vad") as example:
        vad = sys.modules["vad"]
        samples = vad.audio.load_recording(vad.options.DEFAULT_RECORDING).samples
        step = vad.runtime.onnxruntime_step(vad.model.load_model(), 1)

        def detect(part):
            return example.run_stream(step, vad.frames.cut_frames(part))

        yield samples, detect


@pytest.fixture
def address():
    with serving("--clients", str(CAPACITY)) as address:
        yield address


def shown(address):
    with urllib.request.urlopen(f"http://{address}/now") as response:
        return json.load(response)


def test_clients_at_once_get_the_probabilities_of_their_own_audio(address, recording):
    samples, detect = recording
    parts = [samples[k * 20_000 :][: FRAMES * FRAME_SAMPLES] for k in range(3)]
    before = shown(address)["latency"]["count"]
    # Messages of different lengths, one client's after the other's.
    lengths = (320, 1000, 4096)
    messages_of = [
        [part[k : k + length] for k in range(0, len(part), length)]
        for part, length in zip(parts, lengths, strict=True)
    ]
    with clients(address, len(parts)) as connections:
        for round in itertools.zip_longest(*messages_of):
            for connection, message in zip(connections, round, strict=True):
                if message is not None:
                    connection.send(as_16_bits(message))
        for connection, part in zip(connections, parts, strict=True):
            got = messages(connection, FRAMES)
            assert [answer["frame"] for answer in got] == list(range(FRAMES))
            probabilities = [answer["probability"] for answer in got]
            np.testing.assert_allclose(probabilities, detect(part), **CLOSE)
        now = shown(address)
    assert [client["frames"] for client in now["clients"]] == [FRAMES] * 3
    assert now["latency"]["count"] == before + 3 * FRAMES == sum(now["latency"]["bins"])
    assert 0.0 < now["latency"]["p50"] <= now["latency"]["p99"]


@pytest.mark.parametrize(
    ("message", "code", "reason"),
    [
        ("text", 1003, "expected 16-bit samples in a binary message, got text"),
        (b"\0" * 7, 1007, "expected 16-bit samples, got 7 bytes"),
    ],
)
def test_what_is_no_audio_ends_its_own_connection(address, recording, message, code, reason):
    samples, detect = recording
    part = samples[: 4 * FRAME_SAMPLES]
    with client(address) as wrong, client(address) as right:
        right.send(as_16_bits(part[:FRAME_SAMPLES]))
        wrong.send(as_16_bits(part[:FRAME_SAMPLES]))
        wrong.send(message)
        # What came before is answered.
        np.testing.assert_allclose(answers(wrong, 1), detect(part)[:1], **CLOSE)
        with pytest.raises(ConnectionClosedError) as closed:
            wrong.recv()
        assert (closed.value.rcvd.code, closed.value.rcvd.reason) == (code, reason)
        right.send(as_16_bits(part[FRAME_SAMPLES:]))
        np.testing.assert_allclose(answers(right, 4), detect(part), **CLOSE)


def test_places_are_taken_and_free_again(address, recording):
    samples, detect = recording
    part = samples[: 4 * FRAME_SAMPLES]
    sound = as_16_bits(part)
    with clients(address, CAPACITY) as connections:
        for connection in connections:
            connection.send(sound)
            answers(connection, 1)
        with client(address) as late, pytest.raises(ConnectionClosedError) as closed:
            late.recv()
        assert closed.value.rcvd.code == 1013
        # Its last answers have not been read.
        connections[0].close()
        while len(shown(address)["clients"]) == CAPACITY:  # the server has not noticed it yet
            pass
        with client(address) as next_one:
            next_one.send(sound)
            np.testing.assert_allclose(answers(next_one, 4), detect(part), **CLOSE)
