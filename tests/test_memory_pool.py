"""`MemoryPool`: same bits, memory that is used again and can be dropped."""

import contextlib
import gc
import pickle
import signal
import threading
import weakref
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

import lstm_native
from calls import assert_same_bits, call_lstm, call_vjp, flat_weight, operator_for, pack
from fresh_interpreter import ask
from own_threads import resident_bytes
from public_calls import public_calls
from shapes import Shape, make_case

TESTS = str(Path(__file__).parent)
LARGE = Shape("large", 50, 8, 96, 128, 2, True)


def flat(results):
    """All arrays in nested tuples and lists."""
    if isinstance(results, tuple | list):
        return [array for part in results for array in flat(part)]
    return [] if results is None else [np.asarray(results)]


def trained(case, **options):
    outputs, pullback = call_vjp(case, **options)
    return outputs, pullback(*outputs)


WAYS = {
    "inference": call_lstm,
    "packed": lambda case: call_lstm(case, all_weights=pack(case)),
    "masks": lambda case: call_lstm(case, dropout=0.5, train=True, seed=1),
    "lengths": lambda case: call_lstm(case, lengths=[50, 1, 0, 20, 50, 49, 3, 3]),
    "training": lambda case: trained(case, dropout=0.5, seed=1),
    "recompute": lambda case: trained(case, recompute=True),
    "ragged training": lambda case: trained(case, lengths=[50, 1, 0, 20, 50, 49, 3, 3]),
}


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("way", WAYS)
def test_same_bits_in_used_memory(way, dtype):
    case = make_case(LARGE, dtype)
    expected = flat(WAYS[way](case))
    pool = lstm_native.MemoryPool()
    with pool:
        for _ in range(3):
            results = flat(WAYS[way](case))
            assert_same_bits(results, expected)
            for array in results:  # for the next to find, where it must not be read
                if array.flags.writeable:
                    array.fill(np.nan)


@pytest.mark.parametrize("way", WAYS)
def test_calls_alike_take_nothing_more(way):
    case = make_case(LARGE, np.float32)
    pool = lstm_native.MemoryPool()
    with pool:
        for _ in range(3):  # until it has a block for each of the sizes
            WAYS[way](case)
        held = pool.nbytes
        assert held > 2**16
        for _ in range(5):
            WAYS[way](case)
            assert pool.nbytes == held


def test_every_public_call_runs_in_a_pool():
    calls = public_calls(threads=2).by_name
    with lstm_native.MemoryPool():
        for call in calls.values():
            call()
            call()


@pytest.mark.filterwarnings("ignore:dropout")
def test_any_sequence_of_calls():
    rng = np.random.default_rng(3)
    pool = lstm_native.MemoryPool()
    for _ in range(60):
        sizes = (int(rng.integers(1, top + 1)) for top in (60, 40, 200, 200, 3))
        case = make_case(Shape("any", *sizes, bool(rng.integers(2))), np.float32)
        way = rng.choice(["inference", "packed", "masks", "training", "recompute"])
        expected = flat(WAYS[way](case))
        with pool:
            results = flat(WAYS[way](case))
        assert_same_bits(results, expected)
        for array in results:
            array.fill(np.nan)


def test_memory_that_results_use_is_not_at_rest():
    case = make_case(LARGE, np.float32)
    pool = lstm_native.MemoryPool()
    with pool:
        output, *_ = call_lstm(case)
        working = pool.nbytes
        kept = output.copy()
        part = output[3:5]  # a view, which keeps all of it
        del output
        call_lstm(case)
        assert_same_bits([part], [kept[3:5]])
        del part
        assert pool.nbytes >= working + kept.nbytes


def test_working_memory_is_what_explain_says():
    case = make_case(LARGE, np.float32)
    packed = pack(case)
    about = lstm_native.explain(case.x, (case.h0, case.c0), packed, 2, 0.0, False, True)
    pool = lstm_native.MemoryPool()
    with pool:
        results = call_lstm(case, all_weights=packed)
        assert pool.nbytes == about.workspace_bytes
    del results


def test_results_outlive_the_pool():
    case = make_case(LARGE, np.float32)
    expected = trained(case)
    pool = lstm_native.MemoryPool()
    with pool:
        outputs, pullback = call_vjp(case)
    del pool
    gc.collect()
    call_lstm(case)
    assert_same_bits(flat((outputs, pullback(*outputs))), flat(expected))


