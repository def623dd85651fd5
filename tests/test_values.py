"""NaN, infinity and zero rows in plain calls, and a sequence cut in two."""

import numpy as np
import pytest

from calls import DTYPES, assert_same_bits, call_lstm, call_vjp, pack
from shapes import Shape, make_case, shapes_by_name
from tolerances import assert_all_close, assert_close


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
@pytest.mark.parametrize("layout", ["time_major", "batch_first", "lengths", "batch_sizes"])
def test_no_initial_states_are_zeros(layout, dtype):
    case = make_case(shapes_by_name()["bi_two_layers"], dtype, seed=8)
    steps, batch = case.x.shape[:2]
    changes = {
        "time_major": {},
        "batch_first": {"input": np.ascontiguousarray(case.x.swapaxes(0, 1)), "batch_first": True},
        "lengths": {"lengths": [*range(batch)]},
        "batch_sizes": {"input": case.x.reshape(steps * batch, -1), "batch_sizes": [batch] * steps},
    }[layout]
    zeros = np.zeros_like(case.h0)
    for weights in (case.all_weights, pack(case)):
        given = {**changes, "all_weights": weights}
        with_zeros = {**given, "initial_states": (zeros, zeros)}
        without = {**given, "initial_states": None}
        assert_same_bits(call_lstm(case, **without), call_lstm(case, **with_zeros))
        (outputs, pullback), (same, other) = call_vjp(case, **without), call_vjp(case, **with_zeros)
        assert_same_bits(outputs, same)
        assert_same_bits(pullback(*outputs)[1], other(*outputs)[1])


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
    assert_all_close(second[1:], whole[1:], "layout")
