"""A projection of the hidden state: values, gradients, and the same bits by every way to call."""

import itertools
import pickle
from dataclasses import replace

import numpy as np
import pytest

import lstm_native
from array_kinds import LAYOUTS
from calls import (
    BIASES,
    DTYPES,
    THREADS,
    assert_same_bits,
    call_lstm,
    call_vjp,
    draw_like,
    flat_gradients,
    pack,
    transposed_weights,
    turned,
)
from cell_cases import with_peepholes
from few_and_all import every_tape_and_dtype, few_dtypes
from gradient_checks import assert_central_differences
from lstm_native import Cell
from projected_cases import flat_weight, projected_case
from ragged_batch import BATCH_SIZES, RAGGED, assert_same_ragged_results, packed_rows
from reference_backward import backward_packed
from reference_cell import ReferenceCell
from reference_lstm import reference, reference_packed
from reference_rounded import ROUNDINGS, rounded_reference, weights_in_8_bits
from shapes import Shape, make_case
from tolerances import assert_all_close, assert_gradients_close, assert_rounded_close

# With the size of the projection: the smallest; rests beside vectors of 4, 8 and 16 units, and
# beside the 4 vectors of a block of W_hr; several blocks, for several threads; rows and units for
# every way to multiply; W_hr read in place, for few rows; whole blocks.
PROJECTED = (
    (Shape("ones", 1, 1, 1, 2), 1),
    (Shape("h17", 7, 3, 5, 17, 2, True), 5),
    (Shape("one_row", 9, 1, 6, 136, 2), 70),
    (Shape("rows", 20, 40, 30, 33, 1, True), 32),
    (Shape("wide", 5, 30, 260, 264, 2), 130),
    (Shape("one_step", 1, 1, 40, 264, 3), 129),
    (Shape("few_rows", 6, 2, 16, 256), 100),
    (Shape("blocks", 30, 2, 16, 256), 128),
)
every_projection = pytest.mark.parametrize(
    ("shape", "proj_size"), PROJECTED, ids=[shape.name for shape, _ in PROJECTED]
)
every_dtype = pytest.mark.parametrize("dtype", DTYPES)
every_rounding = pytest.mark.parametrize("format", ROUNDINGS, ids=str)
STACK = PROJECTED[1]


def cell_of(case):
    return Cell(proj_size=case.h0.shape[2])


def expected_of(case):
    biases = (case.has_ih_bias, case.has_hh_bias)
    answer = reference(case.x, case.h0, case.c0, case.all_weights, case.shape.bidirectional, biases)
    return answer.output, answer.h_n, answer.c_n


@every_dtype
@every_projection
def test_values(shape, proj_size, dtype):
    case = projected_case(shape, proj_size, dtype, seed=1)
    expected, cell = expected_of(case), cell_of(case)
    plain = call_lstm(case, cell=cell)
    assert (plain[1].shape[2], plain[2].shape[2]) == (proj_size, shape.hidden_size)
    assert_all_close(plain, expected, "value")
    assert_all_close(call_lstm(case, all_weights=pack(case, cell=cell)), expected, "value")
    turned_weights = {"all_weights": transposed_weights(case), "weights_transposed": True}
    assert_all_close(call_lstm(case, cell=cell, **turned_weights), expected, "value")


@pytest.mark.parametrize("bias", BIASES)
def test_any_biases(bias):
    case = projected_case(*STACK, np.float64, seed=2, bias=bias)
    expected, cell = expected_of(case), cell_of(case)
    assert_all_close(call_lstm(case, cell=cell), expected, "value")
    assert_all_close(call_lstm(case, all_weights=pack(case, cell=cell)), expected, "value")


@every_dtype
def test_packed_sequences_and_their_gradients(dtype):
    case = projected_case(RAGGED, 6, dtype, seed=3)
    rows = packed_rows(case)
    arguments = (rows, case.h0, case.c0, case.all_weights, True, BATCH_SIZES)
    expected = reference_packed(*arguments)
    outputs, pullback = call_vjp(case, input=rows, batch_sizes=BATCH_SIZES, cell=cell_of(case))
    assert_all_close(outputs, (expected.output, expected.h_n, expected.c_n), "value")
    given = draw_like(outputs)
    gradients = backward_packed(*arguments, *given)
    expected = [gradients.input, gradients.h_0, gradients.c_0, *gradients.weights]
    assert_gradients_close(flat_gradients(pullback(*given)), expected)


