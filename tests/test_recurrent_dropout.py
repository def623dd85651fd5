"""`Cell(recurrent_dropout=...)`: one mask of h_(t-1) for all steps and gates, and its gradients."""

import itertools
from dataclasses import replace

import numpy as np
import pytest

import lstm_native
from calls import (
    DTYPES,
    THREADS,
    assert_same_bits,
    call_lstm,
    call_vjp,
    draw_like,
    flat_gradients,
    flat_weight,
    gradient_arguments,
    gradient_for,
    operator_for,
    pack,
)
from cell_cases import both_cells, with_peepholes
from few_and_all import every_tape_and_dtype, few_of
from gradient_checks import assert_central_differences
from lstm_native import Cell
from projected_cases import projected_case
from ragged_batch import BATCH_SIZES, RAGGED, assert_same_ragged_results, packed_rows
from reference_backward import backward_packed
from reference_cell import STANDARD
from reference_dropout import drop_with, recurrent_factors
from reference_lstm import reference_packed
from shapes import Shape, make_case
from tolerances import assert_all_close, assert_gradients_close

RATE, SEED = 0.4, 2**63 + 9
CELL = Cell(recurrent_dropout=RATE)
DROPS = {"train": True, "seed": SEED}
STACK = Shape("stack", 7, 3, 5, 17, 2, True)
SHAPES = (STACK, Shape("one_row", 9, 1, 6, 136), Shape("rows", 20, 40, 30, 33, 2))
every_shape = pytest.mark.parametrize("shape", SHAPES, ids=lambda shape: shape.name)
every_dtype = pytest.mark.parametrize("dtype", DTYPES)
# What a projection and other cells change about a step, with the rate between layers.
VARIANTS = {
    "standard": ("", 0, 0.0),
    "between layers, too": ("", 0, 0.3),
    "projected": ("", 5, 0.3),
    "peepholes": ("peepholes", 0, 0.0),
    "all, projected": ("all", 5, 0.3),
}


def variant(name, shape, dtype, seed=0):
    """The cell, the reference's, and a case."""
    of_cell, proj_size, _ = VARIANTS[name]
    ours, theirs = (Cell(), STANDARD) if not of_cell else both_cells(of_cell, shape.bidirectional)
    ours = replace(ours, recurrent_dropout=RATE, proj_size=proj_size)
    case = projected_case(shape, proj_size, dtype, seed) if proj_size else make_case(shape, dtype)
    return ours, theirs, with_peepholes(case, seed) if ours.peepholes else case


def assert_reference(case, call, cell=STANDARD, rate=0.0, reverse=False):
    """Compare results and gradients of a call; call: what `call_vjp` returned."""
    outputs, pullback = call
    shape = case.shape
    given = draw_like(outputs)
    arguments = (
        case.x.reshape(-1, shape.input_size), case.h0, case.c0, case.all_weights,
        shape.bidirectional, [shape.batch] * shape.seq_len,
    )  # fmt: skip
    options = {
        "drop": drop_with(rate, SEED, 0) if rate else None,
        "cell": cell,
        "reverse": reverse,
        "factors": recurrent_factors(case.h0.shape, RATE, SEED, 0),
    }
    answer = reference_packed(*arguments, **options)
    output = answer.output.reshape(outputs[0].shape)
    assert_all_close(outputs, (output, answer.h_n, answer.c_n), "value")
    rows = given[0].reshape(shape.seq_len * shape.batch, -1)
    answer = backward_packed(*arguments, rows, *given[1:], **options)
    expected = [answer.input.reshape(case.x.shape), answer.h_0, answer.c_0, *answer.weights]
    assert_gradients_close(flat_gradients(pullback(*given)), expected)


@every_tape_and_dtype
@few_of(
    "name, shape",
    itertools.product(VARIANTS, SHAPES),
    [*itertools.product(VARIANTS, SHAPES[:2]), ("all, projected", SHAPES[2])],
    ids=lambda value: getattr(value, "name", value),
)
def test_values_and_gradients(name, shape, recompute, dtype):
    cell, theirs, case = variant(name, shape, dtype)
    rate = VARIANTS[name][2] if shape.num_layers > 1 else 0.0
    call = call_vjp(case, cell=cell, dropout=rate, seed=SEED, recompute=recompute)
    assert_reference(case, call, theirs, rate)
    assert_same_bits(call_lstm(case, cell=cell, dropout=rate, **DROPS), call[0])


