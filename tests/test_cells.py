"""Cells other than the standard one: values, gradients, and the same bits by every way to call."""

import numpy as np
import pytest

import lstm_native
from array_kinds import LAYOUTS
from calls import (
    DTYPES,
    THREADS,
    assert_same_bits,
    call_lstm,
    call_vjp,
    draw_like,
    flat_gradients,
    pack,
)
from lstm_native import Cell
from reference_backward import backward_packed
from reference_lstm import reference, reference_packed
from shapes import Shape, make_case
from tolerances import assert_all_close, assert_gradients_close

COUPLED = Cell(input_forget=True)

# A single unit; rests beside vectors of 4, 8 and 16; rows and units enough for several threads;
# the input's product by BLAS, or with the steps.
SHAPES = (
    Shape("ones", 1, 1, 1, 1),
    Shape("h17", 7, 3, 5, 17, 2, True),
    Shape("one_row", 9, 1, 6, 72, 2),
    Shape("rows", 20, 40, 30, 33, 1, True),
    Shape("wide", 5, 2, 300, 264),
)
every_shape = pytest.mark.parametrize("shape", SHAPES, ids=lambda shape: shape.name)
every_dtype = pytest.mark.parametrize("dtype", DTYPES)
BATCH_SIZES = [9, 9, 6, 5, 1]


def expected_of(case):
    return reference(
        case.x, case.h0, case.c0, case.all_weights, case.shape.bidirectional, input_forget=True
    )


def packed_rows(case):
    return np.concatenate([case.x[t, :size] for t, size in enumerate(BATCH_SIZES)])


def ragged_case(dtype):
    return make_case(Shape("ragged", len(BATCH_SIZES), BATCH_SIZES[0], 6, 21, 2, True), dtype)


@every_dtype
@every_shape
def test_values(shape, dtype):
    case = make_case(shape, dtype, seed=1)
    expected = expected_of(case)
    expected = (expected.output, expected.h_n, expected.c_n)
    assert_all_close(call_lstm(case, cell=COUPLED), expected, "value")
    assert_all_close(call_lstm(case, cell=COUPLED, all_weights=pack(case)), expected, "value")


@every_dtype
def test_packed_sequences_and_their_gradients(dtype):
    case = ragged_case(dtype)
    rows = packed_rows(case)
    call = {"input": rows, "batch_sizes": BATCH_SIZES, "cell": COUPLED}
    arguments = (rows, case.h0, case.c0, case.all_weights, True, BATCH_SIZES)
    expected = reference_packed(*arguments, input_forget=True)
    outputs, pullback = call_vjp(case, **call)
    assert_all_close(outputs, (expected.output, expected.h_n, expected.c_n), "value")
    given = draw_like(outputs)
    gradients = backward_packed(*arguments, *given, input_forget=True)
    expected = [gradients.input, gradients.h_0, gradients.c_0, *gradients.weights]
    assert_gradients_close(flat_gradients(pullback(*given)), expected)


@every_dtype
@pytest.mark.parametrize("recompute", [False, True])
def test_lengths_give_the_bits_of_the_packed_sequence(dtype, recompute):
    case = ragged_case(dtype)
    lengths = [sum(row < size for size in BATCH_SIZES) for row in range(BATCH_SIZES[0])]
    options = {"cell": COUPLED, "recompute": recompute}
    packed, of_packed = call_vjp(case, input=packed_rows(case), batch_sizes=BATCH_SIZES, **options)
    padded, of_padded = call_vjp(case, lengths=lengths, **options)
    steps = [padded[0][t, :size] for t, size in enumerate(BATCH_SIZES)]
    assert_same_bits([np.concatenate(steps), *padded[1:]], packed)
    given = draw_like(padded)
    rows = np.concatenate([given[0][t, :size] for t, size in enumerate(BATCH_SIZES)])
    ours, theirs = of_padded(*given), of_packed(rows, *given[1:])
    d_rows = [ours[0][t, :size] for t, size in enumerate(BATCH_SIZES)]
    assert_same_bits([np.concatenate(d_rows), *ours[1]], [theirs[0], *theirs[1]])
    assert_gradients_close(ours[2], theirs[2])