@every_tape_and_dtype
def test_lengths_give_the_bits_of_the_packed_sequence(dtype, recompute):
    case = projected_case(RAGGED, 6, dtype, seed=4)
    assert_same_ragged_results(case, cell=cell_of(case), recompute=recompute)


ALL = {"clip": 0.4, "input_forget": True, "peepholes": True}


@every_tape_and_dtype
@pytest.mark.parametrize("arguments", [{"input_forget": True}, {"peepholes": True}, ALL], ids=str)
def test_with_what_other_cells_have(arguments, recompute, dtype):
    case = projected_case(*STACK, dtype, seed=17)
    if "peepholes" in arguments:
        case = with_peepholes(case)
    theirs = ReferenceCell(**arguments)
    cell = Cell(proj_size=STACK[1], **arguments)
    outputs, pullback = call_vjp(case, cell=cell, recompute=recompute)
    call = (case.h0, case.c0, case.all_weights, case.shape.bidirectional)
    answer = reference(case.x, *call, cell=theirs)
    assert_all_close(outputs, (answer.output, answer.h_n, answer.c_n), "value")
    packed = pack(case, cell=cell)
    assert_all_close(call_lstm(case, all_weights=packed), outputs, "value")
    assert_same_bits(packed.unpack(), case.all_weights)
    given = draw_like(outputs)
    steps, rows = case.shape.seq_len, case.shape.seq_len * case.shape.batch
    answer = backward_packed(
        case.x.reshape(rows, -1), *call, [case.shape.batch] * steps,
        given[0].reshape(rows, -1), *given[1:], cell=theirs,
    )  # fmt: skip
    expected = [answer.input.reshape(case.x.shape), answer.h_0, answer.c_0, *answer.weights]
    assert_gradients_close(flat_gradients(pullback(*given)), expected)


def test_lengths_in_any_order():
    case = projected_case(RAGGED, 6, np.float32, seed=4)
    lengths, cell = [2, 0, 5, 1, 5, 3, 0, 4, 2], cell_of(case)
    got, pullback = call_vjp(case, lengths=lengths, cell=cell)
    given = draw_like(got)
    gradients = pullback(*given)
    for row, length in enumerate(lengths):
        own = slice(row, row + 1)
        assert not got[0][length:, own].any()
        if length == 0:
            assert_same_bits([s[:, own] for s in got[1:]], [case.h0[:, own], case.c0[:, own]])
            assert_same_bits([d[:, own] for d in gradients[1]], [g[:, own] for g in given[1:]])
            continue
        states = (case.h0[:, own], case.c0[:, own])
        one, back = call_vjp(case, input=case.x[:length, own], initial_states=states, cell=cell)
        assert_all_close([got[0][:length, own], *(s[:, own] for s in got[1:])], one, "layout")
        d_x, d_states, _ = back(given[0][:length, own], *(g[:, own] for g in given[1:]))
        ours = [gradients[0][:length, own], *(d[:, own] for d in gradients[1])]
        assert_gradients_close(ours, [d_x, *d_states])


@every_tape_and_dtype
@every_projection
def test_gradients(shape, proj_size, dtype, recompute):
    case = projected_case(shape, proj_size, dtype, seed=5)
    outputs, pullback = call_vjp(case, cell=cell_of(case), recompute=recompute)
    given = draw_like(outputs)
    answer = backward_packed(
        case.x.reshape(-1, shape.input_size), case.h0, case.c0, case.all_weights,
        shape.bidirectional, [shape.batch] * shape.seq_len,
        given[0].reshape(shape.seq_len * shape.batch, -1), *given[1:],
    )  # fmt: skip
    expected = [answer.input.reshape(case.x.shape), answer.h_0, answer.c_0, *answer.weights]
    gradients = flat_gradients(pullback(*given))
    assert_gradients_close(gradients, expected)
    for needs in (["input"], ["states"], ["weights"]):
        some = flat_gradients(pullback(*given, needs=needs))
        same = {"input": gradients[:1], "states": gradients[1:3], "weights": gradients[3:]}
        assert_same_bits(some, same[needs[0]])


