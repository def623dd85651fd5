"""Sessions: each has the bits of a stream of its own, whatever the others do."""

import os
import pickle
import signal
import threading

import numpy as np
import pytest

import lstm_native
from calls import assert_same_bits, pack
from cancellation import CancelledError, cancel_at, hook
from shapes import Shape, make_case
from validation_cases import MISTAKES, SESSIONS, SESSIONS_RUN, VALID, three_sessions

# What sessions compute in, and what matrices are stored in where that is not the same.
KINDS = ((np.float32, None), (np.float32, "float16"), (np.float32, "int8"), (np.float64, None))
SMALL = Shape("small", 9, 7, 5, 13, 2)
# Units enough for several threads.
WIDE = Shape("wide", 6, 40, 40, 264, 1)


def sessions_of(case, capacity=8, stored=None, **options):
    packed = pack(case, weight_dtype=stored)
    return lstm_native.Sessions(packed, capacity, **options)


@pytest.fixture
def small():
    return make_case(SMALL, np.float32)


def test_the_capacity_is_a_property(small):
    assert sessions_of(small, capacity=3).capacity == 3


def whole_state(sessions):
    return [sessions.state(id) for id in sessions.open_ids]


@pytest.mark.parametrize(("dtype", "stored"), KINDS)
def test_the_bits_of_lone_streams(dtype, stored):
    """Sessions come and go; any of them step, in any order, by one step or by several."""
    case = make_case(SMALL, dtype)
    rng = np.random.default_rng(4)
    sessions = sessions_of(case, 6, stored, num_threads=2)
    streams = {}
    for _ in range(60):
        if len(streams) < 6 and rng.random() < 0.4:
            streams[sessions.open()] = lstm_native.Stream(sessions.packed, num_threads=1)
        if streams and rng.random() < 0.2:
            id = rng.choice(list(streams)).item()
            sessions.close(id)
            del streams[id]
        if streams and rng.random() < 0.1:
            id = rng.choice(list(streams)).item()
            sessions.reset(id)
            streams[id].reset()
        ids = rng.permutation(list(streams))[: rng.integers(0, 7)].astype(np.int64).tolist()
        steps = int(rng.integers(1, 4))
        x = rng.standard_normal((steps, len(ids), SMALL.input_size)).astype(dtype)
        got = sessions.step(ids, x[0])[None] if steps == 1 else sessions.run(ids, x)
        assert got.shape == (steps, len(ids), SMALL.hidden_size)
        for row, id in enumerate(ids):
            assert_same_bits([got[:, row : row + 1]], [streams[id].run(x[:, row : row + 1])])
    assert sorted(sessions.open_ids) == sorted(streams)
    for id, stream in streams.items():
        assert_same_bits(sessions.state(id), [array[:, 0] for array in stream.state])


def test_many_at_once_on_several_threads():
    case = make_case(WIDE, np.float32)
    packed = pack(case)
    sessions = lstm_native.Sessions(packed, 50, num_threads=2)
    ids = [sessions.open() for _ in range(50)][::-1][:40]
    got = sessions.run(np.array(ids), case.x)
    expected = lstm_native.Stream(packed, 40, num_threads=1).run(case.x)
    assert_same_bits([got], [expected])


def test_a_cell(small):
    cell = lstm_native.Cell(input_forget=True)
    sessions = sessions_of(small, cell=cell)
    stream = lstm_native.Stream(sessions.packed, cell=cell)
    assert_same_bits(
        [sessions.run([sessions.open()], small.x[:, :1])], [stream.run(small.x[:, :1])]
    )


def test_what_needs_a_conversion(small):
    sessions = sessions_of(small)
    ids = [sessions.open() for _ in range(3)]
    x = small.x[:, :3]
    expected = sessions.run(ids, np.ascontiguousarray(x))
    for kinds in (
        (tuple(ids), x),
        (np.array(ids, np.int32), np.asfortranarray(x)),
        (ids, x.astype(x.dtype.newbyteorder())),
        (range(3), x),
    ):
        for id in ids:
            sessions.reset(id)
        assert_same_bits([sessions.run(*kinds)], [expected])


