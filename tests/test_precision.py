"""Products of rounded inputs and states: exact sums of integers, the same bits in any batch."""

import copy
import pickle
import sys
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import lstm_native
from array_kinds import ArrayOnly
from calls import THREADS, assert_same_bits, call_lstm, operator_for, pack, turned
from few_and_all import most_shapes
from lstm_native._extension import core
from reference_rounded import (
    INPUT_IN_INTEGERS,
    ROUNDINGS,
    products_of_integers,
    rounded_reference,
    states_in_integers,
    weights_in_8_bits,
)
from shapes import FEW_SHAPES, Case, Shape, make_case
from tolerances import TOLERANCES, assert_all_close, assert_rounded_close

ISAS = lstm_native.get_config()["isa"]["supported"]
# weight_dtype and compute, with the core's name of the format.
FORMATS = {
    ("bfloat16", "bfloat16"): "bfloat16_products",
    ("int8", None): "int8",
    ("int8", "int8"): "int8_products",
}
# The largest magnitude of a row that has 1 as its scale, and as much in both directions.
WHOLE_STEPS = {"int8": 127 * 128, "int8_products": 126.5}

every_format = pytest.mark.parametrize("format", FORMATS, ids=FORMATS.get)
every_integer_format = pytest.mark.parametrize("format", WHOLE_STEPS)
every_isa = pytest.mark.parametrize("isa", ISAS)
few_shapes = pytest.mark.parametrize("shape", FEW_SHAPES, ids=lambda shape: shape.name)

LAYERS = Shape("layers", 7, 5, 19, 37, 2, True)
# More rows than a tile has, and a rest of every vector.
WIDE = Shape("wide", 3, 29, 70, 131)


def packed_as(case, format, **options):
    weight_dtype, compute = format
    return pack(case, weight_dtype=weight_dtype, compute=compute, **options)


# --- integers ---------------------------------------------------------------------------------


