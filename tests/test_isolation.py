"""NaN and infinity in one row of a batch touch no other row, whatever path a call takes."""

import numpy as np
import pytest

import lstm_native
from calls import call_lstm, call_vjp, flat_weight, operator_for, pack, transposed_weights
from few_and_all import few_dtypes
from shapes import Shape, make_case

POISONS = (np.nan, np.inf, -np.inf)
WHERE = ("x", "h0", "c0")

# Shapes and options that take each way to read weights, and each way to cut rows into tiles.
PATHS = {
    "packed": (Shape("packed", 9, 13, 24, 72, 2, True), "packed", {}),
    "packed, few rows": (Shape("few", 5, 3, 24, 72), "packed", {}),
    "packed, wavefront": (Shape("wave", 40, 2, 32, 32, 4), "packed", {"num_threads": 4}),
    "packed, one step": (Shape("step", 1, 7, 24, 72), "packed", {}),
    "packed, rest of lanes": (Shape("rest", 5, 11, 9, 13), "packed", {}),
    "float16": (Shape("half", 5, 7, 24, 72), "float16", {}),
    "bfloat16": (Shape("half", 5, 7, 24, 72), "bfloat16", {}),
    "plain, in place": (Shape("few", 5, 2, 24, 264), "plain", {}),
    "plain, in place, more rows": (Shape("few", 2, 7, 24, 72), "plain", {}),
    "plain, few long rows": (Shape("long", 5, 2, 24, 1030), "plain", {}),
    "plain, packed per call": (Shape("many", 9, 40, 24, 72, 2, True), "plain", {}),
    "plain, BLAS": (Shape("wide", 5, 40, 8070, 264), "plain", {}),
    "transposed": (Shape("many", 9, 40, 24, 72, 2), "transposed", {}),
    "threads": (Shape("threads", 9, 13, 24, 264, 1, True), "packed", {"num_threads": 4}),
    "masks": (Shape("masks", 5, 7, 24, 72, 3), "plain", {"dropout": 0.5, "train": True, "seed": 1}),
}


def poisoned(case, where, row, poison):
    arrays = {"x": case.x.copy(), "h0": case.h0.copy(), "c0": case.c0.copy()}
    arrays[where][:, row, ::3] = poison
    states = (arrays["h0"], arrays["c0"])
    return {"input": arrays["x"], "initial_states": states}


def weights_of(case, kind):
    if kind == "plain":
        return {"all_weights": case.all_weights}
    if kind == "transposed":
        return {"all_weights": transposed_weights(case), "weights_transposed": True}
    stored = None if kind == "packed" else kind
    return {"all_weights": pack(case, weight_dtype=stored)}


def assert_others_same(got, expected, row):
    """All arrays but None have the batch as their second axis."""
    for ours, theirs in zip(got, expected, strict=True):
        others = [np.delete(array, row, axis=1) for array in (ours, theirs)]
        assert np.isfinite(others[0]).all()
        assert others[0].tobytes() == others[1].tobytes()


@few_dtypes
@pytest.mark.parametrize("name", PATHS)
def test_forward(name, dtype):
    shape, kind, options = PATHS[name]
    if kind.endswith("16") and dtype == np.float64:
        options, dtype = {**options, "num_threads": 2}, np.float32  # there are none in 64 bits
    case = make_case(shape, dtype)
    options = {**options, **weights_of(case, kind)}
    expected = call_lstm(case, **options)
    for k, where in enumerate(WHERE):
        for poison in POISONS:
            row = (5 * k + 1) % shape.batch
            got = call_lstm(case, **options, **poisoned(case, where, row, poison))
            assert_others_same(got, expected, row)
            # Infinity may be no more than an open gate, but NaN is for ever.
            own = [got[0][:, row], expected[0][:, row]]
            assert own[0].tobytes() != own[1].tobytes()
            assert np.isnan(own[0]).any() or np.isinf(poison)


