"""Sigmoid and tanh: at most 4 ulp from the correctly rounded value, for every input."""

import mpmath
import numpy as np
import pytest

import lstm_native
from few_and_all import few_of
from lstm_native._core import testing
from ulp import FUNCTIONS, ordered, worst_ulp

ISAS = lstm_native.get_config()["isa"]["supported"]
MOST_ULP = 4


each_isa = pytest.mark.parametrize("isa", ISAS)
each_function = pytest.mark.parametrize("name", FUNCTIONS)


@few_of("stride", [257, 4099], [4099])
@each_function
@each_isa
def test_a_sample_of_all_float32(name, isa, stride):
    # Of the 2^32 bit patterns: all exponents, both signs, NaNs, infinities, subnormals.
    for first in range(0, 2**32, 2**28):
        x = np.arange(first, first + 2**28, stride, dtype=np.uint32).view(np.float32)
        assert worst_ulp(name, isa, x) <= MOST_ULP


@pytest.mark.slow
@each_function
@each_isa
def test_all_float32(name, isa):
    for first in range(0, 2**32, 2**24):
        x = np.arange(first, first + 2**24, dtype=np.uint32).view(np.float32)
        assert worst_ulp(name, isa, x) <= MOST_ULP


@each_function
@each_isa
def test_float64(name, isa):
    rng = np.random.default_rng(0)
    x = np.concatenate(
        [
            rng.uniform(-1, 1, 1500),
            rng.uniform(-40, 40, 1500),
            rng.uniform(-746, 746, 500),
            10.0 ** rng.uniform(-320, -1, 500),
            [0.0, 0.5625, np.nextafter(0.5625, 0), -708.4, -745.1, 5e-324],
        ]
    )
    exact = mpmath.tanh if name == "tanh" else (lambda v: 1 / (1 + mpmath.exp(-v)))
    with mpmath.workprec(200):
        expected = np.array([float(exact(mpmath.mpf(float(v)))) for v in x])
    got = FUNCTIONS[name][0](x, isa)
    assert np.abs(ordered(got) - ordered(expected)).max() <= MOST_ULP


@each_isa
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_ends_and_zero(isa, dtype):
    big = np.finfo(dtype).max
    x = np.array([-np.inf, -big, -1000, 0.0, -0.0, 1000, big, np.inf, np.nan], dtype)
    sigmoid, tanh = testing.sigmoid(x, isa), testing.tanh(x, isa)
    np.testing.assert_array_equal(sigmoid, np.array([0, 0, 0, 0.5, 0.5, 1, 1, 1, np.nan], dtype))
    np.testing.assert_array_equal(tanh, np.array([-1, -1, -1, 0, 0, 1, 1, 1, np.nan], dtype))
    assert np.signbit(tanh[4])
    assert not np.signbit(tanh[3])


@each_isa
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_tanh_of_small_arguments_is_the_argument(isa, dtype):
    tiny = np.finfo(dtype).smallest_subnormal
    x = np.array([tiny, -tiny, np.finfo(dtype).tiny, 1e-30, -1e-20], dtype)
    np.testing.assert_array_equal(testing.tanh(x, isa), x)


@each_isa
@pytest.mark.parametrize("name", ["sigmoid", "tanh"])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_ends_of_arrays_are_computed_like_their_middles(isa, name, dtype):
    x = np.linspace(-5, 5, 67).astype(dtype)
    whole = FUNCTIONS[name][0](x, isa)
    for count in range(len(x)):
        np.testing.assert_array_equal(FUNCTIONS[name][0](x[:count], isa), whole[:count])


def test_an_isa_that_cannot_run_is_refused():
    with pytest.raises(ValueError, match=r"ISA 'sse9' can't run here.*can run .*baseline"):
        testing.tanh(np.zeros(1, np.float32), "sse9")
