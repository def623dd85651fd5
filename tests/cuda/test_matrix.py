"""What the CPU's tests go through, on the device."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import lstm_native
from calls import (
    BIASES,
    DTYPES,
    call_lstm,
    call_vjp,
    draw_like,
    flat_weight,
    operator_for,
    pack,
    transposed_weights,
)
from comparison import assert_lstm_agrees, assert_same, assert_vjp_agrees
from drawn_shapes import drawn_shapes
from shapes import TEST_SHAPES, Case, Shape, make_case, shapes_by_name

# The one with the large matrix is there for a path of the CPU's.
SHAPES = [shape for shape in TEST_SHAPES if shape.name != "large_input_matrix"]


@pytest.fixture(autouse=True, params=["launches", "persistent"])
def _step_loop(request):
    """Each step a launch, or where that fits all steps of a layer one."""
    lstm_native._cuda_extension.load().set_step_loop(request.param)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", SHAPES, ids=lambda shape: shape.name)
def test_shapes(shape, dtype):
    assert_lstm_agrees(make_case(shape, dtype, seed=1))


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", SHAPES, ids=lambda shape: shape.name)
def test_gradients_of_shapes(shape, dtype):
    assert_vjp_agrees(make_case(shape, dtype, seed=3))


@pytest.mark.parametrize("bias", BIASES)
@pytest.mark.parametrize("transposed", [False, True])
@pytest.mark.parametrize("batch_first", [False, True])
def test_flags(batch_first, transposed, bias):
    case = make_case(shapes_by_name()["bi_two_layers"], np.float32, seed=3, bias=bias)
    changes = {}
    if transposed:
        changes.update(all_weights=transposed_weights(case), weights_transposed=True)
    if batch_first:
        changes.update(input=np.ascontiguousarray(case.x.swapaxes(0, 1)), batch_first=True)
    assert_lstm_agrees(case, **changes)
    assert_vjp_agrees(case, **changes)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("layers", [2, 3, 6])
def test_wavefronts(layers, dtype):
    case = make_case(Shape("wavefront", 41, 3, 4, 5, num_layers=layers), dtype, seed=2)
    options = {"dropout": 0.3, "seed": 8, "train": True}
    assert_lstm_agrees(case, **options)
    assert_vjp_agrees(case, **options)
    assert_vjp_agrees(case, lengths=[41, 7, 20], **options)


@pytest.mark.parametrize(
    "batch_sizes", [[1], [1, 1, 1], [3, 3, 3], [4, 3, 1], [9, 7, 5, 5, 4, 1], [9, 1, 1, 1]], ids=str
)
def test_packed(batch_sizes):
    shape = Shape("packed", len(batch_sizes), batch_sizes[0], 6, 9, 2, True)
    case = make_case(shape, np.float32)
    rows = np.concatenate([case.x[t, :size] for t, size in enumerate(batch_sizes)])
    assert_lstm_agrees(case, input=rows, batch_sizes=batch_sizes)
    assert_vjp_agrees(case, input=rows, batch_sizes=batch_sizes)
    assert_vjp_agrees(case, input=rows, batch_sizes=batch_sizes, recompute=True)


@given(
    st.lists(st.integers(0, 7), min_size=1, max_size=9),
    st.integers(1, 20),
    st.integers(1, 35),
    st.integers(1, 3),
    st.booleans(),
    st.sampled_from(BIASES),
    st.booleans(),
    st.booleans(),
    st.booleans(),
    st.sampled_from([0.0, 0.4]),
    st.sampled_from(DTYPES),
    st.integers(0, 1000),
)
def test_random_ragged(
    lengths,
    features,
    hidden,
    layers,
    bi,
    bias,
    batch_first,
    transposed,
    recompute,
    rate,
    dtype,
    seed,
):
    shape = Shape("ragged", max(*lengths, 1), len(lengths), features, hidden, layers, bi)
    case = make_case(shape, dtype, seed, bias)
    options = {
        "input": case.x.swapaxes(0, 1) if batch_first else case.x,
        "batch_first": batch_first,
        "dropout": rate if layers > 1 else 0.0,
        "seed": seed,
        "weights_transposed": transposed,
        "all_weights": transposed_weights(case) if transposed else case.all_weights,
        "lengths": lengths,
    }
    assert_lstm_agrees(case, train=True, **options)
    assert_vjp_agrees(case, recompute=recompute, **options)


@given(
    drawn_shapes(seq_len=40, batch=(0, 12), input_size=20, hidden_size=20, num_layers=4),
    st.sampled_from(DTYPES),
    st.sets(st.sampled_from(["input", "states", "weights"])),
    st.booleans(),
    st.integers(0, 2**32 - 1),
)
def test_random_shapes_and_needs(shape, dtype, needs, recompute, seed):
    case = make_case(shape, dtype, seed)
    assert_vjp_agrees(case, needs=needs, recompute=recompute)


@pytest.mark.parametrize("rate", [0.0, 0.25, 0.5, 1.0])
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("bidirectional", [False, True])
def test_dropout_drops_the_same_elements(bidirectional, dtype, rate):
    case = make_case(Shape("drop", 4, 3, 5, 7, 3, bidirectional), dtype, seed=4)
    for seed in (0, 1, 2**64 - 1):
        assert_lstm_agrees(case, dropout=rate, train=True, seed=seed)
        assert_vjp_agrees(case, dropout=rate, seed=seed)
    assert_vjp_agrees(case, dropout=rate, seed=3, recompute=True)


def test_a_graph_that_is_launched_again_takes_each_calls_seed():
    case = make_case(Shape("drop", 4, 3, 5, 7, 2), np.float32, seed=4)
    for seed in range(6):
        options = {"dropout": 0.5, "train": True, "seed": seed}
        assert_same(call_lstm(case, device="cuda", **options), call_lstm(case, **options))


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("layout", ["mindspore_gpu", "mindspore_cpu"])
@pytest.mark.parametrize("batch_first", [False, True])
@pytest.mark.parametrize("name", ["bi_two_layers", "two_layers"])
def test_the_operator_and_its_gradient(name, batch_first, layout, dtype):
    case = make_case(shapes_by_name()[name], dtype, seed=6)
    options = {"batch_first": batch_first, "weight_layout": layout}
    net = operator_for(case, 0.4, **options)
    there = operator_for(case, 0.4, device="cuda", **options)
    x = np.ascontiguousarray(case.x.swapaxes(0, 1)) if batch_first else case.x
    w = flat_weight(case)[: net.weight_size].reshape(-1, 1, 1)
    lstm_native.manual_seed(5)
    expected = net(x, case.h0, case.c0, w)
    lstm_native.manual_seed(5)
    for run in range(3):
        got = there(x, case.h0, case.c0, w, state=None if run == 0 else expected[4])
        assert_same(got[:4], expected[:4])
        np.testing.assert_array_equal(got[4], expected[4])
        assert got[3][:32].tobytes() == expected[3][:32].tobytes()  # the header, to the bit
    d = draw_like(expected[:3])
    grad = lstm_native.LSTMGrad(*arguments_of(case), **options)
    arrays = (x, case.h0, case.c0, w, *expected[:3], *d, expected[3])
    wanted = grad(*arrays, expected[4])
    grad_there = lstm_native.LSTMGrad(*arguments_of(case), device="cuda", **options)
    for _ in range(3):  # a tape of the one is a tape of the other
        assert_same(grad_there(*arrays, expected[4]), wanted)
    arrays = (*arrays[:-1], got[3])
    assert_same(grad(*arrays), wanted)
    assert_same(grad_there(*arrays), wanted)


def arguments_of(case):
    shape = case.shape
    sizes = (shape.input_size, shape.hidden_size, shape.num_layers)
    return (*sizes, True, shape.bidirectional, 0.4)


def test_the_two_halves_of_the_gradient():
    case = make_case(shapes_by_name()["bi_two_layers"], np.float64, seed=6)
    net, grad = operator_for(case, 0.4), lstm_native.LSTMGrad(*arguments_of(case))
    w = flat_weight(case)
    outputs = net(case.x, case.h0, case.c0, w)
    d = draw_like(outputs[:3])
    arrays = (case.x, case.h0, case.c0, w, *outputs[:3], *d, *outputs[3:])
    *expected, expected_work = grad.data(*arrays)
    for _ in range(3):
        *got, work = grad.data(*arrays, device="cuda")
        assert_same(got, expected)
        assert_same([work], [expected_work])
        expected_dw = grad.weights(case.x, outputs[3], expected_work)
        assert_same([grad.weights(case.x, outputs[3], work, device="cuda")], [expected_dw])
        assert_same([grad.weights(case.x, outputs[3], work)], [expected_dw])
        out = np.ones_like(expected_dw)
        again = grad.weights(case.x, outputs[3], work, out=out, accumulate=True, device="cuda")
        assert again is out
        assert_same([out], [expected_dw + 1])


def test_packed_weights_are_those_that_were_packed():
    case = make_case(shapes_by_name()["bi_two_layers"], np.float32, seed=7)
    for options in ({}, {"weight_dtype": "float16"}):
        packed = pack(case, **options)
        plain = Case(case.shape, case.x, case.h0, case.c0, packed.unpack())
        expected = call_lstm(plain)
        assert_same(call_lstm(case, all_weights=packed, device="cuda"), expected)
        assert_same(call_vjp(case, all_weights=packed, device="cuda")[0], expected)


def test_strides_and_byte_orders():
    case = make_case(shapes_by_name()["bi_two_layers"], np.float32, seed=8)
    expected = call_lstm(case)
    x = np.repeat(case.x, 2, axis=2)[:, ::-1, ::2][:, ::-1]
    swapped = case.h0.astype(case.h0.dtype.newbyteorder())
    got = call_lstm(case, input=x, initial_states=(swapped, case.c0), device="cuda")
    assert_same(got, expected)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_a_bad_value_stays_in_its_own_batch_row(bad):
    case = make_case(shapes_by_name()["bi_two_layers"], np.float32, seed=5)
    clean = call_lstm(case, device="cuda")
    x = case.x.copy()
    x[1, 1, :] = bad
    spoilt = call_lstm(case, input=x, device="cuda")
    others = np.arange(case.shape.batch) != 1
    assert_same([a[:, others] for a in spoilt], [a[:, others] for a in clean])
    if np.isnan(bad):
        assert np.isnan(spoilt[1][:, 1]).all()