@every_projection
def test_gradients_of_transposed_weights(shape, proj_size):
    case = projected_case(shape, proj_size, np.float64, seed=6)
    cell = cell_of(case)
    outputs, pullback = call_vjp(case, cell=cell)
    turned_weights = {"all_weights": transposed_weights(case), "weights_transposed": True}
    again, other = call_vjp(case, cell=cell, **turned_weights)
    given = draw_like(outputs)
    assert_all_close(again, outputs, "layout")
    ours, theirs = other(*given), pullback(*given)
    as_given = [d.T if d.ndim == 2 else d for d in ours[2]]
    assert_gradients_close(as_given, theirs[2])


def test_finite_differences():
    case = projected_case(Shape("small", 3, 2, 3, 5, 2, True), 3, np.float64, seed=9)
    assert_central_differences(case, dropout=0.3, seed=4, cell=cell_of(case))


@few_dtypes
@every_projection
def test_same_bits_on_any_number_of_threads(shape, proj_size, dtype):
    case = projected_case(shape, proj_size, dtype, seed=7)
    cell = cell_of(case)
    packed = pack(case, cell=cell)
    outputs, pullback = call_vjp(case, cell=cell, num_threads=1)
    of_packed = call_lstm(case, all_weights=packed, num_threads=1)
    given = draw_like(outputs)
    gradients = flat_gradients(pullback(*given))
    for threads in THREADS:
        again, other = call_vjp(case, cell=cell, num_threads=threads)
        assert_same_bits(again, outputs)
        assert_same_bits(flat_gradients(other(*given)), gradients)
        assert_same_bits(call_lstm(case, all_weights=packed, num_threads=threads), of_packed)


SPLITS = [
    split for split in itertools.product((1, 2), (1, 2, 3), (1, 2, 3, 8)) if 1 < np.prod(split) <= 8
]


@pytest.mark.parametrize("split", SPLITS, ids=str)
def test_same_bits_for_every_split(split):
    case = projected_case(Shape("split", 30, 13, 9, 133, 2, True), 70, np.float32, seed=8)
    options = {
        "num_threads": 8,
        "cell": cell_of(case),
        "lengths": [(7 * n) % 31 for n in range(13)],
    }
    call = lstm_native._functional.prepare(
        case.x, (case.h0, case.c0), case.all_weights, 2, bidirectional=True, **options
    )
    results = [
        lstm_native._run.forward(call._replace(problem=call.problem._replace(split=groups)))
        for groups in (split, (1, 1, 1))
    ]
    assert_same_bits(results[0][:3], results[1][:3])


def test_layers_in_a_wavefront():
    case = projected_case(Shape("wavefront", 43, 1, 24, 40, 3), 24, np.float32, seed=8)
    packed = pack(case, cell=cell_of(case))
    arguments = (case.x, (case.h0, case.c0), packed)
    assert lstm_native.explain(*arguments, num_threads=3).wavefront
    expected = call_lstm(case, all_weights=packed, num_threads=1)
    assert_same_bits(call_lstm(case, all_weights=packed, num_threads=3), expected)


@pytest.mark.parametrize("layout", LAYOUTS)
def test_weights_and_inputs_of_any_layout(layout):
    case = projected_case(*STACK, np.float32, seed=10)
    expected = call_lstm(case, cell=cell_of(case))
    got = call_lstm(case, cell=cell_of(case), input=LAYOUTS[layout](case.x))
    assert_same_bits(got, expected)
    weights = [LAYOUTS[layout](w) if w.shape[0] == STACK[1] else w for w in case.all_weights]
    assert_same_bits(call_lstm(case, cell=cell_of(case), all_weights=weights), expected)


