"""A signal whose handler raises, as that of Ctrl-C does, ends a call early and leaves nothing."""

import ctypes
import os
import signal
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import numpy as np
import pytest

import lstm_native
from calls import (
    assert_same_bits,
    call_vjp,
    flat_weight,
    gradient_arguments,
    gradient_for,
    operator_for,
    pack,
)
from fresh_interpreter import ask
from lstm_native._core import testing
from resident import resident_bytes, threads_of_process
from shapes import Shape, make_case
from test_settings import UPWARD

# From the signal to the exception: some 60 ms, or under a sanitizer so many times as long.
LIMIT_S = 0.2 * float(os.environ.get("TEST_SLOWNESS", "1"))
# So many in time of so many, since the machine may have something else to do.
ENOUGH, MOST = 3, 10


# Of what testing.float_control() tells, the settings: not which exceptions have happened.
CONTROLS = ~0x3F


class StoppedError(Exception):
    pass


@contextmanager
def alarm(after, handler):
    before = signal.signal(signal.SIGALRM, handler)
    signal.setitimer(signal.ITIMER_REAL, after)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def stop(*_):
    raise StoppedError


def latency(call, after):
    """Seconds from the signal to the exception."""
    start = time.perf_counter()
    with alarm(after, stop), pytest.raises(StoppedError):
        call()
    return time.perf_counter() - start - after


def assert_prompt(call, after=0.02):
    assert_mostly_within_the_limit(lambda: latency(call, after))


def assert_mostly_within_the_limit(seconds):
    times = []
    for _ in range(MOST):
        times.append(seconds())
        if sum(time < LIMIT_S for time in times) == ENOUGH:
            return
    raise AssertionError(times)


# --- calls that take a second or so, and little memory: most of it is never touched ---------------


def long_call(shape, weights="packed", **options):
    """A call of `lstm` whose input is the same step, or the same row, over and over."""
    sizes = (shape.input_size, shape.hidden_size, shape.num_layers, shape.bidirectional)
    case = make_case(Shape("part", 1, 1, *sizes), np.float32)
    x = np.broadcast_to(case.x, (shape.seq_len, shape.batch, shape.input_size))
    states = shape.num_layers * shape.num_directions
    state = np.zeros((states, shape.batch, shape.hidden_size), np.float32)
    given = pack(case) if weights == "packed" else case.all_weights
    arguments = {"dropout": 0.0, "train": False, "bidirectional": shape.bidirectional, **options}
    return lambda: lstm_native.lstm(x, (state, state), given, shape.num_layers, **arguments)


STEPS = Shape("many_steps", 3_000_000, 1, 16, 64)
WIDER_STEPS = Shape("wider_steps", 300_000, 1, 16, 256)
LAYERS = Shape("layers", 400_000, 1, 32, 32, 4)
ROWS = Shape("many_rows", 4000, 64, 64, 256, 1, True)
LARGE_STEP = Shape("one_step", 1, 60_000, 2048, 512)

FORWARD = {
    "steps": lambda n: long_call(STEPS, num_threads=n),
    "plain weights": lambda n: long_call(STEPS, "plain", num_threads=n),
    "wavefront": lambda n: long_call(LAYERS, num_threads=n),
    "rows": lambda n: long_call(ROWS, num_threads=n),
    "rows, plain weights": lambda n: long_call(ROWS, "plain", num_threads=n),
    "lengths": lambda n: long_call(ROWS, num_threads=n, lengths=[4000 - 50 * k for k in range(64)]),
    "one length": lambda n: long_call(WIDER_STEPS, num_threads=n, lengths=[300_000]),
    "one large step": lambda n: long_call(LARGE_STEP, num_threads=n),
    "one large step, plain": lambda n: long_call(LARGE_STEP, "plain", num_threads=n),
    "masks": lambda n: long_call(LAYERS, num_threads=n, dropout=0.5, train=True),
}


@pytest.mark.parametrize("threads", [1, 3])
@pytest.mark.parametrize("name", FORWARD)
def test_forward(name, threads):
    assert_prompt(FORWARD[name](threads))


@pytest.mark.parametrize("threads", [1, 2])
def test_products_by_blas(threads):
    case = make_case(Shape("wide", 5000, 1, 8070, 264), np.float32)
    about = lstm_native.explain(
        case.x, (case.h0, case.c0), case.all_weights, 1, 0.0, False, False, num_threads=threads
    )
    assert about.layers[0].input_weights == "blas"
    arguments = (case.x, (case.h0, case.c0), case.all_weights, 1, 0.0, False, False)
    assert_prompt(lambda: lstm_native.lstm(*arguments, num_threads=threads))