def test_the_reserve_of_an_operator_comes_from_it():
    case = make_case(LARGE, np.float32)
    net, weight = operator_for(case), flat_weight(case)
    pool = lstm_native.MemoryPool()
    with pool:
        results = net(case.x, case.h0, case.c0, weight)
        before = pool.nbytes
        reserve = results[3]
        size = reserve.nbytes
        del results
        between = pool.nbytes
        del reserve
        assert pool.nbytes - between == size
        assert between > before


def test_small_results_that_are_kept_hold_no_large_blocks():
    # Working memory of 8 MB beside outputs of 0.1 MB.
    case = make_case(Shape("wide", 50, 1, 64, 512), np.float32)
    pool = lstm_native.MemoryPool()
    with pool:
        outputs = [call_lstm(case)[0] for _ in range(10)]
        held = pool.nbytes
        before = resident_bytes()
        outputs += [call_lstm(case)[0] for _ in range(10)]
        assert pool.nbytes == held
        assert resident_bytes() - before < 20 * outputs[0].nbytes


def test_a_stream_has_memory_of_its_own():
    case = make_case(Shape("stream", 200, 4, 64, 512), np.float32)
    packed = pack(case)
    pool = lstm_native.MemoryPool()
    with pool:
        call_lstm(case)
        held = pool.nbytes
        stream = lstm_native.Stream(packed, 4)
        stream.run(case.x)
        assert pool.nbytes == held


def test_blocks_of_growing_sizes_are_replaced():
    # Each call has one block of working memory and one of output.
    pool = lstm_native.MemoryPool()
    largest = 0
    with pool:
        for steps in range(20, 400, 20):
            case = make_case(Shape("growing", steps, 16, 32, 64), np.float32)
            about = lstm_native.explain(
                seq_len=steps, batch=16, input_size=32, hidden_size=64, packed=False
            )
            call_lstm(case)
            largest = max(largest, about.workspace_bytes, 4 * steps * 16 * 64)
            assert pool.nbytes <= 2 * largest


def test_clear_gives_memory_back_to_the_system():
    case = make_case(Shape("wide", 40, 64, 512, 512), np.float32)
    pool = lstm_native.MemoryPool()
    with pool:
        call_lstm(case)
        held = pool.nbytes
        assert held > 10e6
        before = resident_bytes()
        pool.clear()
        assert pool.nbytes == 0
        assert before - resident_bytes() > 0.8 * held


def test_pools_nest_and_repeat():
    case = make_case(LARGE, np.float32)
    outer, inner = lstm_native.MemoryPool(), lstm_native.MemoryPool()
    with outer:
        with inner, inner:
            call_lstm(case)
        assert outer.nbytes == 0
        assert inner.nbytes > 0
        held = inner.nbytes
        call_lstm(case)
        assert inner.nbytes == held
        assert outer.nbytes == held
    call_lstm(case)
    assert outer.nbytes == held


def test_is_left_after_an_error():
    pool = lstm_native.MemoryPool()
    with pytest.raises(TypeError), pool:
        lstm_native.lstm()
    call_lstm(make_case(LARGE, np.float32))
    assert pool.nbytes == 0


def test_belongs_to_the_thread_that_entered():
    case = make_case(LARGE, np.float32)
    pool = lstm_native.MemoryPool()
    seen = []

    def other():
        call_lstm(case)
        seen.append(pool.nbytes)
        try:
            pool.__exit__(None, None, None)
        except RuntimeError as error:
            seen.append(str(error))

    with pool:
        thread = threading.Thread(target=other)
        thread.start()
        thread.join()
    assert seen == [0, "MemoryPool: left by a thread that had not entered it"]


def test_many_threads_in_one_pool():
    case = make_case(LARGE, np.float32)
    expected = flat(trained(case))
    pool = lstm_native.MemoryPool()

    def work(_):
        with pool:
            for _ in range(10):
                assert_same_bits(flat(trained(case)), expected)

    with ThreadPoolExecutor(4) as threads:
        list(threads.map(work, range(4)))


def test_a_thread_that_ends_inside():
    case = make_case(LARGE, np.float32)
    pool = lstm_native.MemoryPool()

    def work(entered):
        entered.__enter__()
        call_lstm(case)

    thread = threading.Thread(target=work, args=(pool,))
    thread.start()
    thread.join()
    del thread
    assert pool.nbytes > 0
    alive = weakref.ref(pool)
    del pool
    assert alive() is None


