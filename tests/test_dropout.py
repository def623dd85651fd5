"""Dropout between layers: the masks, their replay, their independence of threads."""

import numpy as np
import pytest

import lstm_native
from calls import assert_same_bits, call_lstm, call_reference, flat_weight, operator_for
from fresh_interpreter import ask
from lstm_native._core import testing
from reference_dropout import drop_with, keep_mask, philox4x32_10
from shapes import Shape, make_case
from tolerances import assert_close

SHAPE = Shape("three_layers", 5, 4, 3, 7, num_layers=3)
BI_SHAPE = Shape("bi_three_layers", 3, 9, 5, 11, num_layers=3, bidirectional=True)


@pytest.mark.parametrize("counter", [[0, 0, 0, 0], [1, 2, 3, 4], [2**32 - 1] * 4])
@pytest.mark.parametrize("key", [[0, 0], [123, 2**32 - 1]])
def test_philox(counter, key):
    assert list(testing.philox4x32_10(counter, *key)) == philox4x32_10(counter, key)


@pytest.mark.parametrize("shape", [SHAPE, BI_SHAPE], ids=lambda shape: shape.name)
@pytest.mark.parametrize("rate", [0.1, 0.5, 0.9, 1.0])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_masks_are_the_documented_ones(shape, rate, dtype):
    case = make_case(shape, dtype, seed=1)
    seed = 2**63 + 12345
    got = call_lstm(case, dropout=rate, train=True, seed=seed)
    expected = call_reference(case, drop=drop_with(rate, seed, 0))
    for ours, theirs in zip(got, (expected.output, expected.h_n, expected.c_n), strict=True):
        assert_close(ours, theirs, "value")


def test_the_generator_counts_calls():
    case = make_case(SHAPE, np.float64)
    lstm_native.manual_seed(7)
    for counter in range(3):
        got = call_lstm(case, dropout=0.5, train=True)
        expected = call_reference(case, drop=drop_with(0.5, 7, counter))
        assert_close(got[0], expected.output, "value")


def test_the_documented_masks_meet_the_rate():
    kept = keep_mask(0, 200, 500, 0.3, key=1, counter=0)
    deviation = np.sqrt(0.3 * 0.7 / kept.size)
    assert abs(kept.mean() - 0.7) < 4 * deviation


def test_manual_seed_repeats_what_follows():
    case = make_case(SHAPE, np.float32)

    def draw():
        return [call_lstm(case, dropout=0.4, train=True)[0] for _ in range(3)]

    lstm_native.manual_seed(99)
    first = draw()
    lstm_native.manual_seed(99)
    assert_same_bits(draw(), first)
    assert not np.array_equal(first[0], first[1])


def test_a_seed_leaves_the_generator_alone():
    case = make_case(SHAPE, np.float32)
    lstm_native.manual_seed(5)
    expected = call_lstm(case, dropout=0.5, train=True)
    lstm_native.manual_seed(5)
    call_lstm(case, dropout=0.5, train=True, seed=1)
    call_lstm(case, dropout=0.5, train=False)
    call_lstm(case, dropout=0.0, train=True)
    assert_same_bits(call_lstm(case, dropout=0.5, train=True), expected)


@pytest.mark.parametrize("counter", [2**32 - 1, 2**32, 2**63 + 5, 2**64 - 1])
def test_counters_beyond_32_bits(counter):
    case = make_case(SHAPE, np.float64)
    state = np.array([[3], [counter]], np.uint64)
    net = operator_for(case, 0.5)
    got = net(case.x, case.h0, case.c0, flat_weight(case), state=state)
    expected = call_reference(case, drop=drop_with(0.5, 3, counter))
    assert_close(got[0], expected.output, "value")


def test_without_a_seed_processes_differ():
    runs = {ask("own_seed.py") for _ in range(2)}
    assert all(code == 0 for code, _, _ in runs)
    assert len(runs) == 2


@pytest.mark.parametrize("rate", [0.25, 0.5])
def test_the_mean_is_kept(rate):
    # A forward mean over many masks approaches the value without dropout where the next layer is
    # nearly linear: tiny weights in the layer above.
    case = make_case(Shape("two", 1, 1, 4, 64, num_layers=2), np.float64)
    weights = [w if k < 4 else 1e-4 * w for k, w in enumerate(case.all_weights)]
    plain = call_lstm(case, all_weights=weights)[2][1]
    draws = [
        call_lstm(case, all_weights=weights, dropout=rate, train=True, seed=seed)[2][1]
        for seed in range(400)
    ]
    spread = np.std(draws, axis=0) / np.sqrt(len(draws))
    assert (np.abs(np.mean(draws, axis=0) - plain) < 6 * spread).all()