@pytest.mark.parametrize("threads", [1, 2])
def test_the_operator(threads):
    case = make_case(Shape("operator", 1, 1, 16, 64, 2), np.float32)
    net = lstm_native.LSTM(16, 64, 2, True, False, 0.5)
    x = np.broadcast_to(case.x, (300_000, 1, 16))
    w = flat_weight(case)
    assert_prompt(lambda: net(x, case.h0, case.c0, w, num_threads=threads))


@pytest.mark.parametrize("threads", [1, 2])
def test_the_operators_gradients(threads):
    case = make_case(Shape("operator", 1500, 16, 256, 512), np.float32)
    gradient, w = gradient_for(case), flat_weight(case)
    given = gradient_arguments(case, w, operator_for(case)(case.x, case.h0, case.c0, w))
    *_, reserve, state = given
    assert_prompt(lambda: gradient(*given, num_threads=threads))
    workspace = gradient.data(*given)[3]
    halves = (case.x, reserve, workspace, state)

    def many():
        for _ in range(100):
            gradient.weights(*halves, num_threads=threads)

    assert_prompt(many)


@pytest.mark.parametrize("recompute", [False, True])
@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("after", [0.02, 0.4])
def test_backward(after, threads, recompute):
    # Early, among the steps; later, among the products that follow.
    case = make_case(Shape("backward", 1500, 16, 256, 512), np.float32)
    outputs, pullback = call_vjp(case, num_threads=threads, recompute=recompute)
    assert_prompt(lambda: pullback(*outputs), after)


@pytest.mark.parametrize("rows", [20, 50])
def test_backward_of_very_wide_layers(rows):
    # By BLAS, and by our kernels, whose panels are packed first.
    case = make_case(Shape("very_wide", rows, 1, 3000, 3000), np.float32)
    outputs, pullback = call_vjp(case, num_threads=1)

    def gradient():
        pullback(*outputs, needs=["input"])

    gradient()
    start = time.perf_counter()
    gradient()
    seconds = time.perf_counter() - start
    for part in (0.1, 0.5, 0.9):
        assert_prompt(lambda: [gradient() for _ in range(100)], part * seconds)


def test_backward_of_narrow_layers():
    case = make_case(Shape("backward", 60_000, 4, 8, 32, 2, True), np.float32)
    outputs, pullback = call_vjp(case, num_threads=2)
    assert_prompt(lambda: pullback(*outputs))


@pytest.mark.parametrize("needs", [["input"], ["states", "weights"]])
def test_backward_of_one_large_step(needs):
    # With lengths, its rows are gathered, and their gradients scattered: half a gigabyte each.
    case = make_case(Shape("part", 1, 1, 2048, 16), np.float32)
    x = np.broadcast_to(case.x, (1, 60_000, 2048))
    state = np.broadcast_to(case.h0, (1, 60_000, 16))
    outputs, pullback = lstm_native.lstm_vjp(
        *(x, (state, state), case.all_weights, 1, 0.0, True, False),
        lengths=[1] * 60_000,
        num_threads=1,
    )

    def gradient():
        pullback(*outputs, needs=needs)

    gradient()
    start = time.perf_counter()
    gradient()
    seconds = time.perf_counter() - start
    for part in (0.02, 0.3, 0.6, 0.9):
        assert_prompt(lambda: [gradient() for _ in range(100)], part * seconds)


STORED = [
    {"weight_dtype": weight_dtype, "weights_transposed": transposed}
    for weight_dtype in (None, "float16", "bfloat16")
    for transposed in (False, True)
]


def large_matrices(units, weights_transposed, **_):
    # Of memory that is one number over and over, which packing does not know.
    shape = (units, 4 * units) if weights_transposed else (4 * units, units)
    return [np.broadcast_to(np.float32(1), shape)] * 2


@pytest.mark.parametrize("stored", STORED, ids=str)
def test_packing(stored):
    flags = {"has_ih_bias": False, "has_hh_bias": False, **stored}
    matrices = large_matrices(6000, **stored)
    assert_prompt(lambda: lstm_native.pack_weights(matrices, 1, False, **flags), 0.1)