@every_tape_and_dtype
def test_from_the_end(recompute, dtype):
    case = make_case(SHAPES[2], dtype)
    options = {"direction": "reverse", "seed": SEED, "recompute": recompute}
    assert_reference(case, call_vjp(case, cell=CELL, **options), reverse=True)


@every_tape_and_dtype
@pytest.mark.parametrize("proj_size", [0, 6])
def test_packed_sequences_and_lengths(proj_size, recompute, dtype):
    case = projected_case(RAGGED, proj_size, dtype) if proj_size else make_case(RAGGED, dtype)
    cell = replace(CELL, proj_size=proj_size)
    assert_same_ragged_results(case, cell=cell, seed=SEED, recompute=recompute)
    rows = packed_rows(case)
    arguments = (rows, case.h0, case.c0, case.all_weights, True, BATCH_SIZES)
    factors = {"factors": recurrent_factors(case.h0.shape, RATE, SEED, 0)}
    outputs, pullback = call_vjp(
        case, input=rows, batch_sizes=BATCH_SIZES, cell=cell, seed=SEED, recompute=recompute
    )
    answer = reference_packed(*arguments, **factors)
    assert_all_close(outputs, (answer.output, answer.h_n, answer.c_n), "value")
    given = draw_like(outputs)
    answer = backward_packed(*arguments, *given, **factors)
    expected = [answer.input, answer.h_0, answer.c_0, *answer.weights]
    assert_gradients_close(flat_gradients(pullback(*given)), expected)


def test_each_row_has_its_mask_in_any_order_of_lengths():
    case = make_case(RAGGED, np.float32)
    lengths = [2, 0, 5, 1, 5, 3, 0, 4, 2]
    got, pullback = call_vjp(case, lengths=lengths, cell=CELL, seed=SEED)
    factors = recurrent_factors(case.h0.shape, RATE, SEED, 0)
    given = draw_like(got)
    d_states = pullback(*given)[1]
    for row, length in enumerate(lengths):
        own = slice(row, row + 1)
        states = [case.h0[:, own], case.c0[:, own]]
        if length == 0:
            assert_same_bits([s[:, own] for s in got[1:]], states)
            assert_same_bits([d[:, own] for d in d_states], [g[:, own] for g in given[1:]])
            continue
        answer = reference_packed(
            case.x[:length, row], *states, case.all_weights, True, [1] * length,
            factors=factors[:, own],
        )  # fmt: skip
        ours = [got[0][:length, row], *(s[:, own] for s in got[1:])]
        assert_all_close(ours, (answer.output, answer.h_n, answer.c_n), "value")


def test_finite_differences():
    case = projected_case(Shape("small", 3, 2, 3, 5, 2, True), 3, np.float64)
    cell = replace(CELL, proj_size=3)
    assert_central_differences(case, cell=cell, dropout=0.3, seed=4)


@every_tape_and_dtype
@every_shape
@pytest.mark.parametrize("name", ["standard", "projected"])
def test_same_bits_on_any_number_of_threads(name, shape, recompute, dtype):
    cell, _, case = variant(name, shape, dtype)
    options = {"cell": cell, "seed": SEED, "recompute": recompute}
    outputs, pullback = call_vjp(case, num_threads=1, **options)
    given = draw_like(outputs)
    gradients = flat_gradients(pullback(*given))
    for threads in THREADS[1:]:
        again, other = call_vjp(case, num_threads=threads, **options)
        assert_same_bits(again, outputs)
        assert_same_bits(flat_gradients(other(*given)), gradients)


@pytest.mark.parametrize("split", [(1, 1, 2), (2, 2, 1), (1, 2, 3), (2, 1, 3)], ids=str)
def test_same_bits_for_every_split(split):
    case = make_case(Shape("split", 30, 13, 9, 133, 2, True), np.float32)
    lengths = [(7 * n) % 31 for n in range(13)]
    call = lstm_native._functional.prepare(
        case.x, (case.h0, case.c0), case.all_weights, 2, 0.0, True, True,
        cell=CELL, seed=SEED, lengths=lengths, num_threads=8,
    )  # fmt: skip
    ours, theirs = (
        lstm_native._run.forward(call._replace(problem=call.problem._replace(split=groups)))
        for groups in (split, (1, 1, 1))
    )
    assert_same_bits(ours[:3], theirs[:3])


