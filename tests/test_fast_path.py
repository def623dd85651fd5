"""The fast path, for calls that need no conversion: the general way's bits, and no other calls."""

import threading

import numpy as np
import pytest

from calls import (
    DTYPES,
    assert_same_bits,
    call_lstm,
    call_vjp,
    draw_like,
    flat_gradients,
    flat_weight,
    operator_for,
    pack,
    turned,
)
from lstm_native import _functional, _op, _vjp
from lstm_native._extension import core
from ragged import sorted_rows
from shapes import FEW_SHAPES, Shape, make_case

every_few = pytest.mark.parametrize("shape", FEW_SHAPES, ids=lambda shape: shape.name)


class Subclass(np.ndarray):
    """What only the general way takes."""


@pytest.fixture
def no_general_way(monkeypatch):
    """Where nothing needs a conversion, what converts is not called."""

    def refuse(*arguments, **keywords):
        raise AssertionError("not on the fast path")

    for module, name in ((_functional, "prepare"), (_op, "forward"), (_vjp, "backward")):
        monkeypatch.setattr(module, name, refuse)


def quickly(case, **changes):
    given = {
        "input": case.x,
        "initial_states": (case.h0, case.c0),
        "weights": case.all_weights,
        "form": (case.shape.num_layers, case.shape.bidirectional, False),
        "ragged": None,
        "threads": 2,
    }
    return core.lstm_if_plain(**{**given, **changes})


def ways_to_call(case):
    """Changes of a call of `lstm` that leave nothing to convert."""
    steps, batch = case.x.shape[:2]
    lengths = [max(steps - 2 * row, 0) for row in range(batch)]
    packed, states, sizes, _ = sorted_rows(case, lengths)
    yield {}
    yield {"batch_first": True, "input": turned(case.x)}
    yield {"lengths": lengths}
    yield {"lengths": np.array(lengths), "batch_first": True, "input": turned(case.x)}
    yield {"lengths": tuple(lengths), "input": case.x[:, :, :]}
    yield {"batch_sizes": sizes, "input": packed, "initial_states": states}
    yield {"input": np.repeat(case.x, 2, axis=0)[::2]}
    yield {"all_weights": [np.asfortranarray(w) for w in case.all_weights]}
    yield {"all_weights": tuple(np.repeat(w, 2, axis=-1)[..., ::2] for w in case.all_weights)}


@pytest.mark.parametrize("dtype", DTYPES)
@every_few
def test_same_bits_as_the_general_way(shape, dtype, request):
    case = make_case(shape, dtype)
    if case.x.size == 0:
        assert quickly(case) is None
        return
    calls = list(ways_to_call(case))
    calls += [{"all_weights": pack(case), **changes} for changes in calls[:-2]]
    expected = [call_lstm(case, **changes, train=np.False_) for changes in calls]
    request.getfixturevalue("no_general_way")
    for changes, general in zip(calls, expected, strict=True):
        assert_same_bits(call_lstm(case, **changes), general)


@pytest.mark.parametrize("layout", ["mindspore_gpu", "mindspore_cpu"])
@every_few
def test_the_operator_has_the_same_bits(shape, layout, request):
    case = make_case(shape, np.float32)
    if case.x.size == 0:
        return
    weights = [flat_weight(case, layout), pack(case)]
    calls = []
    for batch_first in (False, True):
        x = turned(case.x) if batch_first else case.x
        for dropout in (0.0, 0.5) if shape.num_layers > 1 else (0.0,):
            net = operator_for(case, dropout, weight_layout=layout, batch_first=batch_first)
            calls += [(net, (x, case.h0, case.c0, w)) for w in weights]
    options = [{"state": np.array([[3], [4]]), "training": kept} for kept in (True, False)]
    expected = [
        net(x.view(Subclass), *others, **given) for net, (x, *others) in calls for given in options
    ]
    request.getfixturevalue("no_general_way")
    got = [net(*arrays, **given) for net, arrays in calls for given in options]
    for results, general in zip(got, expected, strict=True):
        assert_same_bits(results, general)


@pytest.mark.parametrize("recompute", [False, True])
@every_few
def test_a_pullback_has_the_same_bits(shape, recompute, request):
    case = make_case(shape, np.float32)
    if case.x.size == 0:
        return
    pullbacks = [
        call_vjp(case, **changes, recompute=recompute) for changes in list(ways_to_call(case))[:-2]
    ]
    needs = [("input", "states", "weights"), ["weights"], {"states"}, ()]
    gradients = [draw_like(outputs) for outputs, _ in pullbacks]
    expected = [
        flat_gradients(pullback(d[0].view(Subclass), *d[1:], needs=wanted))
        for (_, pullback), d in zip(pullbacks, gradients, strict=True)
        for wanted in needs
    ]
    request.getfixturevalue("no_general_way")
    got = [
        flat_gradients(pullback(*d, needs=wanted))
        for (_, pullback), d in zip(pullbacks, gradients, strict=True)
        for wanted in needs
    ]
    for results, general in zip(got, expected, strict=True):
        assert_same_bits(results, general)


