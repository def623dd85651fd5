"""Cells other than the standard one: values, gradients, and the same bits by every way to call."""

import pickle
from dataclasses import replace

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
    flat_weight,
    gradient_arguments,
    gradient_for,
    operator_for,
    pack,
    transposed_weights,
    weights_of_flat,
)
from cell_cases import CELLS, both_cells, case_for
from few_and_all import every_tape_and_dtype, few_dtypes
from gradient_checks import assert_central_differences
from lstm_native import Cell
from ragged_batch import BATCH_SIZES, RAGGED, assert_same_ragged_results, packed_rows
from reference_backward import backward_packed
from reference_cell import ACTIVATIONS, ReferenceCell
from reference_lstm import reference, reference_packed
from shapes import Shape, make_case
from tolerances import assert_all_close, assert_gradients_close, assert_scaled_close

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
every_cell = pytest.mark.parametrize("name", CELLS)
SMALL = Shape("small", 3, 2, 3, 4, 2, True)


def values_of(answer):
    return answer.output, answer.h_n, answer.c_n


def assert_values_close(got, expected, quantity="value"):
    for ours, theirs in zip(got, expected, strict=True):
        assert_scaled_close(ours, theirs, quantity)


def expected_gradients(case, given, cell):
    shape = case.shape
    answer = backward_packed(
        case.x.reshape(-1, shape.input_size), case.h0, case.c0, case.all_weights,
        shape.bidirectional, [shape.batch] * shape.seq_len,
        given[0].reshape(shape.seq_len * shape.batch, -1), *given[1:], cell=cell,
    )  # fmt: skip
    return [answer.input.reshape(case.x.shape), answer.h_0, answer.c_0, *answer.weights]


# --- values and gradients -------------------------------------------------------------------------


@every_dtype
@every_shape
@every_cell
def test_values(name, shape, dtype):
    cell, of_reference = both_cells(name, shape.bidirectional)
    case = case_for(cell, shape, dtype, seed=1)
    weights = (case.x, case.h0, case.c0, case.all_weights, shape.bidirectional)
    expected = values_of(reference(*weights, cell=of_reference))
    assert_values_close(call_lstm(case, cell=cell), expected)
    assert_values_close(call_lstm(case, all_weights=pack(case, cell=cell)), expected)


@every_tape_and_dtype
@every_shape
@every_cell
def test_gradients(name, shape, dtype, recompute):
    cell, of_reference = both_cells(name, shape.bidirectional)
    case = case_for(cell, shape, dtype, seed=2)
    outputs, pullback = call_vjp(case, cell=cell, recompute=recompute)
    given = draw_like(outputs)
    got = flat_gradients(pullback(*given))
    assert_gradients_close(got, expected_gradients(case, given, of_reference))
    if cell.input_forget:
        forget = slice(shape.hidden_size, 2 * shape.hidden_size)
        assert all(not d[forget].any() for d in got[3:])  # present, unused


@every_dtype
@every_cell
def test_packed_sequences_and_their_gradients(name, dtype):
    cell, of_reference = both_cells(name, bidirectional=True)
    case = case_for(cell, RAGGED, dtype)
    rows = packed_rows(case)
    arguments = (rows, case.h0, case.c0, case.all_weights, True, BATCH_SIZES)
    expected = reference_packed(*arguments, cell=of_reference)
    outputs, pullback = call_vjp(case, input=rows, batch_sizes=BATCH_SIZES, cell=cell)
    assert_values_close(outputs, values_of(expected))
    given = draw_like(outputs)
    gradients = backward_packed(*arguments, *given, cell=of_reference)
    expected = [gradients.input, gradients.h_0, gradients.c_0, *gradients.weights]
    assert_gradients_close(flat_gradients(pullback(*given)), expected)


@pytest.mark.parametrize("alpha", [1e-22, 1e30])
def test_a_scaled_tanh_of_any_size_in_float32(alpha):
    """Neither its square nor that of its values is a number in float32."""
    arguments = {"activations": ["sigmoid", "scaledtanh", "tanh"], "alphas": [alpha]}
    cell, of_reference = Cell(**arguments), ReferenceCell(**arguments)
    case = case_for(cell, replace(SMALL, num_layers=1, bidirectional=False), np.float32, seed=3)
    case = replace(case, c0=np.zeros_like(case.c0))
    outputs, pullback = call_vjp(case, cell=cell)
    given = [array / np.float32(max(alpha, 1.0)) for array in draw_like(outputs)]
    got = flat_gradients(pullback(*given))
    for pair in zip(got, expected_gradients(case, given, of_reference), strict=True):
        assert_gradients_close(*([array] for array in pair))  # each beside its own size