def test_ids_are_never_given_twice(small):
    sessions = sessions_of(small, 2)
    seen = set()
    for _ in range(20):
        first, second = sessions.open(), sessions.open()
        seen |= {first, second}
        with pytest.raises(RuntimeError, match="all 2 are open"):
            sessions.open()
        sessions.close(first)
        sessions.close(second)
    assert len(seen) == 40
    assert len(sessions) == 0


def test_a_new_session_begins_with_zeros(small):
    sessions = sessions_of(small, 1)
    id = sessions.open()
    sessions.run([id], small.x[:, :1])
    sessions.close(id)
    assert not any(array.any() for array in sessions.state(sessions.open()))


def test_no_memory_after_the_first_step_of_a_size(small):
    sessions = sessions_of(small)
    ids = [sessions.open() for _ in range(5)]
    held = []
    for _ in range(2):
        for count in (1, 5, 3):
            sessions.step(ids[:count], small.x[0, :count])
            held.append(sessions.nbytes)
    assert held[2:3] * 3 == held[3:]
    assert held[0] < held[1] < held[2]


def test_memory_of_many_sizes_is_bounded():
    case = make_case(Shape("rows", 1, 100, 4, 4), np.float32)
    sessions = sessions_of(case, 100)
    ids = [sessions.open() for _ in range(100)]
    for count in range(1, 101):
        sessions.step(ids[:count], case.x[0, :count])
    held = sessions.nbytes
    for count in range(37, 101):
        sessions.step(ids[:count], case.x[0, :count])
    assert sessions.nbytes == held


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_a_state_moves_to_another_process(dtype):
    case = make_case(SMALL, dtype)
    here, there = sessions_of(case), sessions_of(case)
    ids = [here.open() for _ in range(2)]
    here.run(ids, case.x[:, :2])
    other = there.open()
    there.load(other, pickle.loads(pickle.dumps(here.dump(ids[1]))))
    assert_same_bits(here.state(ids[1]), there.state(other))
    x = np.ascontiguousarray(case.x[0, :1])
    assert_same_bits([here.step([ids[1]], x)], [there.step([other], x)])
    there.set_state(other, here.state(ids[0]))
    assert_same_bits(here.state(ids[0]), there.state(other))


def test_a_wrong_call_changes_no_state():
    sessions = three_sessions()
    sessions.run(**{**VALID[SESSIONS_RUN], "x": np.ones((5, 3, 10), np.float32)})
    before = whole_state(sessions)
    for mistake in MISTAKES:
        if mistake.interface.startswith(f"{SESSIONS}.") and mistake.is_possible:
            method = getattr(sessions, mistake.interface.rpartition(".")[2])
            with pytest.raises(mistake.exception):
                method(**{**VALID[mistake.interface], **mistake.given})
    with pytest.raises(TypeError, match="can't be pickled"):
        pickle.dumps(sessions)
    for was, now in zip(before, whole_state(sessions), strict=True):
        assert_same_bits(was, now)


def test_a_cancelled_call_changes_no_state(small):
    sessions = sessions_of(small)
    ids = [sessions.open() for _ in range(3)]
    x = np.ascontiguousarray(small.x[:, :3])
    sessions.run(ids, x)
    before = whole_state(sessions)
    with pytest.raises(CancelledError):
        cancel_at(lambda: sessions.run(ids, x), 0)
    for was, now in zip(before, whole_state(sessions), strict=True):
        assert_same_bits(was, now)