def changed(place, change):
    def of(case):
        weights = list(case.all_weights)
        weights[place] = change(weights[place])
        return weights

    return of


UNUSUAL = {
    "no_array": {"input": lambda case: case.x.tolist()},
    "other_rank": {"input": lambda case: case.x[0]},
    "wider_input": {"input": lambda case: np.concatenate([case.x, case.x], axis=2)},
    "input_with_gaps": {"input": lambda case: np.asfortranarray(case.x)},
    "input_of_another_dtype": {"input": lambda case: case.x.astype(np.float64)},
    "input_in_the_other_byte_order": {"input": lambda case: case.x.astype(">f4")},
    "masked_input": {"input": lambda case: np.ma.masked_array(case.x)},
    "subclass": {"input": lambda case: case.x.view(Subclass)},
    "empty_batch": {"input": lambda case: case.x[:, :0]},
    "list_of_states": {"initial_states": lambda case: [case.h0, case.c0]},
    "one_state": {"initial_states": lambda case: (case.h0,)},
    "states_of_fewer_rows": {"initial_states": lambda case: (case.h0[:, :1], case.c0[:, :1])},
    "another_number_of_layers": {"form": lambda case: (1, True, False)},
    "the_other_number_of_directions": {"form": lambda case: (2, False, False)},
    "the_other_order_of_axes": {"form": lambda case: (2, True, True)},
    "lengths_that_are_no_ints": {"ragged": lambda case: (None, [1.0] * 2)},
    "lengths_of_another_count": {"ragged": lambda case: (None, [1])},
    "no_lengths": {"ragged": lambda case: (None, [])},
    "lengths_beyond_the_steps": {"ragged": lambda case: (None, [4, 1])},
    "lengths_beyond_an_index": {"ragged": lambda case: (None, [2**70, 1])},
    "negative_lengths": {"ragged": lambda case: (None, np.array([-1, 1]))},
    "narrow_lengths": {"ragged": lambda case: (None, np.array([1, 1], np.int32))},
    "masked_lengths": {"ragged": lambda case: (None, np.ma.masked_array([1, 1]))},
    "a_length": {"ragged": lambda case: (None, 1)},
    "batch_sizes_of_a_padded_batch": {"ragged": lambda case: ([2, 2, 2], None)},
    "no_batch_sizes": {"ragged": lambda case: ([], None)},
    "lengths_and_batch_sizes": {"ragged": lambda case: ([2, 2, 2], [3, 3])},
    "no_weights": {"weights": lambda case: []},
    "dictionary_of_weights": {"weights": lambda case: dict(enumerate(case.all_weights))},
    "a_weight_too_many": {"weights": lambda case: [*case.all_weights, case.all_weights[-1]]},
    "no_matrix": {"weights": changed(0, lambda w: w.reshape(-1))},
    "wider_matrix": {"weights": changed(5, lambda w: np.concatenate([w, w], axis=1))},
    "transposed_matrix": {"weights": changed(4, lambda w: np.ascontiguousarray(w.T))},
    "weight_of_another_dtype": {"weights": changed(4, lambda w: w.astype(np.float64))},
    "shorter_bias": {"weights": changed(2, lambda b: b[:-1])},
    "masked_bias": {"weights": changed(3, np.ma.masked_array)},
    "no_bias": {"weights": changed(3, lambda b: None)},
    "packed_with_another_number_of_layers": {
        "weights": lambda case: pack(case)._core,
        "form": lambda case: (1, True, False),
    },
    "packed_of_another_dtype": {
        "weights": lambda case: pack(make_case(case.shape, np.float64))._core,
    },
}


@pytest.mark.parametrize("changes", UNUSUAL.values(), ids=UNUSUAL)
def test_anything_unusual_goes_the_general_way(changes):
    case = make_case(Shape("two", 3, 2, 5, 8, 2, True), np.float32)
    assert quickly(case) is not None
    assert quickly(case, **{name: change(case) for name, change in changes.items()}) is None


def test_the_list_may_change_meanwhile():
    case = make_case(Shape("long", 400, 16, 64, 96), np.float32)
    expected = call_lstm(case)
    for _ in range(20):
        weights = [w.copy() for w in case.all_weights]
        begun = threading.Event()

        def empty(weights=weights, begun=begun):
            begun.wait()
            weights.clear()
            for w in case.all_weights:  # what was freed is soon something else's
                np.full_like(w, np.nan)

        thread = threading.Thread(target=empty)
        thread.start()
        begun.set()
        try:
            got = call_lstm(case, all_weights=weights)
        except ValueError:  # emptied before the call had begun
            got = expected
        thread.join()
        assert_same_bits(got, expected)