def test_a_scaled_tanh_whose_alpha_is_zero_in_float32():
    case = case_for(Cell(), SMALL, np.float32)
    got = []
    for alpha in (0.0, 1e-46):
        activations = ["scaledtanh", "tanh", "tanh"]
        outputs, pullback = call_vjp(case, cell=Cell(activations=activations, alphas=[alpha]))
        got.append([*outputs, *flat_gradients(pullback(*draw_like(outputs)))])
    assert_same_bits(*got)
    assert all(np.isfinite(array).all() for array in got[0])


def case_of_activation(cell, dtype=np.float64):
    return case_for(cell, SMALL, dtype, seed=9)


@pytest.mark.parametrize("place", range(3), ids=["gates", "candidate", "output"])
@pytest.mark.parametrize("name", ACTIVATIONS)
def test_each_activation_in_each_place(name, place):
    functions = ["sigmoid", "tanh", "tanh"]
    functions[place] = name
    usual = ReferenceCell(activations=functions)
    values = usual.functions(0)[place]
    for scale in (None, 1.3):  # the defaults, and others
        arguments = {"activations": functions}
        if scale is not None and Cell(**arguments).alphas is not None:
            arguments["alphas"] = [scale * values.alpha]
        if scale is not None and Cell(**arguments).betas is not None:
            arguments["betas"] = [scale * values.beta - 0.1]
        cell, of_reference = Cell(**arguments), ReferenceCell(**arguments)
        for dtype in DTYPES:
            case = case_of_activation(cell, dtype)
            outputs, pullback = call_vjp(case, cell=cell)
            answer = reference(case.x, case.h0, case.c0, case.all_weights, True, cell=of_reference)
            assert_values_close(outputs, values_of(answer))
            given = draw_like(outputs)
            expected = expected_gradients(case, given, of_reference)
            assert_gradients_close(flat_gradients(pullback(*given)), expected)


@every_cell
def test_central_differences(name):
    cell, _ = both_cells(name, bidirectional=True)
    case = case_for(cell, SMALL, np.float64, seed=9)
    assert_central_differences(case, dropout=0.3, seed=4, cell=cell)


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_central_differences_of_each_activation(name):
    # In all three places: of the gates, the candidate and the output.
    shape = Shape("one", 2, 2, 2, 3)
    case = make_case(shape, np.float64, seed=3)
    assert_central_differences(case, cell=Cell(activations=(name, name, name)))


@pytest.mark.parametrize("name", ACTIVATIONS)
@every_dtype
def test_activations_far_from_zero(name, dtype):
    # One unit whose candidate sees x; i = 1, o = 1 and h = c_t, by way of Affine.
    far = np.array([0, 1e-30, -1e-30, 1e-8, -1e-8, 30, -30, 200, -200, 1e4, -1e4])
    x = np.concatenate([far, np.linspace(-20, 20, 81)]).astype(dtype)[None, :, None]
    arguments = {"activations": ("Affine", name, "Affine"), "alphas": [0.0], "betas": [1.0]}
    usual = ReferenceCell(activations=(name,) * 3).functions(0)[0]
    if Cell(activations=(name,) * 3).alphas is not None:
        arguments["alphas"] = [0.0, usual.alpha, 1.0]
    else:
        arguments["alphas"] = [0.0, 1.0]
    if Cell(activations=(name,) * 3).betas is not None:
        arguments["betas"] = [1.0, usual.beta, 0.0]
    else:
        arguments["betas"] = [1.0, 0.0]
    weights = [np.array([[0], [0], [1], [0]], dtype), np.zeros((4, 1), dtype)]
    state = np.zeros((1, x.shape[1], 1), dtype)
    output, _, _ = lstm_native.lstm(
        x, (state, state), weights, 1, 0.0, False, False, False, None, False, False, False,
        cell=Cell(**arguments),
    )  # fmt: skip
    with np.errstate(over="ignore"):
        expected = usual(x.astype(np.float64))
    last_place = np.finfo(dtype).eps * np.maximum(np.abs(expected), 1)
    assert (np.abs(output - expected) <= 4 * last_place).all()