def test_dropout_one_gives_zeros_to_the_next_layer():
    case = make_case(SHAPE, np.float32)
    got = call_lstm(case, dropout=1.0, train=True)
    expected = call_reference(case, drop=lambda layer, outputs: np.zeros_like(outputs))
    assert_close(got[0], expected.output, "value")


def test_a_dropped_nan_is_zero():
    case = make_case(Shape("two", 2, 2, 3, 4, num_layers=2), np.float32)
    x = np.full_like(case.x, np.nan)
    zeroed = call_lstm(case, input=x, dropout=1.0, train=True)[0]
    assert np.isfinite(zeroed).all()


@pytest.mark.parametrize("threads", [1, 2, 3, 8])
def test_masks_do_not_depend_on_threads(threads):
    case = make_case(Shape("wide", 40, 33, 8, 24, num_layers=3, bidirectional=True), np.float32)
    expected = call_lstm(case, dropout=0.5, train=True, seed=3, num_threads=1)
    got = call_lstm(case, dropout=0.5, train=True, seed=3, num_threads=threads)
    assert_same_bits(got, expected)


def test_masks_do_not_depend_on_batch_first():
    case = make_case(SHAPE, np.float32)
    plain = call_lstm(case, dropout=0.5, train=True, seed=3)
    turned = call_lstm(
        case, input=case.x.swapaxes(0, 1), batch_first=True, dropout=0.5, train=True, seed=3
    )
    assert_same_bits((turned[0].swapaxes(0, 1), *turned[1:]), plain)


def test_operator_replays_a_state():
    case = make_case(BI_SHAPE, np.float32)
    net, w = operator_for(case, 0.5), flat_weight(case)
    first = net(case.x, case.h0, case.c0, w)
    other = net(case.x, case.h0, case.c0, w)
    assert not np.array_equal(first[0], other[0])
    assert not np.array_equal(first[4], other[4])
    for threads in (1, 2, 3, 8):
        again = net(case.x, case.h0, case.c0, w, state=first[4], num_threads=threads)
        assert_same_bits(again, first)


def test_a_replay_leaves_the_generator_alone():
    case = make_case(SHAPE, np.float32)
    net, w = operator_for(case, 0.5), flat_weight(case)
    lstm_native.manual_seed(11)
    first = net(case.x, case.h0, case.c0, w)
    second = net(case.x, case.h0, case.c0, w)
    lstm_native.manual_seed(11)
    net(case.x, case.h0, case.c0, w, state=second[4])
    assert_same_bits(net(case.x, case.h0, case.c0, w), first)


def test_state_is_key_and_counter_before_the_call():
    case = make_case(SHAPE, np.float32)
    net, w = operator_for(case, 0.5), flat_weight(case)
    lstm_native.manual_seed(2**64 - 1)
    states = [net(case.x, case.h0, case.c0, w)[4] for _ in range(3)]
    assert [s.view(np.uint64).ravel().tolist() for s in states] == [
        [2**64 - 1, counter] for counter in range(3)
    ]
    assert states[0].shape == (2, 1)
    assert states[0].dtype == np.int64


def test_one_layer_warns_and_drops_nothing():
    case = make_case(Shape("one", 2, 2, 3, 4), np.float32)
    plain = call_lstm(case)
    with pytest.warns(UserWarning, match="num_layers is 1") as caught:
        got = call_lstm(case, dropout=0.9, train=True)
    assert caught[0].filename.endswith("calls.py")
    assert_same_bits(got, plain)
    with pytest.warns(UserWarning, match="num_layers is 1") as caught:
        net = operator_for(case, 0.9)
    assert caught[0].filename.endswith("calls.py")
    assert_same_bits(net(case.x, case.h0, case.c0, flat_weight(case))[:3], plain)


def test_no_warning_where_no_dropout_was_asked_for():
    case = make_case(Shape("one", 2, 2, 3, 4), np.float32)
    call_lstm(case, dropout=0.9, train=False)  # pytest turns a warning into an error
    operator_for(case, 0.9, training=False)
