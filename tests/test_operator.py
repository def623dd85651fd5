"""The operator LSTM: the documented example, layouts, reserve, options."""

import copy
import dataclasses
import pickle

import numpy as np
import pytest

import lstm_native
from calls import assert_same_bits, call_lstm, flat_weight, operator_for
from shapes import Shape, make_case, shapes_by_name
from test_reference import DOCUMENTED_OUTPUT

SHAPES = [shapes_by_name()[name] for name in ("h9", "two_layers", "bi_two_layers", "ones")]
HEADER = 32


def run(case, dropout=0.0, **options):
    return operator_for(case, dropout, **options)(case.x, case.h0, case.c0, flat_weight(case))


def test_documented_example():
    net = lstm_native.LSTM(10, 2, 1, True, False, 0.0)
    x = np.ones([5, 2, 10]).astype(np.float32)
    h0 = np.ones([1, 2, 2]).astype(np.float32)
    c0 = np.ones([1, 2, 2]).astype(np.float32)
    w = np.ones([112, 1, 1]).astype(np.float32)
    output, hn, cn, reserve, state = net(x, h0, c0, w)
    assert output.shape == (5, 2, 2)
    documented = np.broadcast_to(DOCUMENTED_OUTPUT[:, None, None], (5, 2, 2)).astype(np.float32)
    # Equal up to one unit in the last place: the exact second value is 0.99505382, and the
    # document prints 0.9950539.
    np.testing.assert_array_max_ulp(output, documented, maxulp=1)
    np.testing.assert_array_equal(hn[0], output[-1])
    assert cn.shape == (1, 2, 2)
    assert reserve.shape == (net.reserve_size(5, 2), 1)
    assert state.shape == (2, 1)


@pytest.mark.parametrize("has_bias", [True, False])
@pytest.mark.parametrize("shape", SHAPES, ids=lambda shape: shape.name)
def test_is_lstm_with_another_weight_layout(shape, has_bias):
    case = make_case(shape, np.float32, seed=1, bias=(has_bias, has_bias))
    net = operator_for(case)
    w = flat_weight(case)
    assert net.weight_size == w.size
    assert_same_bits(net(case.x, case.h0, case.c0, w)[:3], call_lstm(case))


@pytest.mark.parametrize("shape", [(-1,), (1, -1), (-1, 1, 1)])
def test_w_of_any_shape(shape):
    case = make_case(SHAPES[1], np.float32)
    w = flat_weight(case)
    plain = run(case)
    got = operator_for(case)(case.x, case.h0, case.c0, w.reshape(shape))
    assert_same_bits(got[:3], plain[:3])
    strided = np.repeat(w, 2)[::2]
    assert_same_bits(operator_for(case)(case.x, case.h0, case.c0, strided)[:3], plain[:3])


def test_batch_first():
    case = make_case(SHAPES[2], np.float32)
    plain = run(case)
    net = operator_for(case, batch_first=True)
    x = np.ascontiguousarray(case.x.swapaxes(0, 1))
    turned = net(x, case.h0, case.c0, flat_weight(case))
    assert turned[0].shape == (case.shape.batch, case.shape.seq_len, 2 * case.shape.hidden_size)
    assert_same_bits((turned[0].swapaxes(0, 1), *turned[1:4]), plain[:4])


def test_reserve_begins_with_a_header():
    case = make_case(SHAPES[1], np.float32)
    reserve = run(case)[3]
    assert reserve.shape == (operator_for(case).reserve_size(5, 3), 1)
    header = reserve[:HEADER].tobytes()
    assert header[:8] == b"LSTMTAPE"
    assert np.frombuffer(header[8:16], np.uint32).tolist() == [1, 4]
    shape = case.shape
    sizes = [shape.seq_len, shape.batch, shape.seq_len * shape.batch, shape.input_size]
    sizes += [shape.hidden_size, shape.hidden_size, shape.num_layers, 1]
    assert np.frombuffer(header[16:80], np.int64).tolist() == sizes
    lstm_native.manual_seed(2**64 - 3)
    reserve = run(case, dropout=0.5)[3]
    header = reserve[:HEADER].tobytes()
    assert np.frombuffer(header[80:88], np.float64).item() == 0.5
    assert np.frombuffer(header[88:104], np.uint64).tolist() == [2**64 - 3, 0]
    assert np.frombuffer(header[104:112], np.int64).item() == reserve.size
    assert not any(header[112:])


def test_not_training():
    case = make_case(SHAPES[1], np.float32)
    for net, options in (
        (operator_for(case, 0.5, training=False), {}),
        (operator_for(case, 0.5), {"training": False}),
    ):
        got = net(case.x, case.h0, case.c0, flat_weight(case), **options)
        assert_same_bits(got[:3], call_lstm(case))
        assert got[3].shape == (0, 1)
        assert got[3].dtype == np.float32
    net = operator_for(case, training=False)
    assert net(case.x, case.h0, case.c0, flat_weight(case), training=True)[3].size > 0


def test_empty_batch():
    case = make_case(Shape("empty", 2, 0, 3, 4, 2, True), np.float32)
    output, h_n, _, reserve, _ = run(case)
    assert output.shape == (2, 0, 8)
    assert h_n.shape == (4, 0, 4)
    assert reserve.shape == (HEADER, 1) == (operator_for(case).reserve_size(2, 0), 1)


def test_a_wrong_w_names_both_layouts():
    case = make_case(SHAPES[0], np.float32)
    net = operator_for(case)
    other = operator_for(case, weight_layout="mindspore_cpu")
    for wrong in (net.weight_size - 1, net.weight_size + 1, other.weight_size, 0):
        with pytest.raises(ValueError, match="w: expected") as caught:
            net(case.x, case.h0, case.c0, np.zeros(wrong, np.float32))
        assert f"{net.weight_size} for 'mindspore_gpu'" in str(caught.value)
        assert f"{other.weight_size} for 'mindspore_cpu'" in str(caught.value)


def test_repr_names_every_option():
    net = lstm_native.LSTM(3, 4, 2, False, True, 0.25, batch_first=True, training=False)
    assert repr(net) == (
        "LSTM(3, 4, 2, False, True, 0.25, batch_first=True, "
        "weight_layout='mindspore_gpu', training=False)"
    )


def test_is_immutable():
    sizes = (3, 4, 2, False, True, 0.25)
    for net in (lstm_native.LSTM(*sizes), lstm_native.LSTMGrad(*sizes)):
        for name in ("hidden_size", "dropout", "device", "anything"):
            with pytest.raises(dataclasses.FrozenInstanceError, match=f"assign to field '{name}'"):
                setattr(net, name, 1)
        with pytest.raises(dataclasses.FrozenInstanceError, match="delete field 'dropout'"):
            del net.dropout


def test_copies_and_pickles():
    case = make_case(SHAPES[0], np.float32)
    net = operator_for(case)
    plain = net(case.x, case.h0, case.c0, flat_weight(case))
    for twin in (copy.deepcopy(net), pickle.loads(pickle.dumps(net))):
        assert repr(twin) == repr(net)
        assert_same_bits(twin(case.x, case.h0, case.c0, flat_weight(case))[:4], plain[:4])
