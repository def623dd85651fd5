"""Results against the float64 reference, shape by shape and flag by flag."""

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from calls import assert_same_bits, call_lstm, call_reference
from drawn_shapes import drawn_shapes
from shapes import BENCH_SHAPES, TEST_SHAPES, Case, Shape, make_case, shapes_by_name
from tolerances import assert_close

DTYPES = (np.float32, np.float64)
BIASES = tuple(itertools.product((True, False), repeat=2))
# The promise is for T up to 100 and H up to 512; the rest of the bench shapes run when benchmarked.
LARGE_SHAPES = tuple(
    shape
    for shape in BENCH_SHAPES
    if shape.seq_len <= 100 and shape.hidden_size <= 512 and shape.seq_len * shape.batch <= 2000
)


def assert_answer(got, case: Case, **changes) -> None:
    expected = call_reference(case, **changes)
    for ours, theirs in zip(got, (expected.output, expected.h_n, expected.c_n), strict=True):
        assert ours.dtype == case.x.dtype
        assert_close(ours, theirs, "value")


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", TEST_SHAPES, ids=lambda shape: shape.name)
def test_small_shapes(shape, dtype):
    case = make_case(shape, dtype, seed=1)
    assert_answer(call_lstm(case), case)


@pytest.mark.parametrize("shape", LARGE_SHAPES, ids=lambda shape: shape.name)
def test_large_shapes(shape):
    case = make_case(shape, np.float32, seed=2)
    assert_answer(call_lstm(case), case)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("bidirectional", [False, True])
def test_the_ends_of_the_promise(bidirectional, dtype):
    shape = Shape("promise", 100, 2, 512, 512, bidirectional=bidirectional)
    case = make_case(shape, dtype, seed=8)
    assert_answer(call_lstm(case), case)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("bias", BIASES)
@pytest.mark.parametrize("transposed", [False, True])
@pytest.mark.parametrize("batch_first", [False, True])
@pytest.mark.parametrize("name", ["two_layers", "bi_two_layers", "one_step_one_row"])
def test_flags(name, batch_first, transposed, bias, dtype):
    case = make_case(shapes_by_name()[name], dtype, seed=3, bias=bias)
    changes = {}
    if transposed:
        weights = [np.ascontiguousarray(w.T) if w.ndim == 2 else w for w in case.all_weights]
        changes.update(all_weights=weights, weights_transposed=True)
    if batch_first:
        changes.update(input=np.ascontiguousarray(case.x.swapaxes(0, 1)), batch_first=True)
    output, h_n, c_n = call_lstm(case, **changes)
    assert output.flags.c_contiguous
    assert_answer((output.swapaxes(0, 1) if batch_first else output, h_n, c_n), case)


@given(
    drawn_shapes(seq_len=12, batch=(0, 40), input_size=40, hidden_size=40),
    st.sampled_from(DTYPES),
    st.sampled_from(BIASES),
    st.booleans(),
    st.booleans(),
    st.integers(1, 4),
    st.integers(0, 2**32 - 1),
)
def test_random_shapes_and_flags(shape, dtype, bias, batch_first, transposed, threads, seed):
    case = make_case(shape, dtype, seed, bias)
    weights = [w.T if transposed and w.ndim == 2 else w for w in case.all_weights]
    output, h_n, c_n = call_lstm(
        case,
        input=case.x.swapaxes(0, 1) if batch_first else case.x,
        batch_first=batch_first,
        all_weights=weights,
        weights_transposed=transposed,
        num_threads=threads,
    )
    assert_answer((output.swapaxes(0, 1) if batch_first else output, h_n, c_n), case)


def test_unsaturated_weights_far_beyond_unit_scale():
    case = make_case(shapes_by_name()["bi_two_layers"], np.float64, seed=4)
    case = Case(case.shape, 50 * case.x, case.h0, 30 * case.c0, [9 * w for w in case.all_weights])
    assert_answer(call_lstm(case), case)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("name", ["batch_33", "bi_two_layers", "batch_64_h8"])
def test_a_bad_value_stays_in_its_own_batch_row(name, bad):
    case = make_case(shapes_by_name()[name], np.float32, seed=5)
    clean = call_lstm(case)
    x = case.x.copy()
    x[1, 1, :] = bad
    spoilt = call_lstm(case, input=x)
    others = np.arange(case.shape.batch) != 1
    assert_same_bits([a[:, others] for a in spoilt], [a[:, others] for a in clean])
    if np.isnan(bad):
        assert np.isnan(spoilt[1][:, 1]).all()


def test_a_nan_weight_makes_nan_outputs():
    case = make_case(shapes_by_name()["h8"], np.float32, seed=6)
    weights = [np.full_like(w, np.nan) for w in case.all_weights]
    assert all(np.isnan(a).all() for a in call_lstm(case, all_weights=weights))


@pytest.mark.parametrize("dtype", DTYPES)
def test_empty_batch(dtype):
    case = make_case(Shape("empty", 3, 0, 4, 5, num_layers=2, bidirectional=True), dtype)
    output, h_n, c_n = call_lstm(case)
    assert output.shape == (3, 0, 10)
    assert h_n.shape == c_n.shape == (4, 0, 5)
    assert output.dtype == dtype


@pytest.mark.parametrize("name", ["bi_two_layers", "batch_33"])
def test_a_sequence_in_two_calls_is_the_sequence_in_one(name):
    shape = shapes_by_name()[name]
    case = make_case(Shape("uni", 6, shape.batch, 7, shape.hidden_size, 2), np.float64, seed=7)
    whole = call_lstm(case)
    first = call_lstm(case, input=case.x[:2])
    second = call_lstm(case, input=case.x[2:], initial_states=first[1:])
    assert_close(np.concatenate([first[0], second[0]]), whole[0], "layout")
    assert_close(second[1], whole[1], "layout")
    assert_close(second[2], whole[2], "layout")
