"""Stacks run step by step: the same bits as the whole sequence at once, and nothing in the way."""

import contextlib
import copy
import itertools
import pickle
import platform
import re
import threading
import tracemalloc

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import lstm_native
from array_kinds import LAYOUTS, OFFERS, Subclass
from calls import DTYPES, THREADS, assert_same_bits, call_lstm, call_reference, pack
from few_and_all import few_of
from fresh_interpreter import ask
from native_libraries import compiled
from shapes import Shape, make_case
from tolerances import assert_close

# What streams compute in, and what matrices are stored in where that is not the same.
KINDS = ((np.float32, None), (np.float32, "float16"), (np.float32, "bfloat16"), (np.float64, None))
# A single unit; rests beside vectors of 4, 8 and 16; units enough for several threads.
SHAPES = [
    Shape(f"L{layers}_N{batch}_H{hidden}", 9, batch, 5, hidden, layers)
    for layers, batch, hidden in itertools.product((1, 2, 3), (1, 2, 7), (1, 13, 33))
]
SHAPES.append(Shape("wide", 6, 1, 40, 264, 2, reason="each step's units on several threads"))
SHAPES.append(Shape("batch_40", 6, 40, 20, 72, reason="each step's rows on several threads"))

every_kind = pytest.mark.parametrize(("dtype", "stored"), KINDS)
FEW = ("L1_N2_H1", "L2_N7_H13", "L3_N1_H33", "wide", "batch_40")
every_shape = few_of(
    "shape", SHAPES, [s for s in SHAPES if s.name in FEW], ids=lambda shape: shape.name
)


def from_zeros(case):
    """The case with the states that a stream begins with."""
    zeros = np.zeros_like(case.h0)
    return {"initial_states": (zeros, zeros)}


def stream_of(case, stored=None, **options):
    return lstm_native.Stream(pack(case, weight_dtype=stored), case.shape.batch, **options)


def make(dtype=np.float32, **options):
    shape = Shape("small", 6, 3, 5, 13, 2)
    case = make_case(shape, dtype, seed=4)
    return case, stream_of(case, **options)


# --- results ----------------------------------------------------------------------------------


@every_kind
@every_shape
def test_steps_give_the_bits_of_the_whole_sequence(shape, dtype, stored):
    case = make_case(shape, dtype, seed=1)
    stream = stream_of(case, stored)
    expected = call_lstm(case, all_weights=stream.packed, **from_zeros(case))
    steps = [stream.step(x) for x in case.x]
    assert_same_bits([np.stack(steps), *stream.state], expected)


@every_kind
@every_shape
def test_runs_give_the_bits_of_the_whole_sequence(shape, dtype, stored):
    case = make_case(shape, dtype, seed=1)
    packed = pack(case, weight_dtype=stored)
    expected = call_lstm(case, all_weights=packed, **from_zeros(case))
    for chunks in ([len(case.x)], [1, 2, 3], [2, 1, 2, 1], [3, 3], [5, 1]):
        stream = lstm_native.Stream(packed, shape.batch)
        cuts = np.cumsum(chunks)[:-1]
        outputs = [stream.run(x) for x in np.split(case.x, cuts) if len(x)]
        assert_same_bits([np.concatenate(outputs), *stream.state], expected)


def test_values():
    # Not by way of `lstm`, which could be wrong in the same way.
    case = make_case(Shape("values", 20, 2, 6, 11, 2), np.float32, seed=2)
    stream = stream_of(case)
    stream.state = case.h0, case.c0
    expected = call_reference(case)
    assert_close([stream.step(x) for x in case.x], expected.output, "value")
    for ours, theirs in zip(stream.state, (expected.h_n, expected.c_n), strict=True):
        assert_close(ours, theirs, "value")