def test_batch_first_and_zero_states():
    case = projected_case(*STACK, np.float32, seed=11)
    cell = cell_of(case)
    expected = call_lstm(case, cell=cell)
    got = call_lstm(case, cell=cell, input=turned(case.x), batch_first=True)
    assert_same_bits([turned(got[0]), *got[1:]], expected)
    zeros = (np.zeros_like(case.h0), np.zeros_like(case.c0))
    assert_same_bits(
        call_lstm(case, cell=cell, initial_states=None),
        call_lstm(case, cell=cell, initial_states=zeros),
    )


def test_an_empty_batch():
    case = projected_case(Shape("empty", 3, 0, 4, 6, 2, True), 2, np.float32)
    outputs, pullback = call_vjp(case, cell=cell_of(case))
    assert [a.shape for a in outputs] == [(3, 0, 4), (4, 0, 2), (4, 0, 6)]
    assert not any(d.any() for d in flat_gradients(pullback(*outputs)))


@every_dtype
@pytest.mark.parametrize("batch", [1, 7])
def test_streams_give_the_bits_of_the_whole_sequence(batch, dtype):
    case = projected_case(Shape("stream", 6, batch, 5, 33, 2), 9, dtype, seed=12)
    stream = lstm_native.Stream(pack(case, cell=cell_of(case)), batch)
    stream.state = case.h0, case.c0
    steps = [stream.step(x) for x in case.x]
    expected = call_lstm(case, all_weights=stream.packed)
    assert_same_bits([np.stack(steps), *stream.state], expected)
    stream.state = case.h0, case.c0
    assert_same_bits([stream.run(case.x), *stream.state], expected)
    stream.reset()
    assert [s.shape for s in stream.state] == [case.h0.shape, case.c0.shape]
    out = np.empty((batch, 9), dtype)
    first = lstm_native.Stream(stream.packed, batch, initial_states=(case.h0, case.c0))
    assert first.step(case.x[0].tolist() if dtype == np.float64 else case.x[0], out=out) is out
    assert_same_bits([out], [steps[0]])


def test_sessions_give_the_bits_of_streams():
    case = projected_case(Shape("sessions", 6, 3, 5, 33, 2), 9, np.float32, seed=12)
    packed = pack(case, cell=cell_of(case))
    sessions = lstm_native.Sessions(packed, capacity=3)
    ids = [sessions.open() for _ in range(3)]
    for n, session in enumerate(ids):
        sessions.set_state(session, (case.h0[:, n], case.c0[:, n]))
    expected = call_lstm(case, all_weights=packed)
    assert_same_bits([sessions.run(ids, case.x)], expected[:1])
    for n, session in enumerate(ids):
        assert_same_bits(sessions.state(session), [state[:, n] for state in expected[1:]])
    sessions.load(ids[0], sessions.dump(ids[1]))
    assert_same_bits(sessions.state(ids[0]), sessions.state(ids[1]))
    other = lstm_native.Sessions(pack(make_case(case.shape, np.float32)), capacity=1)
    other.open()
    with pytest.raises(
        ValueError, match=r"2 layer\(s\) of 33 units, got .*33 units projected to 9"
    ):
        other.load(0, sessions.dump(ids[1]))


def test_packing():
    case = projected_case(*STACK, np.float32, seed=13)
    cell = cell_of(case)
    packed = pack(case, cell=cell)
    assert packed.cell == cell
    assert repr(cell) in repr(packed)
    assert_same_bits(packed.unpack(), case.all_weights)
    assert_same_bits(pack(case, transposed=True, cell=cell).unpack(), transposed_weights(case))
    again = pickle.loads(pickle.dumps(packed))
    assert again.cell == cell
    assert_same_bits(again.unpack(), case.all_weights)
    order = pack(case, gate_order="ifgo", cell=cell)
    assert_same_bits(call_lstm(case, all_weights=order), call_lstm(case, all_weights=packed))
    given = draw_like(call_lstm(case, cell=cell))
    ours, theirs = (call_vjp(case, all_weights=w, cell=cell)[1] for w in (packed, case.all_weights))
    assert_same_bits(flat_gradients(ours(*given)), flat_gradients(theirs(*given)))


