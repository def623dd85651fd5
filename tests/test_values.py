"""NaN, infinity and zero rows in plain calls, and a sequence cut in two."""

import numpy as np
import pytest

from calls import DTYPES, assert_same_bits, call_lstm
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
