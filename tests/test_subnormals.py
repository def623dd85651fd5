"""Subnormal numbers count as zero while a call computes, or are kept: as the setting says."""

import json

import numpy as np
import pytest

import lstm_native
from calls import assert_same_bits, call_lstm, call_vjp, flat_weight, operator_for, pack
from fresh_interpreter import ask
from lstm_native import _config
from shapes import Shape, fading_case, make_case

DTYPES = [np.float32, np.float64]
SHAPES = [
    Shape("few", 40, 2, 8, 40),
    Shape("rows", 40, 13, 8, 24, 2),
    Shape("both", 40, 5, 8, 24, 2, True),
]


def is_subnormal(array):
    return (array != 0) & (np.abs(array) < np.finfo(array.dtype).tiny)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", SHAPES, ids=lambda shape: shape.name)
def test_a_fading_state(shape, dtype):
    case = fading_case(shape, dtype)
    for weights in (case.all_weights, pack(case)):
        flushed = call_lstm(case, all_weights=weights)
        lstm_native.set_flush_subnormals(False)
        kept = call_lstm(case, all_weights=weights)
        lstm_native.set_flush_subnormals(True)
        assert not any(is_subnormal(array).any() for array in flushed)
        assert is_subnormal(kept[0]).any()
        assert is_subnormal(kept[2]).any()
        # Each of them is off by less than the smallest normal number, and so are their sums.
        tiny = np.finfo(dtype).tiny
        for ours, theirs in zip(flushed, kept, strict=True):
            assert np.abs(ours - theirs).max() < 100 * tiny


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("flush", [True, False])
@pytest.mark.parametrize("shape", SHAPES, ids=lambda shape: shape.name)
def test_same_bits_for_any_number_of_threads(shape, flush, dtype):
    lstm_native.set_flush_subnormals(flush)
    case = fading_case(shape, dtype)
    packed = pack(case)
    expected = call_lstm(case, all_weights=packed, num_threads=1)
    outputs, pullback = call_vjp(case, num_threads=1)
    gradients = pullback(*outputs)
    for threads in (2, 3, 8):
        assert_same_bits(call_lstm(case, all_weights=packed, num_threads=threads), expected)
        results, other = call_vjp(case, num_threads=threads, recompute=True)
        assert_same_bits(results, outputs)
        assert_same_bits(other(*outputs)[2], gradients[2])


@pytest.mark.parametrize("dtype", DTYPES)
def test_every_way_to_call(dtype):
    case = fading_case(Shape("all", 40, 3, 8, 24), dtype)
    packed, net, w = pack(case), operator_for(case), flat_weight(case)

    def results():
        stream = lstm_native.Stream(packed, 3)
        stream.state = case.h0, case.c0
        return [
            call_lstm(case)[0],
            net(case.x, case.h0, case.c0, w)[0],
            stream.run(case.x),
            call_vjp(case)[0][0],
        ]

    assert not any(is_subnormal(array).any() for array in results())
    lstm_native.set_flush_subnormals(False)
    assert all(is_subnormal(array).any() for array in results())


@pytest.mark.parametrize("dtype", DTYPES)
def test_gradients(dtype):
    case = make_case(Shape("gradient", 30, 3, 8, 24), dtype)
    outputs, pullback = call_vjp(case)
    small = [np.full_like(array, 8 * np.finfo(dtype).tiny) for array in outputs]

    def subnormals():
        d_input, d_states, _ = pullback(*small)
        return sum(is_subnormal(array).sum() for array in (d_input, *d_states))

    assert subnormals() == 0
    lstm_native.set_flush_subnormals(False)
    assert subnormals() > 0


def test_what_is_only_copied_keeps_its_bits():
    # A state of a sequence without steps, packed weights.
    case = make_case(Shape("copied", 4, 3, 5, 6), np.float32)
    tiny = np.full_like(case.c0, np.finfo(np.float32).smallest_subnormal)
    got = call_lstm(case, initial_states=(tiny, tiny), lengths=[4, 0, 4])
    assert_same_bits([got[1][:, 1], got[2][:, 1]], [tiny[:, 1], tiny[:, 1]])
    weights = [np.full_like(w, np.finfo(np.float32).smallest_subnormal) for w in case.all_weights]
    assert_same_bits(lstm_native.pack_weights(weights, 1, False).unpack(), weights)


@pytest.mark.parametrize(
    ("given", "expected"), [("", True), ("1", True), (" 1 ", True), ("0", False)]
)
def test_the_environment(given, expected, monkeypatch):
    monkeypatch.setenv("LSTM_NATIVE_FLUSH_SUBNORMALS", given)
    assert _config._on_by_default("LSTM_NATIVE_FLUSH_SUBNORMALS") == expected


def test_a_wrong_environment_variable_is_named(monkeypatch):
    monkeypatch.setenv("LSTM_NATIVE_FLUSH_SUBNORMALS", "off")
    said = "environment variable LSTM_NATIVE_FLUSH_SUBNORMALS: expected 0 or 1, got 'off'"
    with pytest.raises(ValueError, match=said):
        _config._on_by_default("LSTM_NATIVE_FLUSH_SUBNORMALS")


def test_an_import_finds_the_environment():
    code, output, error = ask("imported.py", LSTM_NATIVE_FLUSH_SUBNORMALS="0")
    assert code == 0, error
    assert not json.loads(output)["flush"]