@every_projection
def test_weights_in_16_bits(shape, proj_size):
    case = projected_case(shape, proj_size, np.float32, seed=14)
    for stored in ("float16", "bfloat16"):
        packed = pack(case, weight_dtype=stored, cell=cell_of(case))
        got = call_lstm(case, all_weights=packed)
        assert_all_close(got, expected_of(case), f"{stored} weights")
        whole = call_lstm(case, all_weights=packed.unpack(), cell=cell_of(case))
        assert_all_close(got, whole, "value")


def in_fewer_bits(case, format):
    weight_dtype, compute = format
    return pack(case, cell=cell_of(case), weight_dtype=weight_dtype, compute=compute)


@every_rounding
@every_projection
def test_rounded_products_are_those_of_the_rounded_reference(shape, proj_size, format):
    case = projected_case(shape, proj_size, np.float32, seed=18)
    packed = in_fewer_bits(case, format)
    assert_rounded_close(
        call_lstm(case, all_weights=packed), rounded_reference(case, ROUNDINGS[format])
    )
    unpacked = packed.unpack()
    again = pickle.loads(pickle.dumps(packed))
    assert_same_bits(again.unpack(), unpacked)
    for kept, given in zip(unpacked, case.all_weights, strict=True):
        if format[0] == "int8" and given.ndim == 2:
            integers, scales = weights_in_8_bits(given)
            np.testing.assert_array_equal(kept, (integers * scales[:, None]).astype(np.float32))


@every_rounding
def test_rounded_products_have_the_same_bits_by_every_way_to_call(format):
    case = projected_case(Shape("ways", 7, 5, 19, 140, 2, True), 70, np.float32, seed=19)
    packed = in_fewer_bits(case, format)
    lengths = [3, 7, 1, 0, 5]
    whole = call_lstm(case, all_weights=packed, num_threads=1)
    ragged = call_lstm(case, all_weights=packed, lengths=lengths)
    for threads in THREADS[1:]:
        assert_same_bits(call_lstm(case, all_weights=packed, num_threads=threads), whole)
    for n, length in enumerate(lengths):
        own = slice(n, n + 1)
        states = (case.h0[:, own], case.c0[:, own])
        one = {"initial_states": states, "all_weights": packed}
        assert_same_bits(
            call_lstm(case, input=case.x[:, own], **one), [array[:, own] for array in whole]
        )
        if length:
            got = [ragged[0][:length, own], *(state[:, own] for state in ragged[1:])]
            assert_same_bits(got, call_lstm(case, input=case.x[:length, own], **one))
        else:
            assert_same_bits([state[:, own] for state in ragged[1:]], states)


@every_rounding
def test_streams_of_rounded_products(format):
    case = projected_case(Shape("stream", 6, 3, 19, 140, 2), 70, np.float32, seed=20)
    stream = lstm_native.Stream(in_fewer_bits(case, format), 3)
    stream.state = case.h0, case.c0
    steps = [stream.step(x) for x in case.x]
    expected = call_lstm(case, all_weights=stream.packed)
    assert_same_bits([np.stack(steps), *stream.state], expected)
    sessions = lstm_native.Sessions(stream.packed, capacity=3)
    ids = [sessions.open() for _ in range(3)]
    for n, session in enumerate(ids):
        sessions.set_state(session, (case.h0[:, n], case.c0[:, n]))
    assert_same_bits([sessions.run(ids, case.x)], expected[:1])


@every_rounding
def test_gradients_of_rounded_weights_are_those_of_their_values(format):
    case = projected_case(*STACK, np.float32, seed=21)
    packed, cell = in_fewer_bits(case, format), cell_of(case)
    outputs, ours = call_vjp(case, all_weights=packed)
    again, theirs = call_vjp(case, all_weights=packed.unpack(), cell=cell)
    assert_same_bits(outputs, again)
    given = draw_like(outputs)
    assert_same_bits(flat_gradients(ours(*given)), flat_gradients(theirs(*given)))


