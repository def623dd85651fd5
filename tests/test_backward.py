"""Gradients: against the float64 reference, finite differences, and themselves."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import lstm_native
from calls import (
    assert_same_bits,
    call_lstm,
    call_vjp,
    flat_weight,
    gradient_for,
    operator_for,
    pack,
    transposed_weights,
)
from reference_backward import backward_packed
from reference_dropout import drop_with
from shapes import TEST_SHAPES, Shape, make_case
from tolerances import TOLERANCES

RELATIVE = {dtype: TOLERANCES["gradient"].of(dtype) for dtype in (np.float32, np.float64)}
THREADS = (1, 2, 3, 8)


def draw_like(arrays, seed=5):
    rng = np.random.default_rng(seed)
    return [rng.standard_normal(a.shape).astype(a.dtype) for a in arrays]


def flat(gradients):
    d_input, (d_h, d_c), d_weights = gradients
    return [d_input, d_h, d_c, *d_weights]


def assert_gradients(got, expected, relative):
    for ours, theirs in zip(got, expected, strict=True):
        assert ours.shape == theirs.shape
        scale = np.abs(theirs).max(initial=1e-30)
        assert np.abs(ours - theirs).max(initial=0) <= relative * scale


def expected_gradients(case, batch_sizes, rows, given, drop=None):
    answer = backward_packed(
        rows, case.h0, case.c0, case.all_weights, case.shape.bidirectional, batch_sizes, *given,
        (case.has_ih_bias, case.has_hh_bias), drop,
    )  # fmt: skip
    return [answer.input, answer.h_0, answer.c_0, *answer.weights]


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("shape", TEST_SHAPES, ids=lambda shape: shape.name)
def test_against_the_reference(shape, dtype):
    case = make_case(shape, dtype, seed=3)
    outputs, pullback = call_vjp(case)
    assert_same_bits(outputs, call_lstm(case))
    given = draw_like(outputs)
    rows = case.x.reshape(-1, shape.input_size)
    d_rows = given[0].reshape(len(rows), -1)
    expected = expected_gradients(case, [shape.batch] * shape.seq_len, rows, (d_rows, *given[1:]))
    expected[0] = expected[0].reshape(case.x.shape)
    assert_gradients(flat(pullback(*given)), expected, RELATIVE[dtype])


@settings(max_examples=40)
@given(
    st.lists(st.integers(0, 7), min_size=1, max_size=9),
    st.integers(1, 20),
    st.integers(1, 35),
    st.integers(1, 3),
    st.booleans(),
    st.tuples(st.booleans(), st.booleans()),
    st.booleans(),
    st.booleans(),
    st.sampled_from([0.0, 0.4]),
    st.integers(0, 1000),
)
def test_ragged(lengths, features, hidden, layers, bi, bias, batch_first, transposed, rate, seed):
    steps = max(*lengths, 1)
    shape = Shape("ragged", steps, len(lengths), features, hidden, layers, bi)
    case = make_case(shape, np.float64, seed, bias)
    order = np.argsort([-n for n in lengths], kind="stable")
    sizes = [sum(n > t for n in lengths) for t in range(steps)]
    options = {
        "dropout": rate if layers > 1 else 0.0,
        "seed": seed,
        "weights_transposed": transposed,
        "all_weights": transposed_weights(case) if transposed else case.all_weights,
        "num_threads": 3,
    }
    turned = (lambda a: a.swapaxes(0, 1)) if batch_first else (lambda a: a)
    outputs, pullback = call_vjp(
        case, input=turned(case.x), lengths=lengths, batch_first=batch_first, **options
    )
    given = draw_like(outputs, seed)
    got = flat(pullback(*given))
    got[0] = turned(got[0])
    if transposed:
        got = [*got[:3], *(a.T if a.ndim == 2 else a for a in got[3:])]
    mask = np.arange(steps)[:, None] < np.array(lengths)
    assert not got[0][~mask].any()
    # The same sequences as a packed batch, longest first, those without steps left out.
    kept = [n for n in order if lengths[n] > 0]
    d_out = turned(given[0])
    if kept:
        rows = np.concatenate([case.x[t, order[: sizes[t]]] for t in range(steps) if sizes[t]])
        d_rows = np.concatenate([d_out[t, order[: sizes[t]]] for t in range(steps) if sizes[t]])
        sub = type(case)(shape, rows, case.h0[:, kept], case.c0[:, kept], case.all_weights, *bias)
        drop = drop_with(rate, seed, 0) if options["dropout"] else None
        wanted = expected_gradients(
            sub, [s for s in sizes if s], rows,
            (d_rows, given[1][:, kept], given[2][:, kept]), drop,
        )  # fmt: skip
        ours = [
            np.concatenate([got[0][t, order[: sizes[t]]] for t in range(steps) if sizes[t]]),
            got[1][:, kept],
            got[2][:, kept],
            *got[3:],
        ]
        assert_gradients(ours, wanted, 1e-11)
        packed_options = {**options, "input": rows, "batch_sizes": [s for s in sizes if s]}
        states = (case.h0[:, kept], case.c0[:, kept])
        _, packed_pullback = call_vjp(sub, initial_states=states, **packed_options)
        again = flat(packed_pullback(d_rows, given[1][:, kept], given[2][:, kept]))
        if transposed:
            again = [*again[:3], *(a.T if a.ndim == 2 else a for a in again[3:])]
        assert_gradients(again, wanted, 1e-11)
    empty = [n for n in range(len(lengths)) if lengths[n] == 0]
    np.testing.assert_array_equal(got[1][:, empty], given[1][:, empty])
    np.testing.assert_array_equal(got[2][:, empty], given[2][:, empty])
    if not kept:
        assert not any(a.any() for a in got[3:])


def test_finite_differences():
    case = make_case(Shape("small", 3, 2, 3, 4, 2, True), np.float64, seed=9)
    outputs, pullback = call_vjp(case, dropout=0.3, seed=4)
    given = draw_like(outputs)

    def loss():
        got = call_lstm(case, dropout=0.3, train=True, seed=4)
        return sum((a * b).sum() for a, b in zip(got, given, strict=True))

    arrays = [case.x, case.h0, case.c0, *case.all_weights]
    step = 1e-5
    for array, gradient in zip(arrays, flat(pullback(*given)), strict=True):
        for index in np.ndindex(array.shape):
            kept = array[index]
            array[index] = kept + step
            above = loss()
            array[index] = kept - step
            below = loss()
            array[index] = kept
            assert abs((above - below) / (2 * step) - gradient[index]) < 1e-6


@pytest.mark.parametrize(
    "shape",
    [
        Shape("bi", 6, 33, 17, 40, 2, True),
        Shape("one_row", 8, 1, 64, 128, 2),
        Shape("wide", 5, 9, 300, 260),
        Shape("units", 12, 3, 24, 520),
        Shape("rows", 20, 70, 40, 64),
    ],
    ids=lambda shape: shape.name,
)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_same_bits_on_any_number_of_threads(shape, dtype):
    case = make_case(shape, dtype, seed=1)
    results = []
    for threads in THREADS:
        outputs, pullback = (
            call_vjp(case, dropout=0.25, seed=7, num_threads=threads)
            if (shape.num_layers > 1)
            else call_vjp(case, num_threads=threads)
        )
        results.append(flat(pullback(*draw_like(outputs))))
    for got in results[1:]:
        assert_same_bits(got, results[0])


# Rows and columns enough for sums over rows to pack both factors; the first has two blocks of rows.
@pytest.mark.parametrize(
    "shape",
    [
        Shape("blocks", 8, 150, 290, 12, 2, True),
        Shape("units", 10, 13, 21, 261),
        Shape("both", 5, 29, 300, 257, 1, True),
    ],
    ids=lambda shape: shape.name,
)
@pytest.mark.parametrize("transposed", [False, True])
def test_packed_products_over_rows(shape, transposed):
    case = make_case(shape, np.float64, seed=4)
    weights = transposed_weights(case) if transposed else case.all_weights
    results = []
    for threads in THREADS:
        outputs, pullback = call_vjp(
            case, weights_transposed=transposed, all_weights=weights, num_threads=threads
        )
        given = draw_like(outputs)
        results.append(flat(pullback(*given)))
    for got in results[1:]:
        assert_same_bits(got, results[0])
    got = [*results[0][:3], *(a.T if transposed and a.ndim == 2 else a for a in results[0][3:])]
    rows = case.x.reshape(-1, shape.input_size)
    d_rows = given[0].reshape(len(rows), -1)
    expected = expected_gradients(case, [shape.batch] * shape.seq_len, rows, (d_rows, *given[1:]))
    expected[0] = expected[0].reshape(case.x.shape)
    assert_gradients(got, expected, RELATIVE[np.float64])


def test_needs_and_absent_gradients():
    case = make_case(Shape("small", 4, 3, 5, 6, 2), np.float64)
    outputs, pullback = call_vjp(case)
    given = draw_like(outputs)
    everything = pullback(*given)
    assert_same_bits([pullback(*given, needs=["input"])[0]], [everything[0]])
    assert pullback(*given, needs=["input"])[1:] == ((None, None), None)
    assert_same_bits(pullback(*given, needs={"states"})[1], everything[1])
    assert_same_bits(pullback(*given, needs=("weights",))[2], everything[2])
    zeros = [np.zeros_like(a) for a in given]
    assert_same_bits(flat(pullback(given[0])), flat(pullback(given[0], *zeros[1:])))
    assert not any(a.any() for a in flat(pullback()))


@pytest.mark.parametrize("steps", [1, 2**40])
@pytest.mark.parametrize("recompute", [False, True])
def test_no_rows_cost_nothing(steps, recompute):
    case = make_case(Shape("no_rows", 1, 0, 3, 5, 2, True), np.float32)
    x = np.broadcast_to(np.float32(0), (steps, 0, 3))
    (output, h_n, c_n), pullback = call_vjp(case, input=x, recompute=recompute, num_threads=2)
    d_input, d_states, d_weights = pullback(output, h_n, c_n)
    assert d_input.shape == x.shape
    assert [d.shape for d in d_states] == [case.h0.shape] * 2
    assert not any(d.any() for d in d_weights)
    assert [d.shape for d in d_weights] == [w.shape for w in case.all_weights]


def test_packed_weights_are_unpacked():
    case = make_case(Shape("small", 4, 3, 5, 6, 2), np.float32)
    outputs, pullback = call_vjp(case)
    same, other = call_vjp(case, all_weights=pack(case))
    assert_same_bits(outputs, same)
    assert_same_bits(flat(pullback(*outputs)), flat(other(*outputs)))


def test_an_empty_batch():
    case = make_case(Shape("empty", 4, 0, 5, 6, 2), np.float32)
    outputs, pullback = call_vjp(case)
    got = flat(pullback(*outputs))
    assert got[0].shape == (4, 0, 5)
    assert not any(a.any() for a in got[3:])


def test_bytes_of_the_tape():
    case = make_case(Shape("small", 4, 3, 5, 6, 2, True), np.float32)
    _, pullback = call_vjp(case)
    assert pullback.nbytes == 4 * (32 + 2 * 2 * 4 * 3 * 5 * 6)


@settings(max_examples=40)
@given(
    st.lists(st.integers(1, 40), min_size=1, max_size=9),
    st.integers(1, 40),
    st.integers(1, 70),
    st.integers(1, 3),
    st.booleans(),
    st.sampled_from([np.float32, np.float64]),
    st.sampled_from(["even", "packed", "lengths", "batch_first"]),
    st.integers(0, 1000),
)
def test_recomputed_gates_give_the_same_bits(
    lengths, features, hidden, layers, bi, dtype, way, seed
):
    lengths = sorted(lengths, reverse=True)
    shape = Shape("again", lengths[0], len(lengths), features, hidden, layers, bi)
    case = make_case(shape, dtype, seed)
    options = {"dropout": 0.3 if layers > 1 else 0.0, "seed": seed}
    if way == "packed":
        options["batch_sizes"] = [sum(n > t for n in lengths) for t in range(lengths[0])]
        pieces = [case.x[t, :size] for t, size in enumerate(options["batch_sizes"])]
        options["input"] = np.concatenate(pieces)
    elif way == "lengths":
        options["lengths"] = lengths
    elif way == "batch_first":
        options |= {"batch_first": True, "input": case.x.swapaxes(0, 1)}
    outputs, pullback = call_vjp(case, **options)
    again, short = call_vjp(case, recompute=True, num_threads=seed % 3 + 1, **options)
    assert_same_bits(again, outputs)
    given = draw_like(outputs)
    assert_same_bits(flat(short(*given)), flat(pullback(*given)))
    rows = sum(lengths) if way in ("packed", "lengths") else lengths[0] * len(lengths)
    cells = layers * (2 if bi else 1)
    assert short.nbytes == np.dtype(dtype).itemsize * (32 + cells * rows * 2 * hidden)


@pytest.mark.parametrize("needs", [["input"], ["states"], ["weights"]])
def test_recomputed_gates_for_one_need(needs):
    case = make_case(Shape("large", 30, 6, 520, 130, 2, True), np.float32)
    outputs, pullback = call_vjp(case)
    _, short = call_vjp(case, recompute=True)
    for mine, theirs in zip(
        short(*outputs, needs=needs), pullback(*outputs, needs=needs), strict=True
    ):
        got, expected = (a if isinstance(a, tuple) else (a,) for a in (mine, theirs))
        if expected[0] is not None:
            assert_same_bits(got, expected)


# --- the operator ---------------------------------------------------------------------------------


def operator_arguments(case, dropout=0.0, seed=3, **options):
    lstm_native.manual_seed(seed)
    w = flat_weight(case)
    if options.get("weight_layout") == "mindspore_cpu":
        w = w[: operator_for(case, dropout, **options).weight_size].reshape(-1, 1, 1)
    x = case.x.swapaxes(0, 1) if options.get("batch_first") else case.x
    y, hy, cy, reserve, state = operator_for(case, dropout, **options)(x, case.h0, case.c0, w)
    given = draw_like((y, hy, cy))
    return [x, case.h0, case.c0, w, y, hy, cy, *given, reserve, state]


CASE = make_case(Shape("operator", 5, 3, 7, 6, 2, True), np.float64, seed=2)
LARGE_CASE = make_case(Shape("large", 5, 30, 9, 130, 2, True), np.float64, seed=2)


def test_operator_equals_the_function():
    arguments = operator_arguments(CASE, 0.4)
    dx, dh, dc, dw = gradient_for(CASE, 0.4)(*arguments)
    _, pullback = call_vjp(CASE, dropout=0.4, seed=3)
    d_input, (d_h, d_c), d_weights = pullback(*arguments[7:10])
    matrices = [w.ravel() for w in d_weights if w.ndim == 2]
    biases = [w for w in d_weights if w.ndim == 1]
    assert_same_bits((dx, dh, dc, dw), (d_input, d_h, d_c, np.concatenate(matrices + biases)))


@pytest.mark.parametrize("case", [CASE, LARGE_CASE], ids=lambda case: case.shape.name)
@pytest.mark.parametrize("layout", ["mindspore_gpu", "mindspore_cpu"])
@pytest.mark.parametrize("batch_first", [False, True])
def test_halves_and_layouts(case, layout, batch_first):
    options = {"weight_layout": layout, "batch_first": batch_first}
    net = gradient_for(case, 0.4, **options)
    arguments = operator_arguments(case, 0.4, **options)
    *expected, dw = net(*arguments)
    assert dw.shape == arguments[3].shape
    *got, workspace = net.data(*arguments)
    assert_same_bits(got, expected)
    x, reserve, state = arguments[0], arguments[10], arguments[11]
    assert_same_bits([net.weights(x, reserve, workspace, state)], [dw.ravel()])
    for array in (reserve, workspace):  # arguments are only read
        array.flags.writeable = False
    assert_same_bits([net.weights(x, reserve, workspace, state)], [dw.ravel()])
    out = np.ones_like(dw)
    assert net.weights(x, reserve, workspace, out=out, accumulate=True) is out
    np.testing.assert_allclose(out, dw + 1, rtol=1e-12, atol=1e-13)  # sums that begin with 1
    net.weights(x, reserve, workspace, out=out)
    assert_same_bits([out], [dw])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda a: a.__setitem__(10, a[10][:-1]), "reserve: expected shape"),
        (lambda a: a.__setitem__(10, np.empty((0, 1))), "reserve: expected shape"),
        (lambda a: a.__setitem__(10, np.zeros_like(a[10])), "reserve: expected what a training"),
        (lambda a: a.__setitem__(11, a[11] + 1), "state: expected"),
        (lambda a: a[10].view(np.int64).__setitem__((2, 0), 6), "call with seq_len 5, got 6"),
        (lambda a: a[10].view(np.int64).__setitem__((13, 0), -1), "call with elements"),
        (lambda a: a[10].__setitem__((10, 0), np.nan), "call with dropout 0.4, got nan"),
    ],
)
def test_wrong_reserves(change, message):
    arguments = operator_arguments(CASE, 0.4)
    arguments[10] = arguments[10].copy()
    change(arguments)
    with pytest.raises(ValueError, match=message):
        gradient_for(CASE, 0.4)(*arguments)


def test_a_reserve_of_another_operator():
    arguments = operator_arguments(CASE, 0.4)
    with pytest.raises(ValueError, match=r"call with dropout 0.3, got 0.4"):
        gradient_for(CASE, 0.3)(*arguments)
    arguments[10] = arguments[10].astype(np.float32)
    with pytest.raises(TypeError, match="reserve: expected dtype float64"):
        gradient_for(CASE, 0.4)(*arguments)