@every_dtype
def test_the_gradient_passes_a_bound_that_is_only_touched(dtype):
    # One unit, whose four gates see x itself.
    bound = dtype(0.5)
    above, below = np.nextafter(bound, dtype(1)), np.nextafter(bound, dtype(0))
    for x, passes in (
        (bound, True), (-bound, True), (below, True), (-below, True),
        (above, False), (-above, False), (dtype(3), False), (dtype(-3), False),
    ):  # fmt: skip
        weights = [np.ones((4, 1), dtype), np.zeros((4, 1), dtype)]
        state = np.ones((1, 1, 1), dtype)
        outputs, pullback = lstm_native.lstm_vjp(
            np.full((1, 1, 1), x, dtype), (state, state), weights, 1, 0.0, True, False,
            has_ih_bias=False, has_hh_bias=False, cell=Cell(clip=0.5),
        )  # fmt: skip
        d_input, _, _ = pullback(np.ones_like(outputs[0]), needs=("input",))
        assert (d_input.item() != 0) == passes, x


@every_cell
def test_nan_stays_in_its_row(name):
    cell, _ = both_cells(name, bidirectional=True)
    case = case_for(cell, RAGGED, np.float32)
    expected = call_lstm(case, cell=cell)
    case.x[1, 2, 0] = np.nan
    for got, clean in zip(call_lstm(case, cell=cell), expected, strict=True):
        others = [row for row in range(RAGGED.batch) if row != 2]
        assert_same_bits([got[:, others]], [clean[:, others]])
        assert np.isnan(got[:, 2]).any()


# --- the same bits by every way to call -----------------------------------------------------------


@every_tape_and_dtype
@every_cell
def test_lengths_give_the_bits_of_the_packed_sequence(name, dtype, recompute):
    cell, _ = both_cells(name, bidirectional=True)
    case = case_for(cell, RAGGED, dtype)
    assert_same_ragged_results(case, cell=cell, recompute=recompute)


@every_dtype
@every_cell
def test_recomputed_gates_give_the_bits_of_kept_ones(name, dtype):
    cell, _ = both_cells(name, bidirectional=True)
    case = case_for(cell, SHAPES[1], dtype)
    kept, again = (call_vjp(case, cell=cell, recompute=r) for r in (False, True))
    given = draw_like(kept[0])
    assert_same_bits(flat_gradients(again[1](*given)), flat_gradients(kept[1](*given)))


@few_dtypes
@every_shape
@every_cell
def test_same_bits_on_any_number_of_threads(name, shape, dtype):
    cell, _ = both_cells(name, shape.bidirectional)
    case = case_for(cell, shape, dtype, seed=3)
    outputs, pullback = call_vjp(case, cell=cell, num_threads=1)
    given = draw_like(outputs)
    gradients = flat_gradients(pullback(*given))
    for threads in THREADS:
        again, other = call_vjp(case, cell=cell, num_threads=threads)
        assert_same_bits(again, outputs)
        assert_same_bits(flat_gradients(other(*given)), gradients)


@every_dtype
@pytest.mark.parametrize("layout", LAYOUTS)
def test_inputs_of_any_layout(layout, dtype):
    cell, _ = both_cells("all", bidirectional=True)
    case = case_for(cell, SHAPES[1], dtype, seed=4)
    got = call_lstm(case, cell=cell, input=LAYOUTS[layout](case.x))
    assert_same_bits(got, call_lstm(case, cell=cell))


def test_weights_of_any_layout():
    cell, _ = both_cells("all", bidirectional=True)
    case = case_for(cell, SHAPES[1], np.float32, seed=4)
    expected, pullback = call_vjp(case, cell=cell)
    given = draw_like(expected)
    gradients = flat_gradients(pullback(*given))
    apart = [np.stack([w, w], axis=-1)[..., 0] if w.ndim == 1 else w for w in case.all_weights]
    outputs, other = call_vjp(case, cell=cell, all_weights=apart)
    assert_same_bits(outputs, expected)
    assert_same_bits(flat_gradients(other(*given)), gradients)
    turned = transposed_weights(case)
    outputs, other = call_vjp(case, cell=cell, all_weights=turned, weights_transposed=True)
    assert_all_close(outputs, expected, "layout")
    d_weights = [d.T if d.ndim == 2 else d for d in other(*given)[2]]
    assert_gradients_close(d_weights, gradients[3:])


@every_dtype
@every_cell
@pytest.mark.parametrize("batch", [1, 7])
def test_streams_give_the_bits_of_the_whole_sequence(batch, name, dtype):
    cell, _ = both_cells(name, bidirectional=False)
    case = case_for(cell, Shape("stream", 6, batch, 5, 33, 2), dtype, seed=5)
    stream = lstm_native.Stream(pack(case, cell=cell), batch)
    stream.state = case.h0, case.c0
    steps = [stream.step(x) for x in case.x]
    expected = call_lstm(case, all_weights=stream.packed)
    assert_same_bits([np.stack(steps), *stream.state], expected)