@every_dtype
@every_projection
@pytest.mark.parametrize("weight_layout", ["mindspore_gpu", "mindspore_cpu"])
def test_the_operator_and_its_gradient(shape, proj_size, dtype, weight_layout):
    case = projected_case(shape, proj_size, dtype, seed=15)
    sizes = (shape.input_size, shape.hidden_size, shape.num_layers, True, shape.bidirectional, 0.0)
    options = {"weight_layout": weight_layout, "cell": cell_of(case)}
    net, grad = lstm_native.LSTM(*sizes, **options), lstm_native.LSTMGrad(*sizes, **options)
    w = flat_weight(case, weight_layout)
    assert net.weight_size == w.size
    y, hy, cy, reserve, state = net(case.x, case.h0, case.c0, w)
    assert reserve.shape == (net.reserve_size(shape.seq_len, shape.batch), 1)
    expected, pullback = call_vjp(case, cell=cell_of(case))
    if weight_layout == "mindspore_gpu":
        assert_same_bits((y, hy, cy), expected)
    else:  # adds the biases before
        assert_all_close((y, hy, cy), expected, "layout")
    given = draw_like((y, hy, cy))
    arguments = (case.x, case.h0, case.c0, w, y, hy, cy, *given, reserve, state)
    dx, dhx, dcx, dw = grad(*arguments)
    d_input, d_states, d_weights = pullback(*given)
    assert_gradients_close((dx, dhx, dcx), (d_input, *d_states))
    if weight_layout == "mindspore_cpu":  # both biases have the gradient of their sum
        d_weights = [d / 2 if d.ndim == 1 else d for d in d_weights]
    assert_gradients_close([dw], [flat_weight(replace(case, all_weights=d_weights), weight_layout)])
    *parts, workspace = grad.data(*arguments)
    assert_same_bits(parts, (dx, dhx, dcx))
    apart = grad.weights(case.x, reserve, workspace, state)
    assert_same_bits([apart], [dw])
    twice = grad.weights(case.x, reserve, workspace, state, out=apart.copy(), accumulate=True)
    assert_gradients_close([twice], [2 * dw])
    packed = net(case.x, case.h0, case.c0, pack(case, cell=cell_of(case)), training=False)
    assert_all_close(packed[:3], expected, "layout")


def test_a_memory_pool_changes_no_bits():
    case = projected_case(*STACK, np.float32, seed=16)
    cell = cell_of(case)
    outputs, pullback = call_vjp(case, cell=cell)
    given = draw_like(outputs)
    gradients = flat_gradients(pullback(*given))
    with lstm_native.MemoryPool():
        for _ in range(3):
            again, other = call_vjp(case, cell=cell)
            assert_same_bits(again, outputs)
            assert_same_bits(flat_gradients(other(*given)), gradients)


def test_what_a_call_costs():
    case = projected_case(Shape("about", 30, 2, 16, 256, 2, True), 100, np.float32)
    arguments = (case.x, (case.h0, case.c0), case.all_weights, 2)
    about = lstm_native.explain(*arguments, bidirectional=True, cell=cell_of(case))
    elements = sum(w.size for w in case.all_weights if w.ndim == 2)
    assert about.weight_bytes == 4 * elements
    assert about.operations == 2 * elements * 60
    assert {layer.projection_weights for layer in about.layers} == {"packed_per_call"}
    assert "W_hr packed at every call" in str(about)
    assert any(reason.startswith("proj_size 100 is no multiple") for reason in about.slow_paths)
    sizes = {"seq_len": 30, "batch": 2, "input_size": 16, "hidden_size": 256}
    by_sizes = lstm_native.explain(
        **sizes, num_layers=2, bidirectional=True, cell=cell_of(case), packed=False
    )
    assert by_sizes.operations == about.operations
    assert lstm_native.explain(**sizes).layers[0].projection_weights is None


def errors_case(proj_size=3):
    return projected_case(Shape("errors", 5, 3, 10, 4, 2), proj_size, np.float32)


