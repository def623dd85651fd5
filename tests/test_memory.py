"""Sizes and memory that can't be had: an exception, never a crash."""

import platform

import numpy as np
import pytest
from numpy.lib.stride_tricks import as_strided

import lstm_native
from calls import assert_same_bits, call_lstm, call_reference
from fresh_interpreter import ask
from shapes import Shape, make_case
from tolerances import assert_close

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


@pytest.mark.parametrize("lengths", [None, []])
def test_empty_output_that_numpy_cannot_count(lengths):
    case = make_case(Shape("none", 1, 0, 1, 8), np.float32)
    x = np.broadcast_to(np.float32(1), (2**58, 1, 1))[:, :0]
    with pytest.raises(MemoryError, match=r"^output: float32 of shape \(2882\d+, 0, 8\)"):
        call_lstm(case, input=x, lengths=lengths)


# OpenMP lets go of threads that a smaller region has no use for.
@pytest.mark.parametrize("before", ["run(1)", "[run(16), run(2)][0]"])
def test_threads_that_cannot_be_had(before):
    # OpenMP ends the process where it gets none.
    program = """if True:
        import resource
        import numpy as np, lstm_native
        from pathlib import Path
        x = np.ones((20, 64, 64), "f"); s = np.ones((1, 64, 64), "f")
        w = [np.ones((256, 64), "f")] * 2 + [np.ones(256, "f")] * 2
        def run(threads):
            output = lstm_native.lstm(x, (s, s), w, 1, 0.0, False, False, num_threads=threads)[0]
            return output.tobytes()
        expected = BEFORE
        now = int(Path("/proc/self/statm").read_text().split()[0]) * 4096
        limit = now + (24 << 20)  # two stacks, and what calls need
        resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
        print(run(16) == expected, run(2) == expected)
    """
    code, output, error = ask(program.replace("BEFORE", before))
    assert (code, output) == (0, "True True"), error


@pytest.mark.parametrize("way", ["forward", "backward"])
def test_working_memory_of_blas_that_cannot_be_had(way):
    # OpenBLAS ends the process where it gets none.
    program = """if True:
        import resource
        import numpy as np, lstm_native
        from pathlib import Path
        def draw(*shape):
            return np.full(shape, 0.01, "f")
        T, N, I, H = SIZES
        arguments = (draw(T, N, I), (draw(1, N, H), draw(1, N, H)),
                     [draw(4 * H, I), draw(4 * H, H), draw(4 * H), draw(4 * H)], 1, 0.0, False)
        def forward():
            return lstm_native.lstm(*arguments, False, num_threads=1)
        results, pullback = lstm_native.lstm_vjp(
            draw(2, 1, 3), (draw(1, 1, 4), draw(1, 1, 4)), [draw(16, 3), draw(16, 4)], 1, 0.0,
            False, False, has_ih_bias=False, has_hh_bias=False, num_threads=1)
        call = forward if WAY == "forward" else lambda: pullback(*results)
        now = int(Path("/proc/self/statm").read_text().split()[0]) * 4096
        limit = now + (16 << 20)
        resource.setrlimit(resource.RLIMIT_AS, (limit, resource.RLIM_INFINITY))
        try:
            call()
        except MemoryError as error:
            print(type(error).__name__)
        resource.setrlimit(resource.RLIMIT_AS, (resource.RLIM_INFINITY,) * 2)
        call()
    """
    program = program.replace("SIZES", "(5, 40, 8070, 264)").replace("WAY", repr(way))
    code, output, error = ask(program)
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


# --- sizes near 2^31 and 2^63 ---------------------------------------------------------------------

HUGE = """if True:
    import numpy as np, lstm_native
    def of(*shape):  # any number of elements in the memory of one
        return np.lib.stride_tricks.as_strided(np.ones(1, np.float32), shape, (0,) * len(shape))
    T, N, I, H = {sizes}
    x, state, flat = of(T, N, I), of(1, N, H), of(4 * H * (I + H))
    weights = [of(4 * H, I), of(4 * H, H), of(4 * H), of(4 * H)]
    arguments = x, (state, state), weights, 1, 0.0, False, False
    try:
        {call}
    except MemoryError:
        print("MemoryError")
"""
HUGE_CALLS = {
    "lstm": "lstm_native.lstm(*arguments)",
    "vjp": "lstm_native.lstm_vjp(*arguments)",
    "op": "lstm_native.LSTM(I, H, 1, False, False, 0.0)(x, state, state, flat)",
    "reserve": "lstm_native.LSTM(I, H, 1, False, False, 0.0).reserve_size(T, N)",
    "pack": "lstm_native.pack_weights(weights, 1, False)",
    "explain": "lstm_native.explain(*arguments)",
    "sizes": "lstm_native.explain(seq_len=T, batch=N, input_size=I, hidden_size=H)",
    "stream": "lstm_native.Stream(lstm_native.pack_weights([of(16, 1), of(16, 4)], 1, False, "
    "has_ih_bias=False, has_hh_bias=False), N)",
}
COMPUTING = ("lstm", "vjp", "op")
COUNTING = ("explain", "sizes")


# Each array by itself is one that NumPy can have: of no more than 2^63 bytes.
@pytest.mark.parametrize(
    ("sizes", "calls"),
    [
        # products of two sizes beyond 2^63
        ((2**32, 2**28, 1, 64), (*COMPUTING, *COUNTING)),
        ((2**40, 2**20, 1, 64), (*COMPUTING, *COUNTING, "reserve")),
        ((2**20, 2**40, 1, 64), (*COMPUTING, *COUNTING, "reserve")),
        ((1, 2**58, 1, 4), (*COMPUTING, *COUNTING, "stream")),
        ((1, 2**60, 1, 1), (*COMPUTING, *COUNTING, "stream")),
        ((1, 1, 2**40, 4), (*COMPUTING, "pack")),
        ((2, 1, 1, 2**29), ("pack",)),
        ((2, 1, 2**31, 2**27), ("pack",)),
        # sizes that an index counts, in bytes, too
        ((2**30, 2**30, 1, 1), COMPUTING),
        ((2**30 - 1, 2**30 - 1, 1, 1), COMPUTING),
    ],
    ids=str,
)
def test_sizes_that_no_memory_has_are_refused(sizes, calls):
    for call in calls:
        code, output, error = ask(HUGE.format(sizes=sizes, call=HUGE_CALLS[call]))
        assert code == 0, (call, error)
        assert output == "MemoryError", call


@pytest.mark.slow
def test_rows_of_input_2_32_elements_apart(tmp_path):
    # Further than BLAS can count, in a file of which only the rows are there.
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
    # In a sparse file, of which only the last step's row is not zero.
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