@pytest.mark.parametrize("stored", STORED, ids=str)
def test_unpacking(stored):
    flags = {"has_ih_bias": False, "has_hh_bias": False, **stored}
    packed = lstm_native.pack_weights(large_matrices(4000, **stored), 1, False, **flags)
    start = time.perf_counter()
    packed.unpack()
    after = (time.perf_counter() - start) / 2
    assert_prompt(lambda: [packed.unpack() for _ in range(100)], after)


# --- all threads that the process may have --------------------------------------------------------

ALL_THREADS = """if True:
    import lstm_native, numpy as np, signal, threading, time
    x = np.broadcast_to(np.full((1, 1280, 2048), 0.01, "f"), (100_000, 1280, 2048))
    s = np.ones((1, 1280, 16), "f")
    w = [np.ones((64, 2048), "f"), np.ones((64, 16), "f")] + [np.ones(64, "f")] * 2
    w = lstm_native.pack_weights(w, 1, False)
    def call(steps, threads):
        return lstm_native.lstm(x[:steps], (s, s), w, 1, 0.0, False, False, num_threads=threads)
    about = lstm_native.explain(x, (s, s), w, 1, 0.0, False, False, num_threads=128)
    assert about.layers[0].row_groups == 128, about
    start = time.perf_counter()
    call(50, 128)
    of_a_second = int(50 / (time.perf_counter() - start))  # so many steps
"""

IN_THE_MIDDLE_OF_ALL = """
    results, computing = [], False
    def handler(*_):
        if computing:
            results.append(call(2, 3)[0].tobytes())
    expected = call(2, 1)[0].tobytes()
    signal.signal(signal.SIGALRM, handler)
    for _ in range(20):
        signal.setitimer(signal.ITIMER_REAL, 0.05)
        computing = True
        call(of_a_second // 2, 128)
        computing = False
        if results:
            break
    print(set(results) == {expected})
"""

WHILE_OTHERS_HAVE_ALL = """
    class StoppedError(Exception):
        pass
    def stop(*_):
        raise StoppedError
    signal.signal(signal.SIGALRM, stop)
    other = threading.Thread(target=lambda: call(of_a_second, 128))
    other.start()
    time.sleep(0.2)
    start = time.perf_counter()
    signal.setitimer(signal.ITIMER_REAL, 0.02)
    try:
        call(2, 2)
    except StoppedError:
        print(time.perf_counter() - start - 0.02)
    signal.setitimer(signal.ITIMER_REAL, 0)
    other.join()
"""


def test_a_handler_that_calls_us_while_its_call_has_all_threads():
    code, output, error = ask(ALL_THREADS + IN_THE_MIDDLE_OF_ALL)
    assert (code, output) == (0, "True"), error


def test_waiting_for_threads():
    def seconds():
        code, output, error = ask(ALL_THREADS + WHILE_OTHERS_HAVE_ALL)
        assert code == 0, error
        return float(output)

    assert_mostly_within_the_limit(seconds)


# --- what an interrupted call leaves behind -------------------------------------------------------


@pytest.mark.parametrize("steps", [2, 300_000])
def test_a_stream_stays_where_it_was(steps):
    case = make_case(Shape("stream", 40, 2, 16, 64, 2), np.float32)
    packed = pack(case)
    stream, twin = (lstm_native.Stream(packed, 2, num_threads=3) for _ in range(2))
    first, rest = case.x[:steps], case.x[20:]
    assert_same_bits([stream.run(first)], [twin.run(first)])
    long = np.broadcast_to(case.x[:1], (3_000_000, 2, 16))
    latency(lambda: stream.run(long), 0.02)
    assert_same_bits(stream.state, twin.state)
    assert_same_bits([stream.run(rest)], [twin.run(rest)])
    assert_same_bits([stream.step(rest[0])], [twin.step(rest[0])])


def test_no_masks_are_drawn():
    case = make_case(Shape("masks", 5, 2, 32, 32, 4), np.float32)
    options = (4, 0.5, True, False)
    arguments = (case.x, (case.h0, case.c0), case.all_weights, *options)
    lstm_native.manual_seed(3)
    expected = lstm_native.lstm(*arguments)
    lstm_native.manual_seed(3)
    latency(FORWARD["masks"](2), 0.02)
    net = operator_for(case, 0.5)
    x = np.broadcast_to(case.x[:1], (300_000, 2, 32))
    latency(lambda: net(x, case.h0, case.c0, flat_weight(case)), 0.02)
    latency(lambda: call_vjp(case, input=x, dropout=0.5), 0.02)
    assert_same_bits(lstm_native.lstm(*arguments), expected)