def test_a_signals_handler_in_the_middle_of_a_call(small):
    """It may read, and is refused by name what would change states; other threads wait."""
    sessions = sessions_of(small)
    ids = [sessions.open() for _ in range(3)]
    other = sessions.open()
    x = np.ascontiguousarray(small.x[:, :3])
    expected = lstm_native.Stream(sessions.packed, 3).run(x)
    h, c = sessions.state(ids[0])
    changes = {
        "step": lambda: sessions.step([other], x[0, :1]),
        "run": lambda: sessions.run([other], x[:, :1]),
        "open": sessions.open,
        "close": lambda: sessions.close(ids[0]),
        "reset": lambda: sessions.reset(other),
        "set_state": lambda: sessions.set_state(other, (h + 1, c + 1)),
        "load": lambda: sessions.load(other, sessions.dump(ids[0])),
    }
    refused, read, waited = {}, [], []
    started = threading.Event()

    def wait_for_the_call():
        started.set()
        waited.append(sessions.step([other], x[0, :1]))

    thread = threading.Thread(target=wait_for_the_call)

    def handle(*_):
        for name, change in changes.items():
            with pytest.raises(RuntimeError) as caught:
                change()
            refused[name] = str(caught.value)
        read.append((sessions.open_ids, len(sessions), sessions.nbytes, repr(sessions)))
        read.append(sessions.state(ids[0]))
        thread.start()
        started.wait()

    def send_one(*_):
        if not refused:
            signal.raise_signal(signal.SIGUSR1)

    before = signal.signal(signal.SIGUSR1, handle)
    try:
        with hook(send_one):
            got = sessions.run(ids, x)
    finally:
        signal.signal(signal.SIGUSR1, before)
    thread.join()
    assert set(refused) == set(changes)
    assert all("in the middle of it on the same thread" in text for text in refused.values())
    assert read[0][:2] == ([*ids, other], 4)
    assert_same_bits(read[1], (np.zeros_like(h), np.zeros_like(c)))
    assert_same_bits([got], [expected])
    assert_same_bits(waited, [expected[0, :1]])


def test_threads_with_sessions_of_their_own(small):
    """Calls of eight threads, one after the other in any order."""
    sessions = sessions_of(small, 8)
    expected = lstm_native.Stream(sessions.packed).run(small.x[:, :1])
    got = [None] * 8

    def client(number):
        id = sessions.open()
        got[number] = np.stack([sessions.step([id], frame[:1]) for frame in small.x])
        sessions.close(id)

    threads = [threading.Thread(target=client, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for output in got:
        assert_same_bits([output], [expected])
    assert len(sessions) == 0


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork()")
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_a_fork_while_another_thread_computes(small):
    """The child goes on from the states before that call, without waiting for it."""
    sessions = sessions_of(small)
    ids = [sessions.open() for _ in range(3)]
    x = np.ascontiguousarray(small.x[:, :3])
    expected = lstm_native.Stream(sessions.packed, 3).run(x)
    computes, forked = threading.Event(), threading.Event()

    def in_the_middle(place, work):
        computes.set()
        forked.wait()

    def run():
        with hook(in_the_middle):
            sessions.run(ids, x)

    thread = threading.Thread(target=run)
    thread.start()
    computes.wait()
    child = os.fork()
    if child == 0:
        same = np.array_equal(sessions.run(ids, x), expected)
        os._exit(0 if same else 1)
    forked.set()
    thread.join()
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork()")
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_a_fork_in_the_middle_of_a_call(small):
    """As of a signal's handler: a call on one thread ends in both processes."""
    sessions = sessions_of(small, num_threads=1)
    ids = [sessions.open() for _ in range(3)]
    x = np.ascontiguousarray(small.x[:, :3])
    expected = lstm_native.Stream(sessions.packed, 3).run(np.concatenate([x, x]))
    children = []

    def fork_once(*_):
        if not children:
            children.append(os.fork())

    with hook(fork_once):
        first = sessions.run(ids, x)
    second = sessions.run(ids, x)
    same = np.array_equal(np.concatenate([first, second]), expected)
    if children == [0]:
        os._exit(0 if same else 1)
    assert same
    assert os.waitstatus_to_exitcode(os.waitpid(*children, 0)[1]) == 0