@every_cell
def test_weights_in_fewer_bits(name):
    cell, of_reference = both_cells(name, bidirectional=True)
    case = case_for(cell, SHAPES[1], np.float32, seed=6)
    weights = (case.x, case.h0, case.c0, case.all_weights, True)
    expected = values_of(reference(*weights, cell=of_reference))
    for stored, compute, quantity in (
        ("float16", None, "float16 weights"),
        ("bfloat16", None, "bfloat16 weights"),
        ("bfloat16", "bfloat16", "bfloat16_products format"),
        ("int8", None, "int8 format"),
        ("int8", "int8", "int8_products format"),
    ):
        packed = pack(case, cell=cell, weight_dtype=stored, compute=compute)
        got = call_lstm(case, all_weights=packed)
        assert_values_close(got, expected, quantity)
        alone = call_lstm(
            case,
            input=case.x[:, 1:2],
            initial_states=(case.h0[:, 1:2], case.c0[:, 1:2]),
            all_weights=packed,
        )
        assert_same_bits(alone, [array[:, 1:2] for array in got])


@every_shape
def test_the_standard_cell_by_name_is_the_default(shape):
    case = make_case(shape, np.float32, seed=7)
    assert_same_bits(call_lstm(case, cell=Cell()), call_lstm(case))
    packed = pack(case)
    assert_same_bits(
        call_lstm(case, cell=Cell(), all_weights=packed), call_lstm(case, all_weights=packed)
    )


@every_dtype
def test_a_general_cell_that_computes_the_standard_one(dtype):
    # A bound that nothing reaches, and peepholes of zeros.
    cell = Cell(clip=1e6, peepholes=True)
    case = case_for(cell, SHAPES[1], dtype)
    for weight in case.all_weights[4::5]:
        weight[:] = 0
    plain = [w for k, w in enumerate(case.all_weights) if k % 5 < 4]
    outputs, pullback = call_vjp(case, cell=cell)
    expected, of_standard = call_vjp(case, all_weights=plain)
    assert_all_close(outputs, expected, "layout")
    given = draw_like(outputs)
    d_input, states, d_weights = pullback(*given)
    d_weights = [d for k, d in enumerate(d_weights) if k % 5 < 4]
    assert_gradients_close(
        flat_gradients((d_input, states, d_weights)), flat_gradients(of_standard(*given))
    )


# --- the operator ---------------------------------------------------------------------------------


@every_dtype
@every_cell
@pytest.mark.parametrize("weight_layout", ["mindspore_gpu", "mindspore_cpu"])
def test_the_operator_and_its_gradient(weight_layout, name, dtype):
    cell, _ = both_cells(name, bidirectional=True)
    case = case_for(cell, SHAPES[1], dtype, seed=8)
    options = {"weight_layout": weight_layout, "cell": cell}
    net, flat = operator_for(case, **options), flat_weight(case, weight_layout)
    assert net.weight_size == flat.size
    results = net(case.x, case.h0, case.c0, flat)
    outputs, pullback = call_vjp(case, cell=cell)
    assert_all_close(results[:3], outputs, "layout")  # one bias of two is added before
    assert results[3].shape == (net.reserve_size(*case.x.shape[:2]), 1)
    gradient = gradient_for(case, **options)
    arguments = gradient_arguments(case, flat, results)
    dx, dh, dc, dw = gradient(*arguments)
    expected = flat_gradients(pullback(*results[:3]))
    got = [dx, dh, dc, *weights_of_flat(case, dw, weight_layout)]
    assert_gradients_close(got, expected)
    *data, workspace = gradient.data(*arguments)
    assert_same_bits(data, [dx, dh, dc])
    halves = gradient.weights(case.x, results[3], workspace, results[4])
    assert_same_bits([halves], [dw])
    twice = gradient.weights(case.x, results[3], workspace, results[4], out=halves, accumulate=True)
    assert_gradients_close([twice], [2 * dw])


@every_cell
def test_the_operator_takes_what_was_packed_for_its_cell(name):
    cell, _ = both_cells(name, bidirectional=True)
    case = case_for(cell, SHAPES[1], np.float32)
    net = operator_for(case, cell=cell)
    expected = net(case.x, case.h0, case.c0, pack(case, cell=cell), training=False)
    assert_same_bits(call_lstm(case, all_weights=pack(case, cell=cell)), expected[:3])
    again = pickle.loads(pickle.dumps(net))
    assert repr(again) == repr(net)
    assert repr(cell) in repr(net)
    with pytest.raises(ValueError, match="w: expected PackedWeights of the sizes of LSTM"):
        operator_for(case)(case.x, case.h0, case.c0, pack(case, cell=cell))