@pytest.mark.parametrize(
    ("weight_dtype", "quantity"),
    [(None, "value"), ("bfloat16", "value"), ("int8", "int8 format")],
    ids=str,
)
def test_packed_weights(weight_dtype, quantity):
    case = make_case(STACK, np.float32)
    packed = pack(case, cell=CELL, weight_dtype=weight_dtype)
    got = call_lstm(case, all_weights=packed, **DROPS)
    whole = {"all_weights": packed.unpack(), "cell": CELL}
    assert_all_close(got, call_lstm(case, **whole, **DROPS), quantity)
    of_another = pack(case, weight_dtype=weight_dtype)
    assert_same_bits(call_lstm(case, all_weights=of_another, cell=CELL, **DROPS), got)
    given = draw_like(got)
    ours = call_vjp(case, all_weights=packed, seed=SEED)[1]
    theirs = call_vjp(case, **whole, seed=SEED)[1]
    assert_same_bits(flat_gradients(ours(*given)), flat_gradients(theirs(*given)))


def test_nothing_is_dropped_without_training():
    case = make_case(STACK, np.float32)
    packed = pack(case, cell=CELL)
    expected = call_lstm(case, all_weights=pack(case))
    assert_same_bits(call_lstm(case, cell=CELL), call_lstm(case))
    lstm_native.manual_seed(SEED)
    assert_same_bits(call_lstm(case, all_weights=packed), expected)
    net = operator_for(case, cell=CELL, training=False)
    assert_same_bits(net(case.x, case.h0, case.c0, packed)[:3], expected)
    model = lstm_native.Model(case.all_weights, 2, bidirectional=True, cell=CELL)
    output, states = model(case.x, state=(case.h0, case.c0))
    assert_same_bits((output, *states), expected)
    # The generator is where it was.
    drawn = call_lstm(case, all_weights=packed, train=True)
    assert_same_bits(drawn, call_lstm(case, all_weights=packed, **DROPS))


def test_streams_drop_nothing():
    case = make_case(Shape("stream", 6, 2, 5, 17, 2), np.float32)
    stream = lstm_native.Stream(pack(case, cell=CELL), 2, initial_states=(case.h0, case.c0))
    assert_same_bits([stream.run(case.x)], call_lstm(case, all_weights=pack(case))[:1])


def test_a_rate_of_1_and_what_is_not_finite():
    """A dropped value has no effect, even if it is NaN."""
    case = make_case(STACK, np.float32)
    blank = replace(case, h0=np.full_like(case.h0, np.nan))
    cell = Cell(recurrent_dropout=1.0)
    outputs, pullback = call_vjp(blank, cell=cell, seed=SEED)
    assert np.isfinite(outputs[0]).all()
    d_input, (d_h, _), _ = pullback(*draw_like(outputs))
    assert np.isfinite(d_input).all()
    assert not d_h.any()


def test_the_generator_counts_calls():
    case = make_case(SHAPES[1], np.float64)  # one layer: nothing warns
    lstm_native.manual_seed(7)
    for counter in range(3):
        got = call_lstm(case, cell=CELL, train=True)
        factors = recurrent_factors(case.h0.shape, RATE, 7, counter)
        rows = case.x.reshape(-1, case.shape.input_size)
        sizes = [case.shape.batch] * case.shape.seq_len
        answer = reference_packed(
            rows, case.h0, case.c0, case.all_weights, False, sizes, factors=factors
        )
        assert_all_close(got[1:], (answer.h_n, answer.c_n), "value")


@every_dtype
@pytest.mark.parametrize("dropout", [0.0, 0.3])
def test_the_operator_and_its_gradient(dropout, dtype):
    case = make_case(STACK, dtype)
    net, flat = operator_for(case, dropout, cell=CELL), flat_weight(case)
    lstm_native.manual_seed(3)
    first = net(case.x, case.h0, case.c0, flat)
    second = net(case.x, case.h0, case.c0, flat)
    assert not np.array_equal(first[0], second[0])
    assert_same_bits(net(case.x, case.h0, case.c0, flat, state=first[4]), first)
    outputs, pullback = call_vjp(case, dropout=dropout, seed=3, cell=CELL)
    assert_same_bits(first[:3], outputs)
    grad = gradient_for(case, dropout, cell=CELL)
    arguments = gradient_arguments(case, flat, first)
    dx, dhx, dcx, dw = grad(*arguments)
    assert_gradients_close((dx, dhx, dcx), flat_gradients(pullback(*outputs))[:3])
    *parts, workspace = grad.data(*arguments)
    assert_same_bits(parts, (dx, dhx, dcx))
    assert_same_bits([grad.weights(case.x, first[3], workspace, first[4])], [dw])
    with pytest.raises(ValueError, match="reserve: expected the reserve of a call with Cell"):
        gradient_for(case, dropout)(*arguments)