def test_pools_left_in_another_order():
    case = make_case(LARGE, np.float32)
    first, second = lstm_native.MemoryPool(), lstm_native.MemoryPool()
    first.__enter__()
    second.__enter__()
    first.__exit__(None, None, None)
    call_lstm(case)
    second.__exit__(None, None, None)
    call_lstm(case)
    assert first.nbytes == 0
    assert second.nbytes > 0


def test_a_suspended_generator_leaves_its_thread_inside():
    case = make_case(LARGE, np.float32)
    pool = lstm_native.MemoryPool()

    def generator():
        with pool:
            yield

    suspended = generator()
    next(suspended)
    call_lstm(case)
    held = pool.nbytes
    assert held > 0
    suspended.close()
    pool.clear()
    call_lstm(case)
    assert pool.nbytes == 0


def test_a_signal_never_leaves_the_thread_inside():
    case = make_case(LARGE, np.float32)
    pool = lstm_native.MemoryPool()

    class SignalError(Exception):
        pass

    def interrupt(*_):
        raise SignalError

    before = signal.signal(signal.SIGALRM, interrupt)
    try:
        for _ in range(300):
            try:
                signal.setitimer(signal.ITIMER_REAL, 0.0005)
                while True:
                    with pool:
                        pass
            except SignalError:
                pass
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0.0)
        signal.signal(signal.SIGALRM, before)
    call_lstm(case)
    assert pool.nbytes == 0


FORKS = f"""if True:
    import os, sys, threading, warnings
    warnings.simplefilter("ignore", DeprecationWarning)  # Python's own, of forks beside threads
    sys.path.insert(0, {TESTS!r})
    import numpy as np, lstm_native
    from calls import assert_same_bits, call_lstm
    from shapes import Shape, make_case
    case = make_case(Shape("forked", 50, 8, 96, 128, 2, True), np.float32)
    short = make_case(Shape("short", 2, 512, 8, 16), np.float32)
    pool = lstm_native.MemoryPool()
    def in_a_child(work):
        child = os.fork()
        if child == 0:
            try:
                work()
                os._exit(0)
            finally:
                os._exit(2)
        return os.waitpid(child, 0)[1]
"""

GOES_ON = """
    expected = call_lstm(case)
    with pool:
        call_lstm(case)
        held = pool.nbytes
        def work():
            assert_same_bits(call_lstm(case), expected)
            assert pool.nbytes == held
        assert in_a_child(work) == 0
        assert_same_bits(call_lstm(case), expected)
"""

WHILE_USED = """
    done = threading.Event()
    def use():
        with pool:
            while not done.is_set():
                call_lstm(short, num_threads=1)
    def work():
        with pool:
            call_lstm(short, num_threads=1)
    thread = threading.Thread(target=use)
    thread.start()
    try:
        for _ in range(50):
            assert in_a_child(work) == 0
    finally:
        done.set()
        thread.join()
"""


@pytest.mark.parametrize("program", [GOES_ON, WHILE_USED], ids=["goes on", "while used"])
def test_a_fork(program):
    code, _, error = ask(FORKS + program)
    assert code == 0, error


def test_sizes_beyond_any_memory():
    case = make_case(Shape("long", 1, 1, 4, 64), np.float32)
    steps = np.broadcast_to(case.x, (2**40, 1, 4))
    pool = lstm_native.MemoryPool()
    with pool, pytest.raises(MemoryError):
        call_lstm(case, input=steps)
    assert pool.nbytes == 0


def test_sizes_beyond_counting():
    states = (np.empty((1, 0, 64), np.float32),) * 2
    weights = [np.zeros(shape, np.float32) for shape in ((256, 4), (256, 64), 256, 256)]
    steps = np.empty((2**57, 0, 4), np.float32)
    for pool in (contextlib.nullcontext(), lstm_native.MemoryPool()):
        with pool, pytest.raises(MemoryError, match="output"):
            lstm_native.lstm(steps, states, weights, 1, 0.0, False, False, lengths=[])


def test_is_not_pickled():
    with pytest.raises(TypeError):
        pickle.dumps(lstm_native.MemoryPool())