def draw_products(seed, rows, units, columns):
    """Rows and weights with values of very different size, an empty row of each among them."""
    rng = np.random.default_rng(seed)
    x = rng.standard_normal((rows, columns)) * 10.0 ** rng.integers(-3, 4, (rows, 1))
    weights = rng.uniform(-1, 1, (4 * units, columns)) * 10.0 ** rng.integers(-3, 3, (4 * units, 1))
    x[rows // 2] = 0.0
    weights[units] = 0.0
    return x.astype(np.float32), weights.astype(np.float32)


@every_integer_format
@every_isa
@pytest.mark.parametrize(
    "sizes", [(1, 1, 1), (2, 17, 3), (5, 4, 4), (7, 20, 65), (13, 33, 130), (40, 5, 257)], ids=str
)
def test_sums_are_those_of_plain_integers(sizes, isa, format):
    x, weights = draw_products(1, *sizes)
    got = core.testing.project_in_8_bits(x, weights, format, isa)
    expected = products_of_integers(x, weights, INPUT_IN_INTEGERS[format])
    # The sum is exact; it is rounded to float32, and each time that a scale multiplies it.
    np.testing.assert_allclose(got, expected, rtol=4e-7, atol=1e-30)


@given(
    st.integers(1, 30),
    st.integers(1, 40),
    st.integers(1, 300),
    st.sampled_from(sorted(WHOLE_STEPS)),
    st.integers(0, 2**32 - 1),
)
def test_every_instruction_set_gives_the_same_bits(rows, units, columns, format, seed):
    x, weights = draw_products(seed, rows, units, columns)
    first, *others = (core.testing.project_in_8_bits(x, weights, format, isa) for isa in ISAS)
    for other in others:
        assert_same_bits([other], [first])


@every_integer_format
@every_isa
def test_the_largest_sums_do_not_wrap(isa, format):
    columns = 1 << 16  # as many as weights in 8 bits may have
    x = np.ones((2, columns), np.float32)
    x[1] = -1.0
    weights = np.ones((4, columns), np.float32)
    weights[2:] = -1.0
    got = core.testing.project_in_8_bits(x, weights, format, isa)
    signs = np.array([[1, 1, -1, -1], [-1, -1, 1, 1]])
    np.testing.assert_allclose(got, signs * columns, rtol=4e-5)


@every_integer_format
@every_isa
def test_ties_go_to_even_integers(isa, format):
    most = WHOLE_STEPS[format]
    numbers = np.arange(-int(most), int(most), max(1, most // 500)) + 0.5
    x = np.empty((len(numbers), 3), np.float32)
    x[:] = numbers[:, None]
    x[:, 1:] = most, -most  # so that a row's scale is 1
    weights = np.array([[127, 0, 0]] * 4, np.float32)
    got = core.testing.project_in_8_bits(x, weights, format, isa)
    np.testing.assert_array_equal(got[:, 0], np.rint(numbers) * 127)


@every_integer_format
def test_weights_are_rounded_to_the_nearest_integer_of_their_scale(format):
    case = make_case(LAYERS, np.float32, seed=3)
    unpacked = pack(case, weight_dtype="int8").unpack()
    for kept, given_matrix in zip(unpacked, case.all_weights, strict=True):
        if kept.ndim == 1:
            assert_same_bits([kept], [given_matrix])
            continue
        integers, scales = weights_in_8_bits(given_matrix)
        np.testing.assert_array_equal(kept, (integers * scales[:, None]).astype(np.float32))
        assert np.abs(integers).max() == 127


# --- values -----------------------------------------------------------------------------------


@every_format
@few_shapes
def test_values_are_those_of_the_rounded_reference(shape, format):
    case = make_case(shape, np.float32, seed=2)
    got = call_lstm(case, all_weights=packed_as(case, format))
    expected = rounded_reference(case, ROUNDINGS[format])
    assert_rounded_close(got, expected)


@every_format
@most_shapes
def test_values_are_close_to_those_of_whole_numbers(shape, format):
    case = make_case(shape, np.float32, seed=1)
    got = call_lstm(case, all_weights=packed_as(case, format))
    assert_all_close(got, call_lstm(case), f"{FORMATS[format]} format")


def test_inputs_have_more_bits_than_states_unless_told():
    case = make_case(Shape("error", 25, 8, 128, 128), np.float32, seed=5)
    exact = call_lstm(case)[0]

    def error(format):
        return np.sqrt(
            np.mean((call_lstm(case, all_weights=packed_as(case, format))[0] - exact) ** 2)
        )

    assert error(("int8", None)) < 0.7 * error(("int8", "int8"))
    assert error(("bfloat16", "bfloat16")) < 0.7 * error(("int8", None))


@pytest.mark.parametrize("format", [("int8", None), ("int8", "int8")], ids=FORMATS.get)
def test_states_have_a_scale_of_their_row(format):
    # As an initial state may be, and as those of a cell without bounds are.
    case = make_case(Shape("beyond", 1, 4, 8, 24), np.float32, seed=6)
    scales = np.array([1.0, 3.0, 40.0, 1e-3], np.float32)[:, None]
    case = replace(case, h0=case.h0 / np.abs(case.h0).max(axis=2, keepdims=True) * scales)
    integers, row_scales = states_in_integers(case.h0[0])
    most = [127, 127 * 128, 127 * 128, 127]
    assert np.abs(integers).max(axis=1).tolist() == most
    np.testing.assert_allclose(row_scales, scales[:, 0] / most, rtol=1e-6)
    got = call_lstm(case, all_weights=packed_as(case, format))
    expected = rounded_reference(case, ROUNDINGS[format])
    for ours, theirs in zip(got, expected, strict=True):
        np.testing.assert_allclose(ours, theirs, atol=TOLERANCES["value"].of(np.float32))


@every_format
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_what_is_not_finite_stays_in_its_row(value, format):
    case = make_case(LAYERS, np.float32, seed=7)
    packed = packed_as(case, format)
    clean = call_lstm(case, all_weights=packed)
    for array, place in (("x", (3, 2, 7)), ("h0", (0, 2, 5))):
        spoiled = getattr(case, array).copy()
        spoiled[place] = value
        got = call_lstm(replace(case, **{array: spoiled}), all_weights=packed)
        others = [n for n in range(LAYERS.batch) if n != 2]
        for ours, before in zip(got, clean, strict=True):
            assert_same_bits([ours[:, others]], [before[:, others]])
        first = 3 if array == "x" else 0
        if format[0] == "int8" or np.isnan(value):
            assert np.isnan(got[0][first, 2]).any()


# --- the same bits ----------------------------------------------------------------------------


@every_format
@pytest.mark.parametrize("shape", [LAYERS, WIDE, *FEW_SHAPES], ids=lambda shape: shape.name)
def test_same_bits_alone_and_with_any_number_of_threads(shape, format):
    case = make_case(shape, np.float32, seed=8)
    case.h0[:, ::2] /= 10  # within 1, the others beyond: those have more bits in int8
    packed = packed_as(case, format)
    whole = call_lstm(case, all_weights=packed, num_threads=1)
    for threads in THREADS[1:]:
        assert_same_bits(call_lstm(case, all_weights=packed, num_threads=threads), whole)
    for n in range(shape.batch):
        one = slice(n, n + 1)
        alone = call_lstm(
            case,
            input=case.x[:, one],
            initial_states=(case.h0[:, one], case.c0[:, one]),
            all_weights=packed,
        )
        assert_same_bits(alone, [array[:, one] for array in whole])


@every_format
def test_batch_first_and_ragged_batches(format):
    case = make_case(LAYERS, np.float32, seed=9)
    packed = packed_as(case, format)
    whole = call_lstm(case, all_weights=packed)
    first = call_lstm(case, input=turned(case.x), all_weights=packed, batch_first=True)
    assert_same_bits([turned(first[0]), *first[1:]], whole)
    lengths = [3, 7, 1, 0, 5]
    ragged = call_lstm(case, all_weights=packed, lengths=lengths)
    for n, length in enumerate(lengths):
        one = slice(n, n + 1)
        if length == 0:
            assert not ragged[0][:, one].any()
            continue
        alone = call_lstm(
            case,
            input=case.x[:length, one],
            initial_states=(case.h0[:, one], case.c0[:, one]),
            all_weights=packed,
        )
        assert_same_bits([ragged[0][:length, one], *(a[:, one] for a in ragged[1:])], alone)


@every_format
@pytest.mark.parametrize("threads", THREADS)
def test_streams_give_the_bits_of_the_whole_sequence(threads, format):
    case = make_case(Shape("stream", 9, 3, 40, 66, 2), np.float32, seed=10)
    packed = packed_as(case, format)
    expected = call_lstm(case, all_weights=packed)
    stream = lstm_native.Stream(packed, case.shape.batch, num_threads=threads)
    stream.state = case.h0, case.c0
    outputs = [stream.step(case.x[0])[None], stream.run(case.x[1:6]), stream.run(case.x[6:])]
    assert_same_bits([np.concatenate(outputs), *stream.state], expected)


# --- what is kept -----------------------------------------------------------------------------


@every_format
def test_unpacked_weights_pack_to_the_same(format):
    case = make_case(LAYERS, np.float32, seed=11)
    packed = packed_as(case, format)
    again = packed_as(replace(case, all_weights=packed.unpack()), format)
    assert_same_bits(again.unpack(), packed.unpack())
    expected = call_lstm(case, all_weights=packed)
    assert again.weight_error == 0.0
    for other in (again, pickle.loads(pickle.dumps(packed)), copy.deepcopy(packed)):
        assert (other.weight_dtype, other.compute) == format
        assert_same_bits(call_lstm(case, all_weights=other), expected)
    assert pickle.loads(pickle.dumps(packed)).weight_error == packed.weight_error > 0.0


@pytest.mark.parametrize("weight_dtype", ["float16", "bfloat16", "int8"])
def test_the_error_of_weights(weight_dtype):
    case = make_case(LAYERS, np.float32, seed=12)
    packed = pack(case, weight_dtype=weight_dtype)
    matrices = [w.ndim == 2 for w in case.all_weights]
    given_values = np.concatenate([w.ravel() for w in case.all_weights if w.ndim == 2])
    kept = np.concatenate([w.ravel() for w, m in zip(packed.unpack(), matrices, strict=True) if m])
    difference = (kept - given_values).astype(np.float64)
    expected = np.sqrt(np.mean(difference**2) / np.mean(given_values.astype(np.float64) ** 2))
    assert packed.weight_error == pytest.approx(expected, rel=1e-6)
    assert pack(case).weight_error == 0.0


@pytest.mark.parametrize("compute", [None, "int8"])
def test_int8_takes_a_quarter_of_the_memory_and_scales(compute):
    case = make_case(Shape("memory", 1, 1, 256, 512), np.float32)
    matrices = sum(w.nbytes for w in case.all_weights if w.ndim == 2)
    biases = 2 * 4 * 512 * 4
    whole, small = pack(case), pack(case, weight_dtype="int8", compute=compute)
    assert whole.nbytes == matrices + biases + biases // 2
    # A scale and a sum of each gate's row, for both matrices.
    assert small.nbytes == matrices // 4 + 2 * 2 * 4 * 4 * 512 + biases + biases // 2


def test_bfloat16_products_take_half_of_the_memory():
    case = make_case(Shape("memory", 1, 1, 256, 512), np.float32)
    narrow = pack(case, weight_dtype="bfloat16")
    assert pack(case, weight_dtype="bfloat16", compute="bfloat16").nbytes == narrow.nbytes


def test_zero_weights():
    case = make_case(Shape("zeros", 3, 2, 5, 7), np.float32)
    zeros = replace(case, all_weights=tuple(np.zeros_like(w) for w in case.all_weights))
    for format in FORMATS:
        packed = packed_as(zeros, format)
        assert packed.weight_error == 0.0
        assert_same_bits(call_lstm(case, all_weights=packed), call_lstm(zeros))


def test_models():
    case: Case = make_case(Shape("model", 4, 3, 6, 8), np.float32, seed=13)
    model = lstm_native.Model(case.all_weights)
    small = model.astype("int8")
    fast = small.astype("int8", compute="int8")
    assert (small.weight_dtype, small.compute, fast.compute) == ("int8", None, "int8")
    assert small.astype("int8") is small
    assert "int8 weights" in repr(small)
    assert "int8 products" in repr(fast)
    assert "weight_dtype='int8', compute='int8'" in repr(fast.packed)
    assert_same_bits(
        [small(case.x)[0]], [lstm_native.Model(case.all_weights, weight_dtype="int8")(case.x)[0]]
    )


# --- arrays of 16 bits ------------------------------------------------------------------------


@pytest.mark.parametrize("weight_dtype", ["float16", "bfloat16", "int8"])
def test_inputs_and_states_in_float16(weight_dtype):
    case = make_case(Shape("halves", 4, 3, 6, 8), np.float32, seed=14)
    halves = {name: getattr(case, name).astype(np.float16) for name in ("x", "h0", "c0")}
    whole = {name: value.astype(np.float32) for name, value in halves.items()}
    packed = pack(case, weight_dtype=weight_dtype)
    expected = call_lstm(replace(case, **whole), all_weights=packed)
    assert_same_bits(call_lstm(replace(case, **halves), all_weights=packed), expected)
    offered = ArrayOnly(halves["x"])  # as JAX's arrays are: a dtype, and no method float()
    offered.dtype = np.dtype(np.float16)
    got = call_lstm(replace(case, **halves), input=offered, all_weights=packed)
    assert_same_bits(got, expected)
    mixed = replace(case, **{**halves, "c0": whole["c0"]})
    assert_same_bits(call_lstm(mixed, all_weights=packed), expected)

    stream = lstm_native.Stream(packed, 3, initial_states=(halves["h0"], halves["c0"]))
    assert_same_bits([stream.step(halves["x"][0])], expected[0][:1])
    net = operator_for(case, training=False)
    assert_same_bits(net(halves["x"], halves["h0"], halves["c0"], packed)[:3], expected)
    model = lstm_native.Model(packed)
    assert_same_bits([model(halves["x"], state=(halves["h0"], halves["c0"]))[0]], expected[:1])


@pytest.mark.parametrize("weight_dtype", ["float16", "bfloat16", "int8"])
def test_results_in_fewer_bits(weight_dtype):
    case = make_case(Shape("halves", 4, 3, 6, 8), np.float32, seed=15)
    packed = pack(case, weight_dtype=weight_dtype)
    expected = call_lstm(case, all_weights=packed)
    halves = [array.astype(np.float16) for array in expected]
    for out_dtype in ("float16", np.float16, np.dtype(np.float16)):
        assert_same_bits(call_lstm(case, all_weights=packed, out_dtype=out_dtype), halves)
    # An input that has to be converted takes the other way through lstm().
    as_halves = replace(case, x=case.x.astype(np.float16))
    assert call_lstm(as_halves, all_weights=packed, out_dtype="float16")[0].dtype == np.float16
    assert_same_bits(call_lstm(case, all_weights=packed, out_dtype="float32"), expected)
    output, (h_n, c_n) = lstm_native.Model(packed)(
        case.x, state=(case.h0, case.c0), out_dtype="float16"
    )
    assert_same_bits([output, h_n, c_n], halves)


def test_results_in_bfloat16_need_ml_dtypes(monkeypatch):
    case = make_case(Shape("halves", 4, 3, 6, 8), np.float32, seed=15)
    packed = pack(case, weight_dtype="bfloat16")
    monkeypatch.setitem(sys.modules, "ml_dtypes", None)
    with pytest.raises(ImportError, match="out_dtype: 'bfloat16' needs the package ml_dtypes"):
        call_lstm(case, all_weights=packed, out_dtype="bfloat16")


def test_float16_is_refused_with_weights_as_they_are():
    case = make_case(Shape("halves", 4, 3, 6, 8), np.float32)
    for weights in (case.all_weights, pack(case)):
        with pytest.raises(
            TypeError, match="input: expected dtype float32 or float64, got float16"
        ):
            call_lstm(case, input=case.x.astype(np.float16), all_weights=weights)
