"""`direction="reverse"`: what the second of two directions does, alone."""

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
from cell_cases import CELLS, both_cells, case_for
from lstm_native import Cell
from reference_backward import backward_packed
from reference_lstm import reference_packed
from shapes import Shape, make_case
from tolerances import assert_all_close, assert_gradients_close

every_dtype = pytest.mark.parametrize("dtype", DTYPES)
REVERSE = {"direction": "reverse"}
# The second one's layers run as a wavefront where they are forward.
SHAPES = (Shape("h17", 7, 3, 5, 17, 2), Shape("stack", 40, 1, 32, 32, 4), Shape("one", 1, 4, 6, 9))
every_shape = pytest.mark.parametrize("shape", SHAPES, ids=lambda shape: shape.name)
LENGTHS = [7, 2, 0]


@every_dtype
@every_shape
def test_the_bits_of_the_second_direction(shape, dtype):
    one = Shape(
        shape.name, shape.seq_len, shape.batch, shape.input_size, shape.hidden_size, 1, True
    )
    case = make_case(one, dtype)
    output, h_n, c_n = call_lstm(case)
    states = (case.h0[1:], case.c0[1:])
    alone = call_lstm(
        case, bidirectional=False, initial_states=states, all_weights=case.all_weights[4:],
        **REVERSE,
    )  # fmt: skip
    assert_same_bits(alone, (output[:, :, shape.hidden_size :], h_n[1:], c_n[1:]))


@every_dtype
@every_shape
@pytest.mark.parametrize("recompute", [False, True])
def test_values_and_gradients(shape, dtype, recompute):
    case = make_case(shape, dtype, seed=1)
    rows = case.x.reshape(-1, shape.input_size)
    sizes = [shape.batch] * shape.seq_len
    arguments = (rows, case.h0, case.c0, case.all_weights, False, sizes)
    expected = reference_packed(*arguments, reverse=True)
    outputs, pullback = call_vjp(case, recompute=recompute, **REVERSE)
    in_steps = expected.output.reshape(outputs[0].shape)
    assert_all_close(outputs, (in_steps, expected.h_n, expected.c_n), "value")
    given = draw_like(outputs)
    d_rows = given[0].reshape(len(rows), -1)
    gradients = backward_packed(*arguments, d_rows, *given[1:], reverse=True)
    d_input = gradients.input.reshape(case.x.shape)
    wanted = [d_input, gradients.h_0, gradients.c_0, *gradients.weights]
    assert_gradients_close(flat_gradients(pullback(*given)), wanted)


@every_dtype
@pytest.mark.parametrize("name", [None, *CELLS])
def test_lengths_and_packed_sequences(name, dtype):
    cell = Cell() if name is None else both_cells(name, bidirectional=False)[0]
    case = case_for(cell, SHAPES[0], dtype)
    options = {"cell": cell, **REVERSE}
    padded, of_padded = call_vjp(case, lengths=LENGTHS, **options)
    sizes = [sum(length > t for length in LENGTHS) for t in range(max(LENGTHS))]
    rows = np.concatenate([case.x[t, :size] for t, size in enumerate(sizes)])
    states = (case.h0[:, :2], case.c0[:, :2])  # without the empty sequence
    packed, _ = call_vjp(case, input=rows, batch_sizes=sizes, initial_states=states, **options)
    steps = [padded[0][t, :size] for t, size in enumerate(sizes)]
    assert_same_bits([np.concatenate(steps), *(s[:, :2] for s in padded[1:])], packed)
    assert_same_bits([s[:, 2] for s in padded[1:]], [case.h0[:, 2], case.c0[:, 2]])
    given = draw_like(padded)
    gradients = flat_gradients(of_padded(*given))
    for threads in THREADS:
        _, again = call_vjp(case, lengths=LENGTHS, num_threads=threads, **options)
        assert_same_bits(flat_gradients(again(*given)), gradients)


@every_dtype
@every_shape
def test_packed_weights_and_threads(shape, dtype):
    case = make_case(shape, dtype)
    packed = pack(case)
    expected = call_lstm(case, all_weights=packed, num_threads=1, **REVERSE)
    assert_all_close(expected, call_lstm(case, **REVERSE), "layout")
    for threads in THREADS:
        got = call_lstm(case, all_weights=packed, num_threads=threads, **REVERSE)
        assert_same_bits(got, expected)


@every_dtype
def test_the_operator(dtype):
    case = make_case(SHAPES[0], dtype)
    net, flat = operator_for(case, 0.4, **REVERSE), flat_weight(case)
    lstm_native.manual_seed(3)
    results = net(case.x, case.h0, case.c0, flat)
    outputs, pullback = call_vjp(case, dropout=0.4, seed=3, **REVERSE)
    assert_same_bits(results[:3], outputs)
    arguments = gradient_arguments(case, flat, results)
    got = gradient_for(case, 0.4, **REVERSE)(*arguments)
    assert_gradients_close(got[:3], flat_gradients(pullback(*outputs))[:3])
    with pytest.raises(ValueError, match="reserve: expected the reserve of a call with Cell"):
        gradient_for(case, 0.4)(*arguments)
    assert repr(net).endswith("direction='reverse', training=True)")


def test_models():
    case = make_case(SHAPES[0], np.float32)
    model = lstm_native.Model(case.all_weights, 2, **REVERSE)
    assert model.direction == "reverse"
    output, states = model(case.x, state=(case.h0, case.c0))
    expected = call_lstm(case, all_weights=model.packed, **REVERSE)
    assert_same_bits((output, *states), expected)
    assert "from the end" in repr(model)
    with pytest.raises(ValueError, match="stream: expected a model of direction 'forward'"):
        model.stream()
    with pytest.raises(ValueError, match="to_torch: expected a model of direction 'forward'"):
        model.to_torch()
    with pytest.raises(ValueError, match="direction: expected 'forward' where bidirectional"):
        lstm_native.Model(
            make_case(Shape("both", 3, 2, 5, 7, 1, True)).all_weights, 1, True, **REVERSE
        )


def test_sessions_are_refused_by_name():
    packed = pack(make_case(SHAPES[0], np.float32))
    with pytest.raises(ValueError, match="direction: expected 'forward', because"):
        lstm_native.Sessions(packed, 1, **REVERSE)


def test_explained_as_it_runs():
    case = make_case(SHAPES[1], np.float32)
    arguments = (case.x, None, pack(case))
    forward, reverse = (
        lstm_native.explain(*arguments, direction=direction, num_threads=4)
        for direction in ("forward", "reverse")
    )
    assert (forward.wavefront, reverse.wavefront) == (True, False)
