"""`MemoryPool`: same bits, memory that is used again and can be dropped."""

import contextlib
import gc
import os
import pickle
import signal
import threading
import weakref
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

import lstm_native
from calls import assert_same_bits, call_lstm, call_vjp, flat_weight, operator_for, pack
from fresh_interpreter import ask
from lstm_native._core import testing
from native_libraries import compiled
from own_threads import processor_ticks
from public_calls import arrays, public_calls
from shapes import Shape, make_case

LARGE = Shape("large", 50, 8, 96, 128, 2, True)


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
    expected = arrays(WAYS[way](case))
    pool = lstm_native.MemoryPool()
    with pool:
        for _ in range(3):
            results = arrays(WAYS[way](case))
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
    for _ in range(25):
        sizes = (int(rng.integers(1, top + 1)) for top in (60, 40, 200, 200, 3))
        case = make_case(Shape("any", *sizes, bool(rng.integers(2))), np.float32)
        way = rng.choice(["inference", "packed", "masks", "training", "recompute"])
        expected = arrays(WAYS[way](case))
        with pool:
            results = arrays(WAYS[way](case))
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
    assert_same_bits(arrays((outputs, pullback(*outputs))), arrays(expected))


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


def test_it_holds_what_it_says(tmp_path):
    code, _, error = ask("pool_memory.py", LD_PRELOAD=str(compiled("allocations", tmp_path)))
    assert code == 0, error


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
    expected = arrays(trained(case))
    pool = lstm_native.MemoryPool()

    def work(_):
        with pool:
            for _ in range(10):
                assert_same_bits(arrays(trained(case)), expected)

    with ThreadPoolExecutor(4) as threads:
        list(threads.map(work, range(4)))


def test_its_lock_waits_for_the_thread_that_has_it():
    lock = testing.ForkAwareLock()
    assert lock.lock()
    ids: list[int] = []
    taken: list[bool] = []

    def take():
        ids.append(threading.get_native_id())
        taken.append(lock.lock())

    other = threading.Thread(target=take, daemon=True)
    other.start()
    while not ids:
        os.sched_yield()
    began = processor_ticks(ids[0])
    while processor_ticks(ids[0]) == began:  # it computes while it waits
        os.sched_yield()
    assert taken == []
    lock.unlock()
    other.join()
    assert taken == [True]


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

    # Sent by another thread: so they come at any place.
    wanted = threading.Semaphore(0)

    def send():
        for _ in range(100):
            wanted.acquire()
            os.kill(os.getpid(), signal.SIGUSR1)

    before = signal.signal(signal.SIGUSR1, interrupt)
    sender = threading.Thread(target=send)
    sender.start()
    try:
        for _ in range(100):
            try:
                wanted.release()
                while True:
                    with pool:
                        pass
            except SignalError:
                pass
    finally:
        sender.join()
        signal.signal(signal.SIGUSR1, before)
    call_lstm(case)
    assert pool.nbytes == 0


@pytest.mark.parametrize("situation", ["goes on", "while used"])
def test_a_fork(situation):
    code, _, error = ask("pool_forks.py", situation)
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