@given(
    st.integers(1, 40),
    st.integers(1, 40),
    st.integers(1, 3),
    st.integers(1, 9),
    st.lists(st.integers(0, 6), min_size=1, max_size=6),
    st.sampled_from(KINDS),
    st.sampled_from(THREADS),
    st.integers(0, 2**32 - 1),
)
def test_any_mixture_of_steps_and_runs(inputs, hidden, layers, batch, plan, kind, threads, seed):
    # plan: 0 is a step; any other number is the length of a run.
    dtype, stored = kind
    shape = Shape("random", sum(max(steps, 1) for steps in plan), batch, inputs, hidden, layers)
    case = make_case(shape, dtype, seed)
    packed = pack(case, weight_dtype=stored)
    stream = lstm_native.Stream(packed, batch, num_threads=threads)
    stream.state = case.h0, case.c0
    done, outputs = 0, []
    for steps in plan:
        x = case.x[done : done + max(steps, 1)]
        outputs.append(stream.run(x) if steps else stream.step(x[0])[None])
        done += len(x)
    expected = call_lstm(case, all_weights=packed, num_threads=1)
    assert_same_bits([np.concatenate(outputs), *stream.state], expected)


@every_shape
def test_same_bits_for_any_number_of_threads(shape):
    case = make_case(shape, np.float32, seed=3)
    packed = pack(case)
    streams = [lstm_native.Stream(packed, shape.batch, num_threads=n) for n in THREADS]
    for x in case.x:
        first, *others = [stream.step(x) for stream in streams]
        for got in others:
            assert_same_bits([got], [first])
    first, *others = [stream.run(case.x) for stream in streams]
    for got in others:
        assert_same_bits([got], [first])


