"""Sizes and memory that can't be had: an exception, never a crash."""

import numpy as np
import pytest
from numpy.lib.stride_tricks import as_strided

import lstm_native
from calls import assert_same_bits, call_lstm, call_reference, flat_weight, operator_for
from fresh_interpreter import ask
from native_libraries import compiled
from shapes import Shape, make_case
from tolerances import assert_close


@pytest.fixture(scope="module")
def scarcity(tmp_path_factory):
    return str(compiled("scarcity", tmp_path_factory.mktemp("native")))


@pytest.mark.parametrize("lengths", [None, []])
def test_empty_output_that_numpy_cannot_count(lengths):
    case = make_case(Shape("none", 1, 0, 1, 8), np.float32)
    x = np.broadcast_to(np.float32(1), (2**58, 1, 1))[:, :0]
    with pytest.raises(MemoryError, match=r"^output: float32 of shape \(2882\d+, 0, 8\)"):
        call_lstm(case, input=x, lengths=lengths)


# OpenMP lets go of threads that a smaller region has no use for.
@pytest.mark.parametrize("before", [[], [16, 2]])
def test_threads_that_cannot_be_had(before, scarcity):
    code, output, error = ask("no_threads.py", *before, LD_PRELOAD=scarcity)
    assert (code, output) == (0, "True True"), error


@pytest.mark.parametrize("way", ["forward", "backward"])
def test_working_memory_of_blas_that_cannot_be_had(way, scarcity):
    code, output, error = ask("no_memory_for_blas.py", way, LD_PRELOAD=scarcity)
    assert (code, output) == (0, "MemoryError"), error


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


def test_a_tape_is_half_of_a_block_that_malloc_keeps():
    # Or glibc would give its memory back to the system after each step of training.
    for shape, factor in ((Shape("small", 50, 2, 8, 32), 2), (Shape("large", 700, 8, 8, 512), 1)):
        case = make_case(shape, np.float32)
        reserve = operator_for(case)(case.x, case.h0, case.c0, flat_weight(case))[3]
        block = reserve if reserve.base is None else reserve.base
        assert block.nbytes == factor * reserve.nbytes


# --- sizes near 2^31 and 2^63 ---------------------------------------------------------------------

FLAGS = (1, 0.0, False, False)
HUGE_CALLS = {
    "lstm": lambda call: lstm_native.lstm(*call.arguments),
    "vjp": lambda call: lstm_native.lstm_vjp(*call.arguments),
    "op": lambda call: lstm_native.LSTM(*call.sizes[2:], 1, False, False, 0.0)(
        call.x, call.state, call.state, call.flat
    ),
    "reserve": lambda call: lstm_native.LSTM(*call.sizes[2:], 1, False, False, 0.0).reserve_size(
        *call.sizes[:2]
    ),
    "pack": lambda call: lstm_native.pack_weights(call.arguments[2], 1, False),
    "explain": lambda call: lstm_native.explain(*call.arguments),
    "sizes": lambda call: lstm_native.explain(
        **dict(zip(("seq_len", "batch", "input_size", "hidden_size"), call.sizes, strict=True))
    ),
    "stream": lambda call: lstm_native.Stream(
        lstm_native.pack_weights(
            *([of(16, 1), of(16, 4)], 1, False), has_ih_bias=False, has_hh_bias=False
        ),
        call.sizes[1],
    ),
}
COMPUTING = ("lstm", "vjp", "op")
COUNTING = ("explain", "sizes")


def of(*shape):
    """Any number of elements in the memory of one."""
    return as_strided(np.ones(1, np.float32), shape, (0,) * len(shape))


class Huge:
    def __init__(self, *sizes):
        T, N, I, H = self.sizes = sizes  # noqa: E741
        self.x, self.state, self.flat = of(T, N, I), of(1, N, H), of(4 * H * (I + H))
        weights = [of(4 * H, I), of(4 * H, H), of(4 * H), of(4 * H)]
        self.arguments = (self.x, (self.state, self.state), weights, *FLAGS)


