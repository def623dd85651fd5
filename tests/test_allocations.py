"""Whatever request for memory fails: MemoryError, and nothing is left."""

import pytest

from fresh_interpreter import ask
from native_libraries import compiled

CALLS = """if True:
    import ctypes, gc, itertools, sys
    import numpy as np, lstm_native
    sys.path.insert(0, {tests!r})
    from calls import gradient_arguments, gradient_for
    from calls import call_lstm, call_vjp, flat_weight, operator_for, pack, transposed_weights
    from shapes import Shape, make_case
    shim = ctypes.CDLL(None)
    shim.bytes_live.restype = shim.most_bytes_live.restype = ctypes.c_longlong
    lstm_native.set_num_threads(2)
    case = make_case(Shape("small", 9, 5, 6, 20, 2, True), np.float32)
    wave = make_case(Shape("wave", 40, 1, 32, 32, 4), np.float32)
    one = make_case(Shape("one", 9, 2, 6, 20, 2), np.float32)
    large = make_case(Shape("large", 4, 60, 8070, 264), np.float32)
    wide = make_case(Shape("wide", 50, 5, 300, 264), np.float32)
    double = make_case(Shape("double", 9, 5, 6, 20, 2, True), np.float64)
    packed, packed_wave, packed_one = pack(case), pack(wave), pack(one)
    flat, net = flat_weight(case), operator_for(case, 0.5)
    gradient = gradient_for(case, 0.5)
    stream = lstm_native.Stream(packed_one, 2)
    lengths = [9, 0, 3, 7, 9]
    rows, sizes = case.x.reshape(45, 6), [5] * 9
    outputs, pullback = call_vjp(case, dropout=0.5, seed=1)
    shorter = call_vjp(case, recompute=True)[1]
    uneven = call_vjp(case, lengths=lengths)[1]
    wide_outputs, wide_pullback = call_vjp(wide)
    few_outputs, few_pullback = call_vjp(large, input=large.x[:, :5], initial_states=(
        large.h0[:, :5], large.c0[:, :5]))
    double_outputs, double_pullback = call_vjp(double)
    y, hy, cy, reserve, state = net(case.x, case.h0, case.c0, flat)
    grad = gradient_arguments(case, flat, (y, hy, cy, reserve, state))
    workspace = gradient.data(*grad)[3]
    seq = itertools.cycle([3, 5])
    sequence = make_case(Shape("sequence", 40, 8, 60, 80), np.float32)

    def in_pool():
        with lstm_native.MemoryPool():
            call_lstm(sequence), call_lstm(sequence)
            call_lstm(sequence, lengths=[40] * 8)
            outputs, pullback = call_vjp(sequence)
            pullback(*outputs)

    calls = dict(
        lstm=lambda: call_lstm(case),
        transposed=lambda: call_lstm(
            case, all_weights=transposed_weights(case), weights_transposed=True),
        packed=lambda: call_lstm(case, all_weights=packed),
        strided=lambda: call_lstm(case, input=np.asfortranarray(case.x)),
        wavefront=lambda: call_lstm(wave, all_weights=packed_wave, num_threads=4),
        blas=lambda: call_lstm(large),
        lengths=lambda: call_lstm(case, lengths=lengths),
        batch_sizes=lambda: call_lstm(case, input=rows, batch_sizes=sizes),
        masks=lambda: call_lstm(case, dropout=0.5, train=True),
        operator=lambda: net(case.x, case.h0, case.c0, flat),
        vjp=lambda: call_vjp(case, dropout=0.5),
        pullback=lambda: pullback(*outputs),
        recomputed=lambda: shorter(*outputs),
        uneven=lambda: uneven(*outputs),
        packed_products=lambda: wide_pullback(*wide_outputs),
        products_by_blas=lambda: few_pullback(*few_outputs),
        double=lambda: call_lstm(double),
        double_pullback=lambda: double_pullback(*double_outputs),
        gradient=lambda: gradient(*grad),
        data=lambda: gradient.data(*grad),
        weights=lambda: gradient.weights(case.x, reserve, workspace, state),
        pack=lambda: pack(case),
        pack_halves=lambda: pack(case, weight_dtype="float16"),
        unpack=packed.unpack,
        stream=lambda: lstm_native.Stream(packed_one, 3),
        step=lambda: stream.step(one.x[0]),
        run=lambda: stream.run(one.x[: next(seq)]),
        state=lambda: stream.state,
        pooled=in_pool,
        explain=lambda: lstm_native.explain(seq_len=4, batch=3, input_size=5, hidden_size=6),
    )
"""

SWEEP = """
    def same(got, expected):
        return all(np.array_equal(a, b) for a, b in zip(got, expected))

    name = {name!r}
    call = calls[name]
    call(), call()  # whatever is kept from a first call on
    twin = lstm_native.Stream(packed_one, 2)
    twin.state = stream.state  # the same
    lstm_native.manual_seed(5); call()
    masks_after_it = call_lstm(case, dropout=0.5, train=True)
    lstm_native.manual_seed(5)
    gc.collect()
    before, failures = shim.bytes_live(), 0
    for request in itertools.count():
        twin.state = stream.state
        shim.watch_allocations(request)
        try:
            call()
            failed = False
        except MemoryError:  # whose frames hold results as long as this block runs
            failed = True
        if failed:
            failures += 1
            assert shim.allocations_seen() > request
            gc.collect()
            if name != "run":  # a stream gives up its memory for the old number of steps first
                assert shim.bytes_live() == before, (request, shim.bytes_live() - before)
            assert same(stream.state, twin.state)
            continue
        assert shim.allocations_seen() <= request, "a failure was passed over"
        break
    # The one that succeeded drew what masks it needs, the others none.
    assert same(call_lstm(case, dropout=0.5, train=True), masks_after_it)
    # An array, or another object of Python's, that the failure of any request leaves would show.
    def fail_again():
        for request in range(failures):
            shim.watch_allocations(request)
            try:
                call()
            except MemoryError:
                pass
            shim.allocations_seen()
    rounds, grown = 5, []
    while len(grown) < 60:  # Python's own caches fill, more and more slowly
        gc.collect()
        blocks = sys.getallocatedblocks()
        for _ in range(rounds):
            fail_again()
        gc.collect()
        grown.append(sys.getallocatedblocks() - blocks)
        if grown[-1] < rounds:
            break
    assert grown[-1] < rounds, grown
    print(failures)
"""

NAMES = (
    *("lstm", "transposed", "packed", "strided", "wavefront", "blas", "lengths", "batch_sizes"),
    *("masks", "operator", "vjp", "pullback", "recomputed", "uneven", "gradient", "data"),
    *("packed_products", "products_by_blas", "double", "double_pullback"),
    *("weights", "pack", "pack_halves", "unpack", "stream", "step", "run", "state", "explain"),
    "pooled",
)


@pytest.fixture(scope="module")
def shim(tmp_path_factory):
    return str(compiled("allocations", tmp_path_factory.mktemp("native")))


@pytest.mark.parametrize("name", NAMES)
def test_a_failure_of_any_request(name, shim, pytestconfig):
    tests = str(pytestconfig.rootpath / "tests")
    program = CALLS.format(tests=tests) + SWEEP.format(name=name)
    code, output, error = ask(program, LD_PRELOAD=shim)
    assert code == 0, error
    assert int(output) >= (0 if name == "explain" else 1)
