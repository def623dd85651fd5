"""Many Python threads at once get the bits that each would get by itself."""

import itertools
import json
import sys
import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

import lstm_native
from calls import (
    assert_same_bits,
    call_lstm,
    call_vjp,
    flat_weight,
    gradient_arguments,
    gradient_for,
    operator_for,
    pack,
)
from fresh_interpreter import HAS_GIL, ask
from shapes import Shape, make_case

CALLERS = 6
ROUNDS = 8
SHAPES = [
    Shape("units", 12, 1, 24, 264),
    Shape("rows", 12, 40, 24, 40),
    Shape("both", 12, 9, 24, 72, 2, True),
    Shape("wavefront", 40, 1, 32, 32, 4),
]


@pytest.fixture(autouse=True)
def _quick_switches():
    """Threads take turns as often as they can."""
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    yield
    sys.setswitchinterval(interval)


def at_once(work, callers=CALLERS):
    """The results of work(k) in that many threads, which begin together."""
    gate = threading.Barrier(callers)

    def begin(k):
        gate.wait()
        return [work(k) for _ in range(ROUNDS)]

    with ThreadPoolExecutor(callers) as pool:
        return list(pool.map(begin, range(callers)))


def flattened(results):
    outputs, gradients = results
    d_input, d_states, d_weights = gradients
    return (*outputs, d_input, *d_states, *d_weights)


@pytest.mark.parametrize("shape", SHAPES, ids=lambda shape: shape.name)
@pytest.mark.parametrize("shared", [True, False], ids=["shared", "apart"])
def test_one_packed_weight_or_many(shape, shared):
    case = make_case(shape, np.float32)
    weights = [pack(case)] * CALLERS if shared else [pack(case) for _ in range(CALLERS)]
    expected = call_lstm(case, all_weights=weights[0], num_threads=1)
    results = at_once(lambda k: call_lstm(case, all_weights=weights[k], num_threads=k % 3 + 1))
    for got in itertools.chain(*results):
        assert_same_bits(got, expected)


@pytest.mark.parametrize("shape", SHAPES, ids=lambda shape: shape.name)
def test_one_operator(shape):
    case = make_case(shape, np.float32)
    net, w = operator_for(case), flat_weight(case)
    expected = net(case.x, case.h0, case.c0, w, num_threads=1)
    results = at_once(lambda k: net(case.x, case.h0, case.c0, w, num_threads=k % 3 + 1))
    for got in itertools.chain(*results):
        assert_same_bits(got[:4], expected[:4])


@pytest.mark.parametrize("recompute", [False, True])
@pytest.mark.parametrize("shape", SHAPES[1:], ids=lambda shape: shape.name)
def test_one_pullback(shape, recompute):
    case = make_case(shape, np.float32)
    outputs, pullback = call_vjp(case, num_threads=2, recompute=recompute)
    expected = flattened((outputs, pullback(*outputs)))
    results = at_once(lambda _: flattened((outputs, pullback(*outputs))))
    for got in itertools.chain(*results):
        assert_same_bits(got, expected)


@pytest.mark.parametrize("shape", SHAPES[1:3], ids=lambda shape: shape.name)
def test_one_gradient_operator(shape):
    case = make_case(shape, np.float32)
    net, w = operator_for(case), flat_weight(case)
    gradient = gradient_for(case)
    given = gradient_arguments(case, w, net(case.x, case.h0, case.c0, w))
    expected = gradient(*given, num_threads=1)
    results = at_once(lambda k: gradient(*given, num_threads=k % 3 + 1))
    for got in itertools.chain(*results):
        assert_same_bits(got, expected)


def test_one_stream_each_of_one_packed_weight():
    case = make_case(SHAPES[3], np.float32)
    packed = pack(case)
    streams = [lstm_native.Stream(packed, num_threads=k % 3 + 1) for k in range(CALLERS)]
    expected = lstm_native.Stream(packed).run(case.x)

    def work(k):
        streams[k].reset()
        first = [streams[k].step(x) for x in case.x[:7]]
        return np.concatenate([*(step[None] for step in first), streams[k].run(case.x[7:])])

    for got in itertools.chain(*at_once(work)):
        assert_same_bits([got], [expected])


def test_one_stream_for_many_is_refused_and_goes_on():
    case = make_case(Shape("stream", 4000, 4, 32, 64), np.float32)
    stream = lstm_native.Stream(pack(case), 4, num_threads=1)

    def work(_):
        try:
            return stream.run(case.x).shape
        except RuntimeError as error:
            return str(error)

    refusal = "this Stream is in use by another thread; make one per thread"
    results = set(itertools.chain(*at_once(work)))
    assert results == {(4000, 4, 64), refusal}
    stream.reset()
    assert_same_bits([stream.run(case.x)], [lstm_native.Stream(pack(case), 4).run(case.x)])


def test_masks_drawn_at_once_are_all_different_and_all_drawn():
    case = make_case(Shape("masks", 4, 3, 8, 40, 2), np.float32)
    lstm_native.manual_seed(3)
    alone = [call_lstm(case, dropout=0.5, train=True)[0].tobytes() for _ in range(CALLERS * ROUNDS)]
    lstm_native.manual_seed(3)
    results = at_once(lambda k: call_lstm(case, dropout=0.5, train=True)[0].tobytes())
    assert sorted(itertools.chain(*results)) == sorted(alone)


def test_settings_changed_meanwhile():
    case = make_case(SHAPES[2], np.float32)
    packed = pack(case)
    expected = call_lstm(case, all_weights=packed)

    def work(k):
        if k == 0:
            for threads in (1, None, 3, None):
                lstm_native.set_num_threads(threads)
        assert 1 <= lstm_native.get_num_threads() <= 128
        return call_lstm(case, all_weights=packed)

    for got in itertools.chain(*at_once(work)):
        assert_same_bits(got, expected)


def test_packing_and_dropping_at_once():
    case = make_case(SHAPES[2], np.float32)
    expected = call_lstm(case, all_weights=pack(case))
    results = at_once(lambda k: call_lstm(case, all_weights=pack(case), num_threads=k % 3 + 1))
    for got in itertools.chain(*results):
        assert_same_bits(got, expected)


# --- interpreters ---------------------------------------------------------------------------------


@pytest.mark.skipif(HAS_GIL, reason="needs a free-threaded CPython")
def test_the_gil_stays_off():
    code, output, error = ask("imported.py")
    assert code == 0, error
    assert not json.loads(output)["gil"]


def test_a_sub_interpreter_is_refused_clearly():
    code, output, error = ask("sub_interpreter.py")
    assert code == 0, error
    refusal = (
        "lstm_native: sub-interpreters are not supported, as NumPy does not support them; "
        "import it in the main interpreter, and use threads or processes"
    )
    assert output.splitlines() == [refusal, refusal]
