"""Sessions: each has the bits of a stream of its own, whatever the others do."""

import os
import pickle
import threading

import numpy as np
import pytest

import lstm_native
from calls import assert_same_bits, pack
from cancellation import CancelledError, cancel_at, hook
from shapes import Shape, make_case

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


def wrong_calls(case, sessions, ids):
    first, second, closed = ids
    x = np.ascontiguousarray(case.x[0, :2])
    step = sessions.step
    h, c = sessions.state(first)
    data = sessions.dump(first)
    other = sessions_of(make_case(SMALL, np.float64))
    foreign = other.dump(other.open())
    not_open = "expected an open session, got"
    return [
        (ValueError, f"ids: {not_open} {closed}", lambda: step([first, closed], x)),
        (ValueError, f"ids: {not_open} 999", lambda: step([999, first], x)),
        (ValueError, f"ids: {not_open} -1", lambda: step([first, -1], x)),
        (ValueError, f"got {first} twice", lambda: step([first, first], x)),
        (ValueError, r"x: .*len\(ids\), input_size", lambda: step([first], x)),
        (ValueError, r"x: .*seq_len", lambda: sessions.run([first, second], x)),
        (ValueError, "x: expected a seq_len of at least 1",
         lambda: sessions.run([first, second], x[None][:0])),
        (TypeError, "x: expected dtype float32", lambda: step([first, second], x.astype(float))),
        (TypeError, "ids: expected ints, got dtype float64", lambda: step([0.0, 1.0], x)),
        (TypeError, "ids: expected a sequence of ints", lambda: step(first, x)),
        (ValueError, f"id: {not_open} {closed}", lambda: sessions.close(closed)),
        (ValueError, f"id: {not_open} {closed}", lambda: sessions.state(closed)),
        (ValueError, f"id: {not_open} {closed}", lambda: sessions.reset(closed)),
        (ValueError, f"id: {not_open} {closed}", lambda: sessions.set_state(closed, (h, c))),
        (TypeError, "id: expected an int of at least 0", lambda: sessions.reset("a")),
        (ValueError, r"state\[0\] \(h\): .*num_layers, hidden_size",
         lambda: sessions.set_state(first, (h[:1], c))),
        (TypeError, r"state\[1\] \(c\): expected dtype float32",
         lambda: sessions.set_state(first, (h, c.astype(float)))),
        (ValueError, "state: expected a tuple of two arrays",
         lambda: sessions.set_state(first, (h,))),
        (TypeError, "data: expected bytes, got str", lambda: sessions.load(first, "state")),
        (ValueError, "data: expected .* got 3 byte", lambda: sessions.load(first, b"abc")),
        (ValueError, "data: expected", lambda: sessions.load(first, data[:-1])),
        (ValueError, "data: expected .* float32 .* got .*'f8'",
         lambda: sessions.load(first, foreign)),
        (TypeError, "can't be pickled", lambda: pickle.dumps(sessions)),
    ]  # fmt: skip


def test_a_wrong_call_changes_no_state(small):
    sessions = sessions_of(small)
    ids = [sessions.open() for _ in range(3)]
    sessions.run(ids, np.ascontiguousarray(small.x[:, :3]))
    sessions.close(ids[2])
    before = whole_state(sessions)
    for error, text, wrong in wrong_calls(small, sessions, ids):
        with pytest.raises(error, match=text):
            wrong()
    for was, now in zip(before, whole_state(sessions), strict=True):
        assert_same_bits(was, now)


@pytest.mark.parametrize(
    ("given", "error", "text"),
    [
        ({"packed": "weights"}, TypeError, "packed: expected PackedWeights"),
        ({"capacity": 0}, ValueError, "capacity"),
        ({"capacity": 2.0}, TypeError, "capacity"),
        ({"num_threads": 0}, ValueError, "num_threads"),
        ({"cell": "standard"}, TypeError, "cell"),
    ],
)
def test_wrong_constructors(given, error, text, small):
    with pytest.raises(error, match=text):
        lstm_native.Sessions(**{"packed": pack(small), "capacity": 2, **given})


def test_both_directions_are_refused():
    case = make_case(Shape("both", 2, 1, 3, 4, 1, True), np.float32)
    with pytest.raises(ValueError, match="bidirectional=False"):
        sessions_of(case)


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
