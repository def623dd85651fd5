"""Gradients: finite differences, threads, recomputed gates, needs, and the operator's tapes."""

import copy
import itertools
import pickle

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import lstm_native
from calls import (
    THREADS,
    assert_same_bits,
    call_vjp,
    draw_like,
    flat_gradients,
    flat_weight,
    gradient_for,
    operator_for,
    pack,
    transposed_weights,
)
from few_and_all import few_of
from gradient_checks import assert_central_differences
from lstm_native._backward import GradientNeeds, OutputGradients, backward
from lstm_native._run import CellWeights
from reference_backward import backward_packed
from shapes import Shape, make_case
from tolerances import assert_gradients_close


def expected_gradients(case, given):
    shape = case.shape
    d_rows = given[0].reshape(shape.seq_len * shape.batch, -1)
    answer = backward_packed(
        case.x.reshape(-1, shape.input_size), case.h0, case.c0, case.all_weights,
        shape.bidirectional, [shape.batch] * shape.seq_len, d_rows, *given[1:],
    )  # fmt: skip
    return [answer.input.reshape(case.x.shape), answer.h_0, answer.c_0, *answer.weights]


def test_finite_differences():
    case = make_case(Shape("small", 3, 2, 3, 4, 2, True), np.float64, seed=9)
    assert_central_differences(case, dropout=0.3, seed=4)


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
        results.append(flat_gradients(pullback(*draw_like(outputs))))
    for got in results[1:]:
        assert_same_bits(got, results[0])


# Rows and columns enough for sums over rows to pack both factors; the first has two blocks of rows.
PACKED = (
    Shape("blocks", 8, 150, 290, 12, 2, True),
    Shape("units", 10, 13, 21, 261),
    Shape("both", 5, 29, 300, 257, 1, True),
)


@few_of(
    "shape, transposed",
    itertools.product(PACKED, (False, True)),
    zip(PACKED, (True, False, True), strict=True),
    ids=lambda value: getattr(value, "name", str(value)),
)
def test_packed_products_over_rows(shape, transposed):
    case = make_case(shape, np.float64, seed=4)
    weights = transposed_weights(case) if transposed else case.all_weights
    results = []
    for threads in THREADS:
        outputs, pullback = call_vjp(
            case, weights_transposed=transposed, all_weights=weights, num_threads=threads
        )
        given = draw_like(outputs)
        results.append(flat_gradients(pullback(*given)))
    for got in results[1:]:
        assert_same_bits(got, results[0])
    got = [*results[0][:3], *(a.T if transposed and a.ndim == 2 else a for a in results[0][3:])]
    assert_gradients_close(got, expected_gradients(case, given))


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
    assert_same_bits(
        flat_gradients(pullback(given[0])), flat_gradients(pullback(given[0], *zeros[1:]))
    )
    assert not any(a.any() for a in flat_gradients(pullback()))


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


@pytest.mark.parametrize("duplicate", [pickle.dumps, copy.copy, copy.deepcopy])
def test_a_pullback_is_neither_pickled_nor_copied(duplicate):
    _, pullback = call_vjp(make_case(Shape("small", 3, 2, 3, 4), np.float32))
    with pytest.raises(TypeError, match="can't be pickled or copied; keep the arguments of lstm_"):
        duplicate(pullback)


def test_packed_weights_are_unpacked():
    case = make_case(Shape("small", 4, 3, 5, 6, 2), np.float32)
    outputs, pullback = call_vjp(case)
    same, other = call_vjp(case, all_weights=pack(case))
    assert_same_bits(outputs, same)
    assert_same_bits(flat_gradients(pullback(*outputs)), flat_gradients(other(*outputs)))


def test_an_empty_batch():
    case = make_case(Shape("empty", 4, 0, 5, 6, 2), np.float32)
    outputs, pullback = call_vjp(case)
    got = flat_gradients(pullback(*outputs))
    assert got[0].shape == (4, 0, 5)
    assert not any(a.any() for a in got[3:])


def test_bytes_of_the_tape():
    case = make_case(Shape("small", 4, 3, 5, 6, 2, True), np.float32)
    _, pullback = call_vjp(case)
    assert pullback.nbytes == 4 * (32 + 2 * 2 * 4 * 3 * 5 * 6)


@given(
    st.lists(st.integers(1, 40), min_size=1, max_size=9),
    st.integers(1, 40),
    st.integers(1, 70),
    st.integers(1, 3),
    st.booleans(),
    st.sampled_from([np.float32, np.float64]),
    st.sampled_from(["even", "packed", "lengths", "batch_first"]),
    st.sampled_from(["rows", "columns", "transposed"]),
    st.integers(0, 1000),
)
def test_recomputed_gates_give_the_same_bits(
    lengths, features, hidden, layers, bi, dtype, way, order, seed
):
    lengths = sorted(lengths, reverse=True)
    shape = Shape("again", lengths[0], len(lengths), features, hidden, layers, bi)
    case = make_case(shape, dtype, seed)
    options = {"dropout": 0.3 if layers > 1 else 0.0, "seed": seed}
    if order == "columns":
        options["all_weights"] = [np.asfortranarray(w) for w in case.all_weights]
    elif order == "transposed":
        options |= {"all_weights": transposed_weights(case), "weights_transposed": True}
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
    assert_same_bits(flat_gradients(short(*given)), flat_gradients(pullback(*given)))
    rows = sum(lengths) if way in ("packed", "lengths") else lengths[0] * len(lengths)
    cells = layers * (2 if bi else 1)
    assert short.nbytes == np.dtype(dtype).itemsize * (32 + cells * rows * 2 * hidden)


def test_gradients_of_two_directions_in_different_orders_are_refused():
    """The products of both are cut alike; no public call has such arrays."""
    case = make_case(Shape("both", 3, 2, 5, 6, 1, True), np.float32)
    outputs, pullback = call_vjp(case)
    buffers = [
        CellWeights(*(np.empty(w.shape, w.dtype, order) for w in case.all_weights[:4]))
        for order in "CF"
    ]
    with pytest.raises(ValueError, match="d_weights: expected both directions"):
        backward(
            pullback._call,
            pullback._tape,
            OutputGradients(*outputs),
            GradientNeeds(False, False, buffers),
        )


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
