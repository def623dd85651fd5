"""Sizes and memory that can't be had: an exception, never a crash."""

import platform

import numpy as np
import pytest
from numpy.lib.stride_tricks import as_strided

from calls import assert_same_bits, call_lstm
from fresh_interpreter import ask
from shapes import Shape, make_case

LIMITED = """if True:
    import resource, sys
    import numpy as np, lstm_native
    resource.setrlimit(resource.RLIMIT_AS, (3 << 30, 3 << 30))
    def ones(*shape):
        return np.broadcast_to(np.float32(1), shape)
    try:
        {call}
    except (MemoryError, ValueError) as error:
        print(type(error).__name__)
"""


@pytest.mark.parametrize(
    "call",
    [
        # a weight whose copy can't be had
        "lstm_native.lstm(ones(1, 1, 4), [np.zeros((1, 1, 1 << 20), 'f')] * 2, "
        "[np.zeros((4 << 20, 4), 'f'), ones(4 << 20, 1 << 20)], 1, 0.0, False, False, "
        "has_ih_bias=False, has_hh_bias=False)",
        "lstm_native.lstm(ones(1, 1, 1 << 40), [ones(1, 1, 4)] * 2, "
        "[ones(16, 1 << 40), ones(16, 4), ones(16), ones(16)], 1, 0.0, False, False)",
        # results that can't be had
        "lstm_native.lstm(ones(1 << 20, 1 << 20, 1), [ones(1, 1 << 20, 4)] * 2, "
        "[ones(16, 1), ones(16, 4), ones(16), ones(16)], 1, 0.0, False, False)",
        "lstm_native.lstm(ones(1 << 31, 1 << 30, 1), [ones(1, 1 << 30, 4)] * 2, "
        "[ones(16, 1), ones(16, 4), ones(16), ones(16)], 1, 0.0, False, False)",
        # working memory that can't be had
        "lstm_native.lstm(ones(1 << 15, 1 << 10, 1), [ones(3, 1 << 10, 8)] * 2, "
        "[ones(32, 1), ones(32, 8), ones(32), ones(32)] + [ones(32, 8), ones(32, 8), ones(32), "
        "ones(32)] * 2, 3, 0.0, False, False)",
        # a tape that can't be had
        "lstm_native.LSTM(1, 8, 1, False, False, 0.0)(ones(1 << 15, 1 << 10, 1), "
        "ones(1, 1 << 10, 8), ones(1, 1 << 10, 8), ones(288))",
        # more steps than input has rows
        "lstm_native.lstm(ones(3, 1), [ones(1, 1, 4)] * 2, [ones(16, 1), ones(16, 4), ones(16), "
        "ones(16)], 1, 0.0, False, False, batch_sizes=np.broadcast_to(np.int8(1), (1 << 34,)))",
    ],
)
def test_what_cannot_be_had(call):
    program = LIMITED.format(call=call)
    code, output, error = ask(program, LSTM_NATIVE_NUM_THREADS="1", OPENBLAS_NUM_THREADS="1")
    assert code == 0, error
    assert output in ("MemoryError", "ValueError")


@pytest.mark.parametrize("transposed", [False, True])
def test_unused_strides_may_be_anything(transposed):
    case = make_case(Shape("one_feature", 3, 1, 1, 2), np.float32)
    plain = call_lstm(case)
    w_ih, *others = case.all_weights
    huge = as_strided(w_ih, (8, 1), (4, 2**40))
    weights = [huge, *others]
    if transposed:
        weights = [w.T if w.ndim == 2 else w for w in weights]
    got = call_lstm(case, all_weights=weights, weights_transposed=transposed)
    assert_same_bits(got, plain)
    x = as_strided(case.x, case.x.shape, (4, 2**40, 3))
    assert_same_bits(call_lstm(case, input=x), plain)


def test_empty_fields_of_records():
    records = np.zeros((3, 4, 2), [("tag", "u1"), ("value", "f4")])["value"]
    case = make_case(Shape("empty", 3, 0, 2, 2), np.float32)
    assert call_lstm(case, input=records[:, :0])[0].shape == (3, 0, 2)


FAULTS = """if True:
    import resource
    import numpy as np, lstm_native
    T, N, H = 200, 8, 32
    x, d_output = np.ones((2, T, N, H), np.float32)
    state = np.zeros((1, N, H), np.float32)
    shapes = [(4 * H, H), (4 * H, H), (4 * H,), (4 * H,)]
    weights = [np.full(shape, 0.01, np.float32) for shape in shapes]
    def step():
        arguments = (x, (state, state), weights, 1, 0.0, True, False)
        _, pullback = lstm_native.lstm_vjp(*arguments, num_threads=1)
        return pullback(d_output), pullback.nbytes
    def faults():
        return resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(20):
        gradients, tape_bytes = step()
    before = faults()
    for _ in range(50):
        gradients, tape_bytes = step()
    print((faults() - before) / 50 * resource.getpagesize() / tape_bytes)
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="how glibc keeps memory")
def test_memory_of_a_step_of_training_serves_the_next():
    # Where the heap ends differs from process to process: in one of two, a whole tape's pages were
    # faulted in at each step.
    for _ in range(4):
        code, output, error = ask(FAULTS)
        assert code == 0, error
        assert float(output) < 0.1