CASE = errors_case()
WITHOUT_W_HR = [w for k, w in enumerate(CASE.all_weights) if k % 5 < 4]
TURNED_W_HR = [w.T.copy() if k == 9 else w for k, w in enumerate(CASE.all_weights)]
WRONG = {
    "arrays without a cell": (
        {"cell": None},
        r"all_weights: expected 8 arrays .* got 10; for a projection .* "
        r"write cell=lstm_native.Cell\(proj_size=3\)",
    ),
    "w_hh without a cell": (
        {"cell": None, "all_weights": WITHOUT_W_HR},
        r"all_weights\[1\] \(w_hh of layer 0, forward\): expected shape .* got \(16, 3\); for a "
        r"projection of the hidden state write cell=lstm_native.Cell\(proj_size=3\) and add its "
        r"w_hr \(3, 4\)",
    ),
    "no w_hr": (
        {"all_weights": WITHOUT_W_HR},
        r"all_weights: expected 10 arrays \(w_ih, w_hh, b_ih, b_hh, w_hr for each layer",
    ),
    "another size": (
        {"cell": Cell(proj_size=2)},
        r"\(w_hh of layer 0, forward\): expected shape .* got \(16, 3\) with proj_size=2",
    ),
    "no fewer units": (
        {"cell": Cell(proj_size=4), "all_weights": errors_case(4).all_weights},
        r"cell: expected a proj_size below the hidden_size of all_weights\[1\] .*, 4, got 4",
    ),
    "h_0": (
        {"initial_states": (CASE.c0, CASE.c0)},
        r"h_0\): expected shape .*proj_size\) = \(2, 3, 3\), got \(2, 3, 4\)",
    ),
    "c_0": (
        {"initial_states": (CASE.h0, CASE.h0)},
        r"c_0\): expected shape .*hidden_size\) = \(2, 3, 4\), got \(2, 3, 3\)",
    ),
    "w_hr": (
        {"all_weights": TURNED_W_HR},
        r"all_weights\[9\] \(w_hr of layer 1, forward\): expected shape "
        r"\(proj_size, hidden_size\) = \(3, 4\), got \(4, 3\)",
    ),
    "packed": (
        {"cell": Cell(), "all_weights": pack(CASE, cell=Cell(proj_size=3))},
        r"cell: expected Cell.* as all_weights were packed, got Cell",
    ),
}


@pytest.mark.parametrize("wrong", WRONG)
def test_wrong_calls(wrong):
    changes, message = WRONG[wrong]
    with pytest.raises(ValueError, match=message):
        call_lstm(CASE, **{"cell": Cell(proj_size=3), **changes})


def test_wrong_operators():
    with pytest.raises(ValueError, match="cell: expected a proj_size below hidden_size, 4, got 4"):
        lstm_native.LSTM(10, 4, 1, True, False, 0.0, cell=Cell(proj_size=4))
    net = lstm_native.LSTM(10, 4, 2, True, False, 0.0)
    with pytest.raises(ValueError, match="w: expected PackedWeights of the sizes"):
        net(CASE.x, CASE.c0, CASE.c0, pack(CASE, cell=Cell(proj_size=3)))


def test_wrong_cells():
    with pytest.raises(TypeError, match="proj_size: expected an int of at least 0, got float"):
        Cell(proj_size=2.0)
    with pytest.raises(ValueError, match=r"proj_size: expected an int from 0 to .*, got -1"):
        Cell(proj_size=-1)


def test_a_tape_of_another_projection_is_refused():
    sizes = (10, 4, 1, True, False, 0.0)
    case = projected_case(Shape("tape", 5, 3, 10, 4), 3, np.float32)
    other = projected_case(Shape("tape", 5, 3, 10, 4), 2, np.float32)
    results = lstm_native.LSTM(*sizes, cell=Cell(proj_size=3))(
        case.x, case.h0, case.c0, flat_weight(case)
    )
    y = np.zeros((5, 3, 2), np.float32)
    grad = lstm_native.LSTMGrad(*sizes, cell=Cell(proj_size=2))
    states = (other.h0, other.c0)
    with pytest.raises(ValueError, match="reserve: expected"):
        grad(other.x, *states, flat_weight(other), y, *states, y, *states, results[3])