def test_a_reserve_of_another_cell_is_refused():
    case = make_case(SHAPES[1], np.float32)
    flat = flat_weight(case)
    results = operator_for(case, cell=Cell(clip=1.0))(case.x, case.h0, case.c0, flat)
    arguments = gradient_arguments(case, flat, results)
    gradient_for(case, cell=Cell(clip=1.0))(*arguments)
    with pytest.raises(ValueError, match=r"reserve: expected the reserve of a call with Cell\(\),"):
        gradient_for(case)(*arguments)
    with pytest.raises(ValueError, match=r"a call with Cell\(clip=2.0\), got one of another cell"):
        gradient_for(case, cell=Cell(clip=2.0))(*arguments)


@every_cell
def test_masks_are_replayed(name):
    cell, _ = both_cells(name, bidirectional=True)
    case = case_for(cell, SHAPES[1], np.float32)
    net, flat = operator_for(case, 0.4, cell=cell), flat_weight(case)
    lstm_native.manual_seed(5)
    results = net(case.x, case.h0, case.c0, flat)
    assert_same_bits(net(case.x, case.h0, case.c0, flat, state=results[4]), results)
    gradient = gradient_for(case, 0.4, cell=cell)(*gradient_arguments(case, flat, results))
    outputs, pullback = call_vjp(case, cell=cell, dropout=0.4, seed=5)
    assert_same_bits(results[:3], outputs)
    assert_gradients_close(gradient[:3], flat_gradients(pullback(*outputs))[:3])


# --- packed weights -------------------------------------------------------------------------------


def test_packed_weights_remember_their_cell():
    cell, _ = both_cells("all", bidirectional=True)
    case = case_for(cell, SHAPES[1], np.float32)
    packed = pack(case, cell=cell)
    assert packed.cell == cell
    assert repr(cell) in repr(packed)
    assert_same_bits(packed.unpack(), case.all_weights)
    again = pickle.loads(pickle.dumps(packed))
    assert again.cell == cell
    expected = call_lstm(case, all_weights=packed, cell=cell)
    assert_same_bits(call_lstm(case, all_weights=packed), expected)
    assert_same_bits(call_lstm(case, all_weights=again), expected)
    assert packed.nbytes > pack(make_case(SHAPES[1], np.float32)).nbytes
    with pytest.raises(ValueError, match=r"cell: expected Cell.*, as all_weights were packed"):
        call_lstm(case, all_weights=packed, cell=Cell())
    with pytest.raises(ValueError, match=r"cell: expected Cell.*, as all_weights were packed"):
        lstm_native.Stream(pack(make_case(SHAPES[2], np.float32)), cell=Cell(peepholes=True))


def test_plainly_packed_weights_serve_cells_without_peepholes():
    case = make_case(SHAPES[1], np.float32)
    cell, _ = both_cells("activations", bidirectional=True)
    got = call_lstm(case, all_weights=pack(case), cell=cell)
    assert_same_bits(got, call_lstm(case, all_weights=pack(case, cell=cell)))


# --- the class ------------------------------------------------------------------------------------


def test_a_cell_is_a_value():
    cell = Cell(input_forget=True)
    assert cell == Cell(input_forget=True) != Cell()
    assert {cell: 1}[Cell(input_forget=True)] == 1
    assert repr(Cell()) == "Cell()"
    with pytest.raises(AttributeError):
        cell.input_forget = False  # type: ignore[misc]
    for name in CELLS:
        one, _ = both_cells(name, bidirectional=True)
        assert pickle.loads(pickle.dumps(one)) == one
        assert eval(repr(one)) == one


def test_cells_are_equal_where_their_activations_and_values_are():
    hard = Cell(activations=["HardSigmoid", "TANH", "tanh"])
    assert hard == Cell(activations=("hardsigmoid", "tanh", "tanh"), alphas=[0.2], betas=[0.5])
    assert hash(hard) == hash(Cell(activations=("hardsigmoid", "tanh", "tanh")))
    assert hard != Cell(activations=("hardsigmoid", "tanh", "tanh"), alphas=[0.3])
    assert hard == Cell(activations=("hardsigmoid", "tanh", "tanh") * 2)
    assert Cell(activations=("sigmoid", "tanh", "tanh") * 2) == Cell()
    assert hard.alphas == (0.2,)
    assert hard.betas == (0.5,)
    assert Cell().alphas is None
