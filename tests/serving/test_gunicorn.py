"""gunicorn with three workers, the application loaded before it forks, or in each of them."""

import itertools
import os
import signal

import pytest
from served import EXPECTED, FRAMES, STATE_SIZE
from servers import Request, listening, server

WORKERS = 3


class Events:
    """What gunicorn tells of its workers."""

    def __init__(self, descriptor):
        self._lines = os.fdopen(descriptor)

    def next(self):
        what, pid = self._lines.readline().split()
        return what, int(pid)

    def close(self):
        self._lines.close()


@pytest.fixture(params=["before the fork", "in each"])
def served(request, tmp_path):
    """The socket, gunicorn's events and the pids of its workers."""
    reader, writer = os.pipe()
    preload = ["--preload"] if request.param == "before the fork" else []
    with listening(tmp_path) as listener:
        arguments = [
            *("gunicorn", "--workers", str(WORKERS), "--bind", f"fd://{listener.fileno()}"),
            *("--config", "gunicorn_events.py", "--worker-tmp-dir", str(tmp_path), *preload),
            "wsgi_app:application",
        ]
        descriptors = [listener.fileno(), writer]
        with server(arguments, descriptors, EVENTS=str(writer)):
            os.close(writer)
            events = Events(reader)
            begun = [events.next() for _ in range(WORKERS)]
            assert {what for what, _ in begun} == {"begun"}
            yield listener, events, {pid for _, pid in begun}
        events.close()


SEQUENCE = FRAMES.tobytes()


def begun_in_each(listener):
    """A request in the hands of each worker: one that has a request takes no other."""
    return [Request(listener, "/run", len(SEQUENCE)).begin() for _ in range(WORKERS)]


def test_each_worker_gives_the_bits(served):
    listener, _, pids = served
    answers = [request.send(SEQUENCE).answer() for request in begun_in_each(listener)]
    assert {int(headers["X-Pid"]) for _, headers in answers} == pids
    assert all(body == EXPECTED.tobytes() for body, _ in answers)


def test_a_session_goes_from_worker_to_worker(served):
    listener, _, _ = served
    frame_size, hidden_size = FRAMES[0].nbytes, EXPECTED[0].nbytes
    request = Request(listener, "/step", frame_size).begin()
    state, pids = b"", []
    for frame, expected in zip(FRAMES, EXPECTED, strict=True):
        # Another worker has the next request before this one is answered.
        following = Request(listener, "/step", frame_size + STATE_SIZE).begin()
        answer, headers = request.send(frame.tobytes() + state).answer()
        assert answer[:hidden_size] == expected.tobytes()
        state = answer[hidden_size:]
        pids.append(headers["X-Pid"])
        request = following
    request.hang_up()
    assert all(one != other for one, other in itertools.pairwise(pids))


def test_a_worker_that_is_killed_in_a_request_is_replaced(served):
    listener, events, pids = served
    requests = begun_in_each(listener)
    killed = next(iter(pids))
    os.kill(killed, signal.SIGKILL)
    happened = {events.next() for _ in range(2)}
    (new,) = (pid for what, pid in happened if what == "begun")
    assert happened == {("ended", killed), ("begun", new)}
    lost = 0
    for request in requests:
        try:
            body, _ = request.send(SEQUENCE).answer()
        except ConnectionError:
            lost += 1
        else:
            assert body == EXPECTED.tobytes()
    assert lost == 1
    answers = [request.send(SEQUENCE).answer() for request in begun_in_each(listener)]
    assert {int(headers["X-Pid"]) for _, headers in answers} == pids - {killed} | {new}
    assert all(body == EXPECTED.tobytes() for body, _ in answers)
