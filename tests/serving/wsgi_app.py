"""A WSGI application: whole sequences, and steps of sessions whose states travel."""

import os

from served import FRAMES, from_bytes, hidden_states, packed_weights

import lstm_native

packed = packed_weights()
sessions = lstm_native.Sessions(packed, 4)
# Where gunicorn loads the application before it forks, threads and working memory are there then.
hidden_states(packed, FRAMES)
sessions.step([sessions.open()], FRAMES[:1])


def application(environ, start_response):
    body = environ["wsgi.input"].read(int(environ["CONTENT_LENGTH"]))
    if environ["PATH_INFO"] == "/run":
        answer = hidden_states(packed, from_bytes(body)).tobytes()
    else:
        answer = step(body[: FRAMES[0].nbytes], body[FRAMES[0].nbytes :])
    start_response("200 OK", [("Content-Length", str(len(answer))), ("X-Pid", str(os.getpid()))])
    return [answer]


def step(frame, state):
    """The hidden state, and the session's state behind it."""
    id = sessions.open()
    try:
        if state:
            sessions.load(id, state)
        return sessions.step([id], from_bytes(frame)).tobytes() + sessions.dump(id)
    finally:
        sessions.close(id)