def test_no_threads_and_no_memory_are_left():
    calls = [FORWARD[name](3) for name in ("steps", "rows, plain weights", "masks")]
    case = make_case(Shape("backward", 1000, 16, 64, 256), np.float32)
    outputs, pullback = call_vjp(case, num_threads=3)
    long = np.tile(case.x, (20, 1, 1))
    calls += [lambda: pullback(*outputs), lambda: call_vjp(case, input=long, num_threads=3)]

    def interrupt_each():
        for call in calls:
            latency(call, 0.02)
        call_vjp(case, num_threads=3)  # OpenMP keeps as many threads as the last call had

    for _ in range(3):
        interrupt_each()
    threads, memory = threads_of_process(), resident_bytes()
    for _ in range(5):
        interrupt_each()
    assert threads_of_process() <= threads
    assert resident_bytes() - memory < 2 << 20


# --- signals that end nothing ---------------------------------------------------------------------


@pytest.mark.parametrize("threads", [1, 2])
def test_a_handler_that_returns_runs_meanwhile_and_changes_nothing(threads):
    case = make_case(Shape("long", 50_000, 4, 32, 128), np.float32)
    arguments = (case.x, (case.h0, case.c0), pack(case), 1, 0.0, False, False)
    expected = lstm_native.lstm(*arguments, num_threads=1)
    came = []

    def handler(*_):
        came.append(time.perf_counter())
        # Whatever it likes, another call too.
        lstm_native.lstm(case.x[:50], *arguments[1:], num_threads=2)

    for _ in range(20):
        with alarm(0.005, handler):
            got = lstm_native.lstm(*arguments, num_threads=threads)
            end = time.perf_counter()
        assert_same_bits(got, expected)
        if came and came[-1] < end - 0.005:
            return
    raise AssertionError("the handler never ran while the call did")


def test_a_handler_computes_with_the_callers_settings():
    settings, products = [], []

    def handler(*_):
        settings.append(testing.float_control() & CONTROLS)
        products.append(sys.float_info.min * half)

    half = float("0.5")  # not folded
    call = long_call(Shape("steps", 200_000, 1, 16, 64), num_threads=2)
    libm = ctypes.CDLL("libm.so.6")
    for _ in range(20):
        assert libm.fesetround(UPWARD) == 0
        try:
            expected = testing.float_control() & CONTROLS
            with alarm(0.02, handler):
                call()
        finally:
            libm.fesetround(0)
        if settings:
            break
    assert set(settings) == {expected}
    assert set(products) == {sys.float_info.min / 2}


def test_a_call_in_another_thread_goes_on():
    case = make_case(Shape("long", 50_000, 4, 32, 128), np.float32)
    arguments = (case.x, (case.h0, case.c0), pack(case), 1, 0.0, False, False)
    expected = lstm_native.lstm(*arguments, num_threads=1)
    with ThreadPoolExecutor(1) as pool:
        job = pool.submit(lstm_native.lstm, *arguments, num_threads=2)
        with alarm(0.02, stop), pytest.raises(StoppedError):
            job.result()
        assert_same_bits(job.result(timeout=60), expected)


CTRL_C = """if True:
    import lstm_native, numpy as np, os, signal, threading, time
    x = np.broadcast_to(np.float32(1), (3_000_000, 1, 64)); s = np.ones((1, 1, 64), "f")
    w = [np.ones((256, 64), "f")] * 2 + [np.ones(256, "f")] * 2
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a background job begins without
    sent = []
    def press():
        time.sleep(0.1)
        sent.append(time.perf_counter())
        os.kill(os.getpid(), signal.SIGINT)
    presser = threading.Thread(target=press)
    presser.start()
    try:
        lstm_native.lstm(x, (s, s), w, 1, 0.0, False, False, num_threads=2)
    except KeyboardInterrupt:
        seconds = time.perf_counter() - sent[0]
    presser.join()
    short = lstm_native.lstm(x[:5], (s, s), w, 1, 0.0, False, False, num_threads=2)[0]
    print(seconds, short.shape)
"""


def test_ctrl_c():
    def seconds():
        code, output, error = ask(CTRL_C)
        assert code == 0, error
        taken, _, shape = output.partition(" ")
        assert shape == "(5, 1, 64)"
        return float(taken)

    assert_mostly_within_the_limit(seconds)