@every_dtype
@every_shape
@pytest.mark.parametrize("recompute", [False, True])
def test_gradients(shape, dtype, recompute):
    case = make_case(shape, dtype, seed=2)
    outputs, pullback = call_vjp(case, cell=COUPLED, recompute=recompute)
    given = draw_like(outputs)
    answer = backward_packed(
        case.x.reshape(-1, shape.input_size), case.h0, case.c0, case.all_weights,
        shape.bidirectional, [shape.batch] * shape.seq_len,
        given[0].reshape(shape.seq_len * shape.batch, -1), *given[1:], input_forget=True,
    )  # fmt: skip
    d_input = answer.input.reshape(case.x.shape)
    got = flat_gradients(pullback(*given))
    assert_gradients_close(got, [d_input, answer.h_0, answer.c_0, *answer.weights])
    forget = slice(shape.hidden_size, 2 * shape.hidden_size)
    assert all(not d[forget].any() for d in got[3:])  # present, unused


def test_finite_differences():
    case = make_case(Shape("small", 3, 2, 3, 4, 2, True), np.float64, seed=9)
    options = {"dropout": 0.3, "seed": 4, "cell": COUPLED}
    outputs, pullback = call_vjp(case, **options)
    given = draw_like(outputs)

    def loss():
        got = call_lstm(case, train=True, **options)
        return sum((a * b).sum() for a, b in zip(got, given, strict=True))

    step = 1e-5
    arrays = [case.x, case.h0, case.c0, *case.all_weights]
    for array, gradient in zip(arrays, flat_gradients(pullback(*given)), strict=True):
        for index in np.ndindex(array.shape):
            kept = array[index]
            array[index] = kept + step
            above = loss()
            array[index] = kept - step
            below = loss()
            array[index] = kept
            assert abs((above - below) / (2 * step) - gradient[index]) < 1e-6


@every_dtype
@every_shape
def test_same_bits_on_any_number_of_threads(shape, dtype):
    case = make_case(shape, dtype, seed=3)
    outputs, pullback = call_vjp(case, cell=COUPLED, num_threads=1)
    given = draw_like(outputs)
    gradients = flat_gradients(pullback(*given))
    for threads in THREADS:
        again, other = call_vjp(case, cell=COUPLED, num_threads=threads)
        assert_same_bits(again, outputs)
        assert_same_bits(flat_gradients(other(*given)), gradients)


@every_dtype
@pytest.mark.parametrize("layout", LAYOUTS)
def test_inputs_of_any_layout(layout, dtype):
    case = make_case(SHAPES[1], dtype, seed=4)
    got = call_lstm(case, cell=COUPLED, input=LAYOUTS[layout](case.x))
    assert_same_bits(got, call_lstm(case, cell=COUPLED))


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("batch", [1, 7])
def test_streams_give_the_bits_of_the_whole_sequence(batch, dtype):
    case = make_case(Shape("stream", 6, batch, 5, 33, 2), dtype, seed=5)
    stream = lstm_native.Stream(pack(case), batch, cell=COUPLED)
    stream.state = case.h0, case.c0
    steps = [stream.step(x) for x in case.x]
    expected = call_lstm(case, cell=COUPLED, all_weights=stream.packed)
    assert_same_bits([np.stack(steps), *stream.state], expected)


def test_weights_in_16_bits():
    case = make_case(SHAPES[1], np.float32, seed=6)
    expected = expected_of(case)
    for stored in ("float16", "bfloat16"):
        got = call_lstm(case, cell=COUPLED, all_weights=pack(case, weight_dtype=stored))
        assert_all_close(got, (expected.output, expected.h_n, expected.c_n), f"{stored} weights")


@every_shape
def test_the_standard_cell_by_name_is_the_default(shape):
    case = make_case(shape, np.float32, seed=7)
    assert_same_bits(call_lstm(case, cell=Cell()), call_lstm(case))
    packed = pack(case)
    assert_same_bits(
        call_lstm(case, cell=Cell(), all_weights=packed), call_lstm(case, all_weights=packed)
    )


def test_a_cell_is_a_value():
    assert COUPLED == Cell(input_forget=True) != Cell()
    assert {COUPLED: 1}[Cell(input_forget=True)] == 1
    with pytest.raises(AttributeError):
        COUPLED.input_forget = False  # type: ignore[misc]
    with pytest.raises(TypeError, match="input_forget: expected a bool, got int 1"):
        Cell(input_forget=1)
