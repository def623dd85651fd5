"""The quick way in, for calls that need no conversion: the general way's bits."""

import threading

import numpy as np
import pytest

from calls import DTYPES, assert_same_bits, call_lstm, pack
from lstm_native._extension import core
from shapes import FEW_SHAPES, Shape, make_case


def quickly(case, threads=2, **changes):
    given = {
        "input": case.x,
        "initial_states": (case.h0, case.c0),
        "weights": case.all_weights,
        "num_layers": case.shape.num_layers,
        "bidirectional": case.shape.bidirectional,
    }
    return core.run_if_usual(**{**given, **changes}, threads=threads)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", FEW_SHAPES, ids=lambda shape: shape.name)
def test_same_bits_as_the_general_way(shape, dtype):
    case = make_case(shape, dtype)
    for weights, own in ((case.all_weights, None), (pack(case), pack(case)._core)):
        generally = call_lstm(case, all_weights=weights, batch_first=np.False_, num_threads=2)
        got = quickly(case, weights=weights if own is None else own)
        if case.x.size == 0:
            assert got is None
            continue
        assert_same_bits(got, generally)
        assert_same_bits(call_lstm(case, all_weights=weights, num_threads=2), generally)


def changed(place, change):
    def of(case):
        weights = list(case.all_weights)
        weights[place] = change(weights[place])
        return weights

    return of


class Subclass(np.ndarray):
    pass


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
    "no_layers": {"num_layers": lambda case: 0},
    "another_number_of_layers": {"num_layers": lambda case: 1},
    "more_layers_than_an_index": {"num_layers": lambda case: 2**70},
    "the_other_number_of_directions": {"bidirectional": lambda case: False},
    "no_weights": {"weights": lambda case: []},
    "dictionary_of_weights": {"weights": lambda case: dict(enumerate(case.all_weights))},
    "a_weight_too_many": {"weights": lambda case: [*case.all_weights, case.all_weights[-1]]},
    "no_matrix": {"weights": changed(0, lambda w: w.reshape(-1))},
    "wider_matrix": {"weights": changed(5, lambda w: np.concatenate([w, w], axis=1))},
    "transposed_matrix": {"weights": changed(4, lambda w: np.ascontiguousarray(w.T))},
    "matrix_in_another_order": {"weights": changed(1, np.asfortranarray)},
    "weight_of_another_dtype": {"weights": changed(4, lambda w: w.astype(np.float64))},
    "shorter_bias": {"weights": changed(2, lambda b: b[:-1])},
    "bias_with_gaps": {"weights": changed(3, lambda b: np.repeat(b, 2)[::2])},
    "no_bias": {"weights": changed(3, lambda b: None)},
    "packed_with_another_number_of_layers": {
        "weights": lambda case: pack(case)._core,
        "num_layers": lambda case: 1,
    },
    "packed_with_the_other_number_of_directions": {
        "weights": lambda case: pack(case)._core,
        "bidirectional": lambda case: False,
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