@pytest.mark.parametrize("ragged", ["lengths", "batch_sizes"])
@pytest.mark.parametrize("kind", ["packed", "plain"])
def test_ragged_batches(kind, ragged):
    shape = Shape("ragged", 9, 6, 24, 72, 2, True)
    case = make_case(shape, np.float32)
    lengths = [9, 7, 7, 4, 2, 1]
    padded = {**weights_of(case, kind), "lengths": lengths}
    expected = call_lstm(case, **padded)
    sizes = [sum(length > step for length in lengths) for step in range(9)]
    for row in range(6):
        changed = poisoned(case, "x", row, np.nan)
        if ragged == "lengths":
            assert_others_same(call_lstm(case, **padded, **changed), expected, row)
            continue
        x = changed.pop("input")
        rows = np.concatenate([x[t, :size] for t, size in enumerate(sizes)])
        got = call_lstm(case, **weights_of(case, kind), **changed, input=rows, batch_sizes=sizes)
        assert_others_same(got[1:], expected[1:], row)


def test_what_lies_behind_an_end_is_not_read():
    case = make_case(Shape("ragged", 9, 6, 24, 72, 2, True), np.float32)
    lengths = [3, 9, 0, 4, 2, 1]
    expected = call_lstm(case, lengths=lengths)
    x = case.x.copy()
    for row, length in enumerate(lengths):
        x[length:, row] = np.nan
    for got, wanted in zip(call_lstm(case, input=x, lengths=lengths), expected, strict=True):
        assert got.tobytes() == wanted.tobytes()


def test_streams():
    case = make_case(Shape("stream", 9, 7, 24, 72, 2), np.float32)
    packed = pack(case)
    expected = lstm_native.Stream(packed, 7).run(case.x)
    x = case.x.copy()
    x[2, 3] = np.nan
    for several in (True, False):
        stream = lstm_native.Stream(packed, 7)
        got = stream.run(x) if several else np.stack([stream.step(step) for step in x])
        assert_others_same([got], [expected], 3)


def test_the_operator():
    case = make_case(Shape("operator", 5, 6, 7, 20, 2, True), np.float32)
    net, w = operator_for(case), flat_weight(case)
    expected = net(case.x, case.h0, case.c0, w)[:3]
    x = poisoned(case, "x", 4, np.inf)["input"]
    assert_others_same(net(x, case.h0, case.c0, w)[:3], expected, 4)


BACKWARD = {
    "few rows": (Shape("few", 5, 3, 9, 13, 2, True), {}),
    "one group": (Shape("rows", 6, 13, 24, 72), {"num_threads": 3}),
    "packed factors": (Shape("wide", 40, 5, 300, 264, 2), {"num_threads": 2}),
    "few rows, wide": (Shape("few_wide", 2, 9, 300, 264, 2), {"num_threads": 2}),
    "recompute": (Shape("again", 6, 13, 24, 72, 2), {"recompute": True}),
    "masks": (Shape("masks", 6, 7, 24, 72, 3), {"dropout": 0.5, "seed": 1}),
    "lengths": (Shape("lengths", 6, 7, 24, 72, 2, True), {"lengths": [6, 1, 3, 0, 6, 2, 5]}),
}


@few_dtypes
@pytest.mark.parametrize("name", BACKWARD)
def test_backward(name, dtype):
    shape, options = BACKWARD[name]
    case = make_case(shape, dtype)
    outputs, pullback = call_vjp(case, **options)
    d_input, d_states, _ = pullback(*outputs)
    expected = (d_input, *d_states)
    row = shape.batch - 1
    # In the gradients that come back.
    for k in range(3):
        given = [array.copy() for array in outputs]
        given[k][:, row] = np.nan
        d_input, d_states, d_weights = pullback(*given)
        assert_others_same((d_input, *d_states), expected, row)
        # A weight is every row's: so is its gradient.
        assert any(np.isnan(gradient).any() for gradient in d_weights)
    # In what the call was given.
    for where in WHERE:
        changed = poisoned(case, where, row, np.inf)
        results, other = call_vjp(case, **options, **changed)
        given = [np.where(np.isfinite(a), a, 0) for a in outputs]
        d_input, d_states, _ = other(*given)
        assert_others_same((d_input, *d_states), expected, row)
        assert_others_same(results, outputs, row)