# Each array by itself is one that NumPy can have: of no more than 2^63 bytes. What they would take
# is more than a process can address, whatever its limits and the system's.
@pytest.mark.parametrize(
    ("sizes", "calls"),
    [
        # products of two sizes beyond 2^63
        ((2**32, 2**28, 1, 64), (*COMPUTING, *COUNTING)),
        ((2**44, 2**16, 1, 64), (*COMPUTING, *COUNTING, "reserve")),
        ((2**20, 2**40, 1, 64), (*COMPUTING, *COUNTING, "reserve")),
        ((1, 2**58, 1, 4), (*COMPUTING, *COUNTING, "stream")),
        ((1, 2**60, 1, 1), (*COMPUTING, *COUNTING, "stream")),
        ((1, 1, 2**40, 4), (*COMPUTING, "pack")),
        ((2, 1, 1, 2**29), ("pack",)),
        ((2, 1, 2**31, 2**27), ("pack",)),
        # sizes that an index counts, in bytes, too
        ((2**30, 2**30, 1, 1), COMPUTING),
        ((2**30 - 1, 2**30 - 1, 1, 1), COMPUTING),
        ((2**30, 2**18, 1, 4), COMPUTING),
        ((1, 1, 1, 2**24), ("pack",)),
    ],
    ids=str,
)
def test_sizes_that_no_memory_has_are_refused(sizes, calls):
    for call in calls:
        with pytest.raises(MemoryError):
            HUGE_CALLS[call](Huge(*sizes))


def test_more_steps_than_rows():
    call = Huge(3, 1, 1, 4)
    steps = np.broadcast_to(np.int8(1), (1 << 34,))
    with pytest.raises(ValueError, match="batch_sizes"):
        lstm_native.lstm(call.x[:, 0], *call.arguments[1:], batch_sizes=steps)


@pytest.mark.slow
def test_rows_of_input_2_32_elements_apart(tmp_path):
    # Further than BLAS can count: a sparse file that has only the rows.
    case = make_case(Shape("apart", 1, 30, 2048, 1024), np.float32)
    distance = 2**32 + 2048
    file = np.memmap(tmp_path / "input", np.float32, "w+", shape=(30, distance))
    file[:, :2048] = case.x[0]
    results = call_lstm(case, input=file[None, :, :2048])
    answer = call_reference(case)
    for got, expected in zip(results, (answer.output, answer.h_n, answer.c_n), strict=True):
        assert_close(got, expected, "value")


@pytest.mark.slow
@pytest.mark.parametrize("layout", ["plain", "packed", "packed sequence", "batch_first"])
def test_an_input_of_more_than_two_to_the_31_elements(layout, tmp_path):
    # A sparse file; only the last step's row is not zero.
    steps, width, hidden = 2**15 + 3, 2**16, 4
    small = make_case(Shape("last", 1, 1, width, hidden), np.float32)
    file = tmp_path / "input"
    x = np.memmap(file, np.float32, "w+", shape=(steps, 1, width))
    assert x.size > 2**31
    x[-1] = small.x[0]
    w_ih, w_hh, *biases = small.all_weights
    weights = [w_ih, w_hh, *(np.zeros_like(bias) for bias in biases)]
    zero = np.zeros_like(small.h0)
    expected = call_lstm(small, initial_states=(zero, zero), all_weights=weights)
    options = {"input": x, "all_weights": weights, "initial_states": (zero, zero)}
    if layout == "packed":
        options["all_weights"] = lstm_native.pack_weights(weights, 1, False)
    elif layout == "packed sequence":
        options.update(input=x[:, 0], batch_sizes=[1] * steps)
    elif layout == "batch_first":
        options.update(input=x.swapaxes(0, 1), batch_first=True)
    output, h_n, c_n = call_lstm(small, **options)
    output = output.reshape(steps, hidden)
    assert not output[:-1].any()
    assert_close(output[-1:], expected[0][0], "layout")
    assert_close(h_n, expected[1], "layout")
    assert_close(c_n, expected[2], "layout")
