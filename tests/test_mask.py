"""`mask=`: steps that are left out wherever they are; the reference takes each step in turn."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import lstm_native
from array_kinds import ArrayOnly, backwards, every_other, read_only
from calls import (
    DTYPES,
    assert_same_bits,
    call_lstm,
    call_vjp,
    draw_like,
    flat_gradients,
    pack,
    turned,
)
from few_and_all import few_of
from gradient_checks import assert_central_differences
from reference_mask import reference_masked
from shapes import Shape, make_case
from tolerances import assert_close

T, N = 7, 5
LENGTHS = [7, 3, 0, 5, 1]
BEHIND = np.arange(T)[:, np.newaxis] < LENGTHS
HOLES = np.array(
    [
        [1, 0, 0, 1, 0],
        [0, 0, 0, 1, 1],
        [0, 1, 0, 0, 0],
        [1, 1, 0, 1, 0],
        [1, 0, 0, 0, 1],
        [0, 1, 0, 1, 0],
        [1, 0, 0, 0, 0],
    ],
    bool,
)
MASKS = {
    "behind": BEHIND,
    "in front": BEHIND[::-1],
    "in front, all alike": np.arange(T)[:, np.newaxis] >= [3] * N,
    "holes": HOLES,
    "the same step of all": np.arange(T)[:, np.newaxis] != [4] * N,
    "one step": np.arange(T)[:, np.newaxis] == [4, 0, 6, 3, 3],
    "all masked": np.zeros((T, N), bool),
    "none masked": np.ones((T, N), bool),
}
STACKS = {
    "one layer": {},
    "bidirectional": {"bidirectional": True},
    "three bidirectional layers": {"num_layers": 3, "bidirectional": True},
}
OUTPUTS = ["zero", "last"]

every_mask = pytest.mark.parametrize("name", MASKS)
every_output = pytest.mark.parametrize("masked_output", OUTPUTS)
every_dtype = few_of("dtype", DTYPES, [np.float32])
plain_or_packed = pytest.mark.parametrize("packed", [False, True], ids=["plain", "packed"])


def make(mask, dtype=np.float32, seed=1, **stack):
    """A case with garbage at masked steps, which would show anywhere."""
    steps, batch = mask.shape
    case = make_case(Shape("masked", steps, batch, 6, 9, **stack), dtype, seed)
    case.x[~mask] = np.nan
    return case


def batch_first_arguments(case, mask):
    return {"input": turned(case.x), "mask": turned(mask), "batch_first": True}


def assert_reference(got, case, mask, masked_output, directions=None):
    both = [False, True] if case.shape.bidirectional else [False]
    repeats = masked_output == "last"
    states = (case.h0, case.c0)
    expected = reference_masked(case.x, states, case.all_weights, directions or both, mask, repeats)
    for ours, theirs in zip(got, expected, strict=True):
        assert ours.dtype == case.x.dtype
        assert ours.flags.c_contiguous
        assert_close(ours, theirs, "value")
    if not repeats:
        masked = got[0][~mask]
        assert_same_bits([masked], [np.zeros_like(masked)])  # 0.0, and not -0.0
    empty = ~mask.any(axis=0)
    untouched = [state[:, empty] for state in states]
    assert_same_bits([state[:, empty] for state in got[1:]], untouched)


@every_dtype
@plain_or_packed
@every_output
@few_of("stack", STACKS, ["three bidirectional layers"])
@every_mask
def test_each_step_in_turn(name, stack, masked_output, packed, dtype):
    mask = MASKS[name]
    case = make(mask, dtype, **STACKS[stack])
    weights = pack(case) if packed else case.all_weights
    options = {"all_weights": weights, "masked_output": masked_output}
    got = call_lstm(case, mask=mask, **options)
    assert_reference(got, case, mask, masked_output)
    output, *states = call_lstm(case, **batch_first_arguments(case, mask), **options)
    assert_same_bits([output.swapaxes(0, 1), *states], got)


@every_output
@every_mask
def test_one_direction_from_the_end(name, masked_output):
    mask = MASKS[name]
    case = make(mask, num_layers=2)
    got = call_lstm(case, mask=mask, masked_output=masked_output, direction="reverse")
    assert_reference(got, case, mask, masked_output, [True])


@given(
    st.integers(1, 12),
    st.integers(0, 9),
    st.integers(1, 3),
    st.booleans(),
    st.sampled_from(OUTPUTS),
    st.floats(0, 1),
    st.integers(0, 2**32 - 1),
)
def test_random_masks(steps, batch, num_layers, bidirectional, masked_output, rate, seed):
    mask = np.random.default_rng(seed).random((steps, batch)) < rate
    case = make(mask, np.float64, seed, num_layers=num_layers, bidirectional=bidirectional)
    got = call_lstm(case, mask=mask, masked_output=masked_output)
    assert_reference(got, case, mask, masked_output)


# --- what it is computed as -----------------------------------------------------------------------


def moved_to_the_front(array, mask):
    """The steps that are left of each sequence, and their number."""
    moved = np.zeros_like(array)
    for row in range(mask.shape[1]):
        steps = array[mask[:, row], row]
        moved[: len(steps), row] = steps
    return moved, mask.sum(axis=0).tolist()


@every_mask
def test_the_bits_of_the_steps_that_are_left(name):
    mask = MASKS[name]
    case = make(mask, num_layers=3, bidirectional=True)
    options = {"all_weights": pack(case), "dropout": 0.4, "train": True, "seed": 5}
    got = call_lstm(case, mask=mask, **options)
    x, lengths = moved_to_the_front(case.x, mask)
    expected = call_lstm(case, input=x, lengths=lengths, **options)
    assert_same_bits(
        [moved_to_the_front(got[0], mask)[0], *got[1:]],
        expected,
    )


@every_mask
def test_the_cost_is_that_of_the_steps_that_are_left(name):
    mask = MASKS[name]
    case = make(mask, bidirectional=True)
    arguments = (case.x, (case.h0, case.c0), case.all_weights, 1, 0.0, False, True)
    about = lstm_native.explain(*arguments, mask=mask)
    lengths = mask.sum(axis=0)
    assert about.operations == lstm_native.explain(*arguments, lengths=lengths).operations


def test_steps_at_the_front_are_lengths():
    case = make(BEHIND, bidirectional=True)
    assert_same_bits(call_lstm(case, mask=BEHIND), call_lstm(case, lengths=LENGTHS))
    everything = np.ones((T, N), bool)
    case = make(everything, bidirectional=True)
    for masked_output in OUTPUTS:
        got = call_lstm(case, mask=everything, masked_output=masked_output)
        assert_same_bits(got, call_lstm(case))


def test_masks_of_many_kinds():
    case = make(HOLES)
    expected = call_lstm(case, mask=HOLES)
    kinds = [
        HOLES.tolist(),
        np.asfortranarray(HOLES),
        backwards(HOLES),
        every_other(HOLES),
        read_only(HOLES),
        ArrayOnly(HOLES),
    ]
    for kind in kinds:
        assert_same_bits(call_lstm(case, mask=kind), expected)
    for layout in (np.asfortranarray, backwards, every_other, read_only):
        assert_same_bits(call_lstm(case, input=layout(case.x), mask=HOLES), expected)


def test_a_model_takes_a_mask():
    case = make(HOLES, bidirectional=True)
    zeros = np.zeros_like(case.h0)
    for weight_dtype in (None, "int8"):
        weights = pack(case, weight_dtype=weight_dtype)
        model = lstm_native.Model(weights, batch_first=True)
        options = {"initial_states": (zeros, zeros), "all_weights": weights}
        for masked_output in OUTPUTS:
            expected = call_lstm(
                case, **batch_first_arguments(case, HOLES), masked_output=masked_output, **options
            )
            x, mask = case.x.swapaxes(0, 1), HOLES.T
            output, states = model(x, mask=mask, masked_output=masked_output)
            assert_same_bits([output, *states], expected)


# --- gradients ------------------------------------------------------------------------------------


@every_output
@pytest.mark.parametrize("batch_first", [False, True])
def test_central_differences(masked_output, batch_first):
    mask = np.array([[1, 0, 0], [0, 0, 1], [1, 0, 0], [0, 0, 1], [1, 0, 1]], bool)
    case = make_case(Shape("small", *mask.shape, 2, 3, 2, True), np.float64)
    if batch_first:
        case, mask = replace(case, x=turned(case.x)), mask.T
    assert_central_differences(
        case, mask=mask, masked_output=masked_output, batch_first=batch_first
    )


@every_dtype
@pytest.mark.parametrize("recompute", [False, True])
@every_mask
def test_the_gradients_of_the_steps_that_are_left(name, recompute, dtype):
    mask = MASKS[name]
    case = make(mask, dtype, num_layers=2, bidirectional=True)
    options = {"dropout": 0.3, "seed": 8, "recompute": recompute}
    outputs, pullback = call_vjp(case, mask=mask, **options)
    x, lengths = moved_to_the_front(case.x, mask)
    _, expected = call_vjp(case, input=x, lengths=lengths, **options)
    gradients = draw_like(outputs)
    moved, _ = moved_to_the_front(gradients[0], mask)
    gradients[0][~mask] = np.nan  # belongs to zeros
    got = pullback(*gradients)
    assert_same_bits([got[0][~mask]], [np.zeros_like(case.x[~mask])])
    ours = [moved_to_the_front(got[0], mask)[0], *flat_gradients(got)[1:]]
    for one, other in zip(ours, flat_gradients(expected(moved, *gradients[1:])), strict=True):
        assert_close(one, other, "layout")
    for needs in (["input"], ["weights"], ["states"]):
        parts = flat_gradients(pullback(*gradients, needs=needs))
        whole = {"input": [got[0]], "states": got[1], "weights": got[2]}[needs[0]]
        assert_same_bits(parts, whole)
    assert pullback()[0].shape == case.x.shape


@every_mask
def test_the_gradient_of_a_repeated_output_is_a_sum(name):
    mask = MASKS[name]
    case = make(mask, np.float64, bidirectional=True)
    outputs, pullback = call_vjp(case, mask=mask, masked_output="last")
    gradients = draw_like(outputs)
    into = np.zeros_like(gradients[0])
    hidden = case.shape.hidden_size
    for row in range(mask.shape[1]):
        for columns, order in ((slice(hidden), 1), (slice(hidden, None), -1)):
            last = None
            for t in range(T)[::order]:
                last = t if mask[t, row] else last
                if last is not None:
                    into[last, row, columns] += gradients[0][t, row, columns]
    _, of_zeros = call_vjp(case, mask=mask)
    expected = of_zeros(into, *gradients[1:])
    for ours, theirs in zip(*map(flat_gradients, (pullback(*gradients), expected)), strict=True):
        assert_close(ours, theirs, "layout")