def test_streams_that_share_weights_do_not_meet():
    case = make_case(Shape("shared", 50, 2, 8, 40, 2), np.float32)
    packed = pack(case)
    expected = call_lstm(case, all_weights=packed, **from_zeros(case))[0]
    results = {}

    def advance(name):
        stream = lstm_native.Stream(packed, 2, num_threads=2)
        results[name] = np.stack([stream.step(x) for x in case.x])

    threads = [threading.Thread(target=advance, args=(name,)) for name in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(results) == list(range(8))
    for got in results.values():
        assert_same_bits([got], [expected])


def test_a_stream_keeps_its_weights():
    case, stream = make()
    expected = stream.run(case.x)
    assert_same_bits(
        [lstm_native.Stream(pack(case), 3).run(case.x)],  # the only reference to these weights
        [expected],
    )


# --- state ------------------------------------------------------------------------------------


@every_kind
def test_begins_with_zeros_and_is_reset_to_them(dtype, stored):
    case, stream = make(dtype, stored=stored)
    zeros = np.zeros((2, 3, 13), dtype)
    assert_same_bits(stream.state, (zeros, zeros))
    first = stream.run(case.x)
    assert all(array.any() for array in stream.state)
    assert stream.reset() is None
    assert_same_bits(stream.state, (zeros, zeros))
    assert_same_bits([stream.run(case.x)], [first])


@pytest.mark.parametrize("before", [0, 1, 2, 3])
def test_state_can_be_taken_and_given_back(before):
    # After an odd and an even number of calls: a stream keeps its state in two places in turn.
    case, stream = make()
    for x in case.x[:before]:
        stream.step(x)
    kept = stream.state
    first = stream.run(case.x)
    after = stream.state
    stream.state = kept
    assert_same_bits(stream.state, kept)
    assert_same_bits([stream.run(case.x)], [first])
    assert_same_bits(stream.state, after)
    twin = lstm_native.Stream(stream.packed, 3)
    twin.state = list(kept)
    assert_same_bits([twin.run(case.x)], [first])


def test_one_sequence_begins_anew_and_the_others_go_on():
    case, stream = make()
    expected = stream.run(case.x)
    stream.reset()
    stream.run(case.x[:2])
    h, c = stream.state
    h[:, 1] = c[:, 1] = 0
    stream.state = h, c
    again = np.concatenate([case.x[2:3, :1], case.x[:1, 1:2], case.x[2:3, 2:]], axis=1)
    (got,) = stream.run(again)
    assert_same_bits([got[[0, 2]], got[1]], [expected[2, [0, 2]], expected[0, 1]])


def test_goes_on_with_new_weights_from_the_old_state():
    case, stream = make()
    stream.run(case.x[:2])
    state = stream.state
    weights = [weight * np.float32(0.9) for weight in case.all_weights]
    packed = lstm_native.pack_weights(weights, 2, False)
    stream = lstm_native.Stream(packed, 3, initial_states=stream.state)
    output, h_n, c_n = lstm_native.lstm(case.x[2:], state, packed)
    assert_same_bits([stream.run(case.x[2:])], [output])
    assert_same_bits(stream.state, (h_n, c_n))


def test_initial_states():
    case, stream = make()
    given = (case.h0.copy(), case.c0.copy())
    other = stream_of(case, initial_states=given)
    given[0].fill(0.0)  # which the stream has copied
    stream.state = (case.h0, case.c0)
    assert_same_bits(other.run(case.x), stream.run(case.x))
    assert_same_bits(stream_of(case, initial_states=None).state, np.zeros_like((case.h0, case.c0)))


def test_state_is_copied_both_ways():
    case, stream = make()
    stream.step(case.x[0])
    kept = stream.state
    originals = [array.copy() for array in kept]
    stream.step(case.x[1])
    assert_same_bits(kept, originals)  # no view of what the stream goes on with
    stream.state = kept
    expected = stream.run(case.x)
    stream.state = kept
    for array in (*kept, *stream.state):
        array[...] = np.nan
    assert_same_bits(stream.state, originals)
    assert_same_bits([stream.run(case.x)], [expected])


def test_state_of_any_layout():
    case, stream = make()
    stream.state = case.h0, case.c0
    expected = stream.run(case.x)
    for layout in LAYOUTS.values():
        stream.state = layout(case.h0), layout(case.c0)
        assert_same_bits(stream.state, (case.h0, case.c0))
        assert_same_bits([stream.run(case.x)], [expected])


def test_what_was_refused_changes_no_state():
    case, stream = make()
    stream.step(case.x[0])
    kept = stream.state
    wrong_calls = [
        lambda: stream.step(case.x[0, :2]),
        lambda: stream.run(case.x[:0]),
        lambda: stream.run(case.x, out=np.empty((6, 3, 12), np.float32)),
        lambda: setattr(stream, "state", (case.h0, case.c0[:1])),
        lambda: setattr(stream, "state", case.h0),
    ]
    for wrong in wrong_calls:
        with pytest.raises((TypeError, ValueError)):
            wrong()
        assert_same_bits(stream.state, kept)


# --- arrays -----------------------------------------------------------------------------------


@every_kind
def test_out_is_written_to_and_returned(dtype, stored):
    case, stream = make(dtype, stored=stored)
    expected = [stream.step(x) for x in case.x]
    stream.reset()
    for x, theirs in zip(case.x, expected, strict=True):
        out = np.full((3, 13), np.nan, dtype)
        assert stream.step(x, out=out) is out
        assert_same_bits([out], [theirs])
    stream.reset()
    out = np.full((6, 3, 13), np.nan, dtype)
    assert stream.run(case.x, out=out) is out
    assert_same_bits([out], [np.stack(expected)])


def test_results_are_new_arrays():
    case, stream = make()
    first = stream.step(case.x[0])
    kept = first.copy()
    second = stream.step(case.x[1])
    assert not np.shares_memory(first, second)
    assert_same_bits([first], [kept])
    assert first.flags.owndata
    assert first.flags.writeable


def test_out_may_be_part_of_an_array():
    case, stream = make()
    expected = stream.run(case.x)
    stream.reset()
    whole = np.full((8, 3, 13), np.nan, np.float32)
    for x, out in zip(case.x, whole[1:], strict=False):
        assert stream.step(x, out=out) is out
    assert_same_bits([whole[1:7]], [expected])
    assert np.isnan(whole[[0, 7]]).all()


def test_out_may_be_of_a_subclass(tmp_path):
    # Such as a file in memory: only the addresses of its elements count.
    case, stream = make()
    expected = stream.run(case.x)
    mapped = np.memmap(tmp_path / "out.bin", np.float32, "w+", shape=expected.shape)
    for out in (mapped, np.empty_like(expected).view(Subclass)):
        stream.reset()
        assert stream.run(case.x, out=out) is out
        assert_same_bits([out.view(np.ndarray)], [expected])


def overlapping(batch=3, inputs=5, hidden=13):
    """Inputs beside results in one memory, each with x first and with out first."""
    room = np.zeros(batch * (inputs + hidden), np.float32)

    def at(start, width):
        return room[start : start + batch * width].reshape(batch, width)

    yield at(0, inputs), at(0, hidden)
    yield at(0, inputs), at(batch * inputs - 1, hidden)
    yield at(1, inputs), at(0, hidden)
    yield at(batch * hidden - 1, inputs), at(0, hidden)
    # Side by side is no overlap.
    yield at(0, inputs), at(batch * inputs, hidden)
    yield at(batch * hidden, inputs), at(0, hidden)


def test_out_may_not_overlap_x():
    case, stream = make()
    expected = stream.step(case.x[0])
    *refused, before, after = overlapping()
    for x, out in refused:
        with pytest.raises(ValueError, match="out: expected memory apart from x's"):
            stream.step(x, out=out)
    for x, out in (before, after):
        stream.reset()
        x[...] = case.x[0]
        assert_same_bits([stream.step(x, out=out)], [expected])


def small_out(**changes):
    """An `out` for a step of the small case, or one that is wrong somewhere."""
    return np.empty(**{"shape": (3, 13), "dtype": np.float32, **changes})


def read_only_out():
    out = small_out()
    out.flags.writeable = False
    return out


IN_ORDER = "out: expected an aligned array in C order, got strides"
READ_ONLY = "out: expected an array that can be written to, got a read-only one"
BATCH_UNITS = "out: expected shape (batch, hidden_size) = (3, 13), got"


@pytest.mark.parametrize(
    ("out", "exception", "message"),
    [
        (small_out(dtype=np.float64), TypeError, "out: expected dtype float32, the same as x, got"),
        (small_out(dtype=">f4"), TypeError, "out: expected dtype float32, the same as x, got >f4"),
        (small_out(dtype=np.int32), TypeError, "out: expected dtype float32, the same as x, got"),
        (small_out(shape=(3, 12)), ValueError, f"{BATCH_UNITS} (3, 12)"),
        (small_out(shape=(2, 13)), ValueError, f"{BATCH_UNITS} (2, 13)"),
        (small_out(shape=(1, 3, 13)), ValueError, f"{BATCH_UNITS} (1, 3, 13)"),
        (small_out(shape=39), ValueError, f"{BATCH_UNITS} (39,)"),
        (small_out(order="F"), ValueError, IN_ORDER),
        (small_out(shape=(3, 26))[:, ::2], ValueError, IN_ORDER),
        (small_out(shape=(3, 14))[:, :13], ValueError, IN_ORDER),
        (np.empty(160, np.uint8)[1:157].view(np.float32).reshape(3, 13), ValueError, IN_ORDER),
        (read_only_out(), ValueError, READ_ONLY),
        ([[0.0] * 13] * 3, TypeError, "out: expected a numpy.ndarray, got list"),
        (memoryview(small_out()), TypeError, "out: expected a numpy.ndarray, got memoryview"),
        (True, TypeError, "out: expected a numpy.ndarray, got bool True"),
    ],
)
def test_out_that_cannot_be_written_to(out, exception, message):
    case, stream = make()
    with pytest.raises(exception, match=f"^{re.escape(message)}"):
        stream.step(case.x[0], out=out)
    assert not any(array.any() for array in stream.state)


@few_of("dtype", DTYPES, [np.float32])
@pytest.mark.parametrize("offer", [*LAYOUTS, *OFFERS])
def test_x_of_any_kind(offer, dtype):
    case, stream = make(dtype)
    expected = stream.run(case.x)
    change = {**LAYOUTS, **OFFERS}[offer]
    out = np.empty_like(expected)
    stream.reset()
    assert_same_bits([stream.run(change(case.x))], [expected])
    stream.reset()
    assert stream.run(change(case.x), out=out) is out
    assert_same_bits([out], [expected])
    stream.reset()
    for x, theirs in zip(case.x, expected, strict=True):
        kept = x.copy()
        assert_same_bits([stream.step(change(x))], [theirs])
        assert_same_bits([x], [kept])


def test_nested_lists_count_as_float64():
    case, stream = make(np.float64)
    expected = stream.run(case.x)
    stream.reset()
    assert_same_bits([stream.run(case.x.tolist())], [expected])


# --- the object -------------------------------------------------------------------------------


def test_attributes():
    _, stream = make()
    assert stream.batch == 3
    assert stream.packed.hidden_size == 13
    assert repr(stream) == f"Stream({stream.packed!r}, batch=3)"
    assert lstm_native.Stream(stream.packed).batch == 1
    for name in ("packed", "batch", "nbytes", "anything"):
        with pytest.raises(AttributeError):
            setattr(stream, name, 1)


def test_num_threads_is_that_of_the_process_unless_told():
    case, _ = make()
    lstm_native.set_num_threads(2)
    expected = stream_of(case).run(case.x)
    assert_same_bits([stream_of(case, num_threads=1).run(case.x)], [expected])


def test_a_reverse_direction_is_refused_by_name_with_the_reason():
    packed = pack(make_case(Shape("bi", 2, 1, 3, 4, bidirectional=True)))
    with pytest.raises(ValueError) as caught:  # noqa: PT011
        lstm_native.Stream(packed)
    assert str(caught.value) == (
        "packed: expected weights with bidirectional=False, because a reverse direction begins "
        "with the end of a sequence, which a stream has not seen; got bidirectional=True"
    )


@pytest.mark.parametrize("duplicate", [pickle.dumps, copy.copy, copy.deepcopy])
def test_pickling_and_copying_are_refused_with_what_to_do_instead(duplicate):
    case, stream = make()
    stream.step(case.x[0])
    with pytest.raises(TypeError, match="can't be pickled or copied; pickle its packed and its st"):
        duplicate(stream)
    twin = lstm_native.Stream(pickle.loads(pickle.dumps(stream.packed)), stream.batch)
    twin.state = pickle.loads(pickle.dumps(stream.state))
    assert_same_bits([twin.run(case.x)], [stream.run(case.x)])


@every_kind
def test_nbytes(dtype, stored):
    case, stream = make(dtype, stored=stored)
    state = case.h0.nbytes
    # Two hidden and two cell states: each call reads one of each and writes the other.
    of_steps = stream.nbytes
    plan = {"batch": 3, "input_size": 5, "hidden_size": 13, "num_layers": 2}
    plan.update(dtype=np.dtype(dtype).name, weight_dtype=stored)
    workspace = lstm_native.explain(seq_len=1, **plan).workspace_bytes
    assert of_steps == 4 * state + workspace
    stream.step(case.x[0])
    assert stream.nbytes == of_steps
    stream.run(case.x[:1])  # as a step
    assert stream.nbytes == of_steps
    for steps in (6, 2, 6):  # that of the last run takes the place of the one before
        stream.run(case.x[:steps])
        more = lstm_native.explain(seq_len=steps, **plan).workspace_bytes
        assert stream.nbytes == of_steps + more
    stream.step(case.x[0])
    assert stream.nbytes == of_steps + more


# --- two threads in one -----------------------------------------------------------------------


def test_two_threads_in_one_stream_are_told_apart():
    # One makes a long run, the other tries everything else meanwhile. Whoever is refused has
    # changed nothing, and the run's results are those of a lone one.
    case = make_case(Shape("long", 3000, 8, 64, 128, 2), np.float32)
    packed = pack(case)
    lone = lstm_native.Stream(packed, 8, num_threads=1)
    expected = lone.run(case.x)
    stream = lstm_native.Stream(packed, 8, num_threads=1)
    stream.run(case.x[:2])
    stream.reset()
    attempts = {
        "step": lambda: stream.step(case.x[0]),
        "run": lambda: stream.run(case.x[:3]),
        "state": lambda: stream.state,
        "set state": lambda: setattr(stream, "state", (case.h0, case.c0)),
        "reset": stream.reset,
    }
    refused = {}
    results = []

    def run_long():
        while not results:  # it may meet a question for the state
            with contextlib.suppress(RuntimeError):
                results.append(stream.run(case.x))

    runner = threading.Thread(target=run_long)
    runner.start()
    # The runner may not have begun: what may change a stream waits for a first refusal.
    while runner.is_alive() and "state" not in refused:
        refused.update(refusal_of(attempts, "state"))
    for name in attempts:
        if runner.is_alive():
            refused.update(refusal_of(attempts, name))
    runner.join(60)
    assert set(refused) == set(attempts), "the run was over too early"
    for error in refused.values():
        assert str(error) == "this Stream is in use by another thread; make one per thread"
    assert_same_bits(results, [expected])
    assert_same_bits(stream.state, lone.state)
    assert_same_bits([stream.step(case.x[0])], [lone.step(case.x[0])])  # it is free again


def refusal_of(attempts, name):
    try:
        attempts[name]()
    except RuntimeError as error:
        return {name: error}
    return {}


def test_threads_that_take_turns_never_corrupt_a_stream():
    # Refused or done: the steps that were done are those of one sequence in some order. All inputs
    # are the same, so the order shows nowhere.
    case = make_case(Shape("turns", 1, 4, 16, 48, 2), np.float32)
    stream = stream_of(case)
    done, refused = [], []

    def advance():
        for _ in range(300):
            try:
                stream.step(case.x[0])
                done.append(None)
            except RuntimeError:
                refused.append(None)

    threads = [threading.Thread(target=advance) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(done) + len(refused) == 1200
    alone = lstm_native.Stream(stream.packed, 4)
    for _ in done:
        alone.step(case.x[0])
    assert_same_bits(stream.state, alone.state)


# --- memory -----------------------------------------------------------------------------------


def test_steps_leave_no_python_objects_behind():
    case, stream = make()
    out, outs = np.empty((3, 13), np.float32), np.empty((6, 3, 13), np.float32)

    def work():
        for _ in range(100):
            for x in case.x:
                stream.step(x, out=out)
            stream.run(case.x, out=outs)

    work()
    tracemalloc.start()
    try:
        work()
        before, _ = tracemalloc.get_traced_memory()
        tracemalloc.reset_peak()
        for _ in range(20):
            work()
        after, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    # A few small objects of the interpreter (a frame, an iterator), not one per step.
    assert after - before < 2000
    assert peak - before < 20000


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="asks glibc's malloc")
def test_steps_leave_the_heap_as_it_was():
    version = tuple(int(part) for part in platform.libc_ver()[1].split("."))
    if version < (2, 33):
        pytest.skip("glibc before 2.33 has no mallinfo2")
    code, output, error = ask("stream_heap.py", "heap")
    assert code == 0, error
    assert output.splitlines() == ["True 0 0 0 0"] * 3


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="stands in for glibc's malloc")
def test_steps_do_not_call_malloc(tmp_path):
    # Memory that is taken and given back at once leaves no trace in the heap's sizes.
    library = str(compiled("malloc_calls", tmp_path))
    code, output, error = ask("stream_heap.py", "calls", LD_PRELOAD=library)
    assert code == 0, error
    assert output.splitlines() == ["True 0"] * 3
    # That it counts at all: a step without `out=` makes an array.
    code, output, error = ask("stream_heap.py", "calls", "results", LD_PRELOAD=library)
    assert code == 0, error
    assert output.count("False") == 3
