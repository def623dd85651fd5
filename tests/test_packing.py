"""Packed weights: kept bit for bit, in 16 bits if told so, and the same bits for any threads."""

import copy
import dataclasses
import itertools
import pickle
import re
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import lstm_native
from calls import (
    BIASES,
    DTYPES,
    THREADS,
    assert_same_bits,
    call_lstm,
    call_reference,
    call_vjp,
    operator_for,
    pack,
    transposed_weights,
)
from drawn_shapes import drawn_shapes
from few_and_all import few_isas
from fresh_interpreter import ask
from reference_dropout import drop_with
from shapes import FEW_NAMES, FEW_SHAPES, Shape, make_case, shapes_by_name
from tolerances import assert_all_close

HALVES = ("float16", "bfloat16")
# What calls compute in, and what matrices are stored in where that is not the same.
KINDS = ((np.float32, None), (np.float32, "float16"), (np.float32, "bfloat16"), (np.float64, None))

few_shapes = pytest.mark.parametrize("shape", FEW_SHAPES, ids=lambda shape: shape.name)
every_dtype = pytest.mark.parametrize("dtype", DTYPES)
every_half = pytest.mark.parametrize("weight_dtype", HALVES)
every_kind = pytest.mark.parametrize(("dtype", "stored"), KINDS)
few_names = pytest.mark.parametrize("name", FEW_NAMES)

random_shapes = drawn_shapes(seq_len=12, batch=(0, 20), input_size=40, hidden_size=40)


def make(name, dtype=np.float32, seed=1, bias=(True, True)):
    return make_case(shapes_by_name()[name], dtype, seed, bias)


@pytest.mark.parametrize("transposed", [False, True])
@pytest.mark.parametrize("bias", BIASES)
def test_packed_weights_know_their_flags(bias, transposed):
    # A call may leave them at the defaults, and so may the layout of the operator's flat weights.
    case = make("bi_two_layers", bias=bias)
    packed = pack(case, transposed)
    expected = call_lstm(case, all_weights=packed)
    flags = {"weights_transposed": False, "has_ih_bias": True, "has_hh_bias": True}
    assert_same_bits(call_lstm(case, all_weights=packed, **flags), expected)
    for layout in ("mindspore_gpu", "mindspore_cpu"):
        for training in (False, True):
            net = operator_for(case, weight_layout=layout, training=training)
            assert_same_bits(net(case.x, case.h0, case.c0, packed)[:3], expected)


def test_dropout():
    case = make("bi_two_layers")
    reference = call_reference(case, drop=drop_with(0.4, 21, 0))
    expected = (reference.output, reference.h_n, reference.c_n)
    options = {"dropout": 0.4, "train": True, "seed": 21}
    assert_all_close(call_lstm(case, all_weights=pack(case), **options), expected, "value")


@few_names
def test_a_call_with_nothing_to_convert_gives_the_same_bits_as_any_other(name):
    # Such a call takes a way of its own through the library.
    case = make(name)
    packed = pack(case)
    plain = call_lstm(case, all_weights=packed)
    changes = [
        {"input": np.asfortranarray(case.x)},
        {"input": [list(step) for step in case.x]},
        {"initial_states": [case.h0, case.c0]},
        {"initial_states": (np.asfortranarray(case.h0), case.c0[..., ::-1].copy()[..., ::-1])},
        {"input": case.x.astype(">f4")},
        {"num_layers": np.int64(case.shape.num_layers)},
        {"num_threads": 1},
        {"seed": 1},
        {"dropout": 0},
        {"train": True},
        {"lengths": [case.shape.seq_len] * case.shape.batch},
    ]
    for change in changes:
        assert_same_bits(call_lstm(case, all_weights=packed, **change), plain)


@every_kind
@few_names
def test_a_row_does_not_depend_on_the_other_rows(name, dtype, stored):
    case = make(name, dtype)
    assert_rows_alone(case, pack(case, weight_dtype=stored))


@given(random_shapes, st.sampled_from(DTYPES), st.integers(0, 2**32 - 1))
def test_no_row_of_any_shape_depends_on_the_other_rows(shape, dtype, seed):
    case = make_case(shape, dtype, seed)
    assert_rows_alone(case, pack(case))


def assert_rows_alone(case, packed):
    whole = call_lstm(case, all_weights=packed)
    for n in range(case.shape.batch):
        one = slice(n, n + 1)
        alone = call_lstm(
            case,
            input=case.x[:, one],
            initial_states=(case.h0[:, one], case.c0[:, one]),
            all_weights=packed,
        )
        assert_same_bits(alone, [array[:, one] for array in whole])


# --- threads ----------------------------------------------------------------------------------


@every_kind
@few_names
def test_same_bits_for_any_number_of_threads(name, dtype, stored):
    case = make(name, dtype)
    packed = pack(case, weight_dtype=stored)
    expected = call_lstm(case, all_weights=packed, num_threads=1)
    for threads in THREADS[1:]:
        assert_same_bits(call_lstm(case, all_weights=packed, num_threads=threads), expected)


@given(
    random_shapes,
    st.sampled_from(DTYPES),
    st.sampled_from(BIASES),
    st.booleans(),
    st.integers(0, 2**32 - 1),
)
def test_same_bits_for_any_shape_and_number_of_threads(shape, dtype, bias, transposed, seed):
    case = make_case(shape, dtype, seed, bias)
    packed = pack(case, transposed)
    expected = call_lstm(case, all_weights=packed, num_threads=1)
    for threads in THREADS[1:]:
        assert_same_bits(call_lstm(case, all_weights=packed, num_threads=threads), expected)


def test_many_python_threads_share_the_same():
    case = make_case(Shape("shared", 30, 3, 20, 70, 2, True), np.float32)
    packed = pack(case)
    expected = call_lstm(case, all_weights=packed)
    arguments = [(1, packed), (2, packed)] * 16
    with ThreadPoolExecutor(8) as pool:
        jobs = [
            pool.submit(call_lstm, case, all_weights=shared, num_threads=threads)
            for threads, shared in arguments
        ]
        for job in jobs:
            assert_same_bits(job.result(), expected)


# --- what is kept -----------------------------------------------------------------------------


def special_values(dtype):
    """Values whose bits arithmetic would not keep, and the largest and smallest."""
    info = np.finfo(dtype)
    values = [np.nan, np.inf, 0.0, info.smallest_subnormal, info.tiny, info.max, 1.0, info.eps]
    return np.array([sign * value for value in values for sign in (1, -1)], dtype)


def with_special_values(case, dtype):
    """The case with weights of special values, no two arrays alike."""
    values = special_values(dtype)
    arrays = [
        np.resize(np.roll(values, index), w.shape) for index, w in enumerate(case.all_weights)
    ]
    return replace(case, all_weights=tuple(arrays))


@pytest.mark.parametrize("bias", BIASES)
@few_shapes
def test_unpack_gives_back_every_bit(shape, bias):
    for dtype, transposed in itertools.product(DTYPES, (False, True)):
        case = with_special_values(make_case(shape, dtype, bias=bias), dtype)
        weights = transposed_weights(case) if transposed else case.all_weights
        unpacked = pack(case, transposed).unpack()
        assert isinstance(unpacked, tuple)
        assert_same_bits(unpacked, weights)
        assert all(array.flags.c_contiguous and array.flags.writeable for array in unpacked)


@few_names
def test_unpack_after_arrays_of_other_layouts(name):
    case = make(name)
    expected = pack(case)
    layouts = (
        np.asfortranarray,
        lambda w: np.repeat(w, 2, axis=-1)[..., ::2],
        lambda w: w[::-1].copy()[::-1],
        lambda w: w.astype(">f4"),
        lambda w: np.ascontiguousarray(w.T).T,
    )
    for layout in layouts:
        packed = pack(replace(case, all_weights=tuple(layout(w) for w in case.all_weights)))
        assert_same_bits(packed.unpack(), case.all_weights)
        assert packed.nbytes == expected.nbytes
        got = call_lstm(case, all_weights=packed)
        assert_same_bits(got, call_lstm(case, all_weights=expected))


@every_dtype
@pytest.mark.parametrize("transposed", [False, True])
def test_arrays_are_copied(transposed, dtype):
    case = make("bi_two_layers", dtype)
    weights = transposed_weights(case) if transposed else [w.copy() for w in case.all_weights]
    originals = [w.copy() for w in weights]
    packed = lstm_native.pack_weights(weights, 2, True, transposed)
    expected = call_lstm(case, all_weights=packed)
    for array in (*weights, *packed.unpack()):
        array[...] = np.nan
    assert_same_bits(packed.unpack(), originals)
    assert_same_bits(call_lstm(case, all_weights=packed), expected)


@pytest.mark.parametrize("bias", BIASES)
@every_kind
def test_attributes(dtype, stored, bias):
    case = make("bi_two_layers", dtype, bias=bias)
    for transposed in (False, True):
        packed = pack(case, transposed, weight_dtype=stored)
        assert packed.input_size == case.shape.input_size
        assert packed.hidden_size == case.shape.hidden_size
        assert packed.num_layers == 2
        assert packed.bidirectional is True
        assert packed.weights_transposed is transposed
        assert (packed.has_ih_bias, packed.has_hh_bias) == bias
        assert packed.dtype == dtype
        assert packed.weight_dtype == stored
        for word in ("input_size=6", "hidden_size=11", "num_layers=2", "bidirectional=True"):
            assert word in repr(packed)
        assert (f"weight_dtype='{stored}'" in repr(packed)) == (stored is not None)


@every_kind
@few_shapes
def test_nbytes(shape, dtype, stored):
    case = make_case(shape, dtype)
    nbytes = pack(case, weight_dtype=stored).nbytes
    element, narrow = np.dtype(dtype).itemsize, 2 if stored else np.dtype(dtype).itemsize
    matrices = [w for w in case.all_weights if w.ndim == 2]
    biases = [w for w in case.all_weights if w.ndim == 1]
    assert nbytes >= sum(w.size * narrow for w in matrices) + sum(w.nbytes for w in biases)
    # Units fill whole vectors, columns in bfloat16 pairs; each of a cell's two matrices and its one
    # summed bias begins on a cache line; the biases themselves are kept, to be unpacked.
    sizes = {"seq_len": 1, "batch": 1, "input_size": 1, "hidden_size": 1}
    lanes = lstm_native.explain(**sizes, dtype=np.dtype(dtype).name).lanes
    units = -(-shape.hidden_size // lanes) * lanes
    cells = shape.num_layers * shape.num_directions
    together = 2 if stored == "bfloat16" else 1
    most = sum(4 * units * -(-w.shape[1] // together) * together * narrow for w in matrices)
    most += cells * (4 * units * element + 3 * 64) + sum(w.nbytes for w in biases)
    assert nbytes <= most


def test_is_immutable():
    packed = pack(make("h9"))
    names = ("input_size", "hidden_size", "num_layers", "bidirectional", "weights_transposed")
    for name in (*names, "dtype", "weight_dtype", "nbytes", "_core", "_flags", "anything"):
        with pytest.raises(dataclasses.FrozenInstanceError, match=f"assign to field '{name}'"):
            setattr(packed, name, 1)
        with pytest.raises(dataclasses.FrozenInstanceError, match=f"delete field '{name}'"):
            delattr(packed, name)
    with pytest.raises(AttributeError):
        packed.unknown  # noqa: B018
    with pytest.raises(TypeError, match="made by pack_weights"):
        lstm_native.PackedWeights()


@pytest.mark.parametrize("name", ["h9", "bi_two_layers"])
def test_calls_may_leave_out_what_packed_weights_know(name):
    case = make(name)
    packed, states = pack(case), (case.h0, case.c0)
    known = call_lstm(case, all_weights=packed)
    assert_same_bits(lstm_native.lstm(case.x, states, packed), known)
    (outputs, pullback), (same, other) = (
        lstm_native.lstm_vjp(case.x, states, packed),
        call_vjp(case, all_weights=packed),
    )
    assert_same_bits(outputs, same)
    assert_same_bits(pullback(*outputs)[0], other(*outputs)[0])
    assert lstm_native.explain(case.x, states, packed).layers


@pytest.mark.parametrize("duplicate", [copy.copy, copy.deepcopy])
def test_a_copy_is_the_same(duplicate):
    # What never changes need not be there twice.
    packed = pack(make("h9"))
    assert duplicate(packed) is packed
    assert duplicate([packed])[0] is packed


@pytest.mark.parametrize("stored", [None, *HALVES])
@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_pickles(protocol, stored):
    for bias, transposed in itertools.product(BIASES, (False, True)):
        case = make("bi_two_layers", bias=bias)
        packed = pack(case, transposed, weight_dtype=stored)
        twin = pickle.loads(pickle.dumps(packed, protocol))
        assert twin is not packed
        assert repr(twin) == repr(packed)
        assert (twin.weights_transposed, twin.has_ih_bias, twin.has_hh_bias) == (transposed, *bias)
        assert_same_bits(twin.unpack(), packed.unpack())
        got = call_lstm(case, all_weights=twin)
        assert_same_bits(got, call_lstm(case, all_weights=packed))


def test_a_pickles_weights_can_go_beside_it():
    """As protocol 5 lets them: whatever carries them need not copy them."""
    case = make_case(Shape("wide", 1, 1, 100, 200, 2), np.float32)
    model = lstm_native.Model(case.all_weights, 2)
    for made in (model.packed, model):
        beside = []
        within = pickle.dumps(made, 5, buffer_callback=beside.append)
        assert len(within) < 4000
        sizes = [buffer.raw().nbytes for buffer in beside]
        assert sum(sizes) == sum(array.nbytes for array in case.all_weights)
        twin = pickle.loads(within, buffers=[bytes(buffer) for buffer in beside])
        unpacked = getattr(twin, "packed", twin).unpack()
        assert_same_bits(unpacked, case.all_weights)


@given(st.integers(0, 2**32 - 1), st.integers(1, 24))
def test_a_pickle_keeps_tiny_rows_in_8_bits(seed, bits):
    """A subnormal scale has few bits: what it makes of a row must have the same scale again."""
    rng = np.random.default_rng(seed)
    w_ih, w_hh = (
        np.ldexp(rng.integers(-(2**bits), 2**bits, shape), -149).astype(np.float32)
        for shape in ((8, 3), (8, 2))
    )
    w_ih[0] = [1.87e-42, -7e-43, 3e-43]
    packed = lstm_native.pack_weights(
        [w_ih, w_hh], 1, False, False, False, False, weight_dtype="int8"
    )
    unpacked = packed.unpack()
    assert_same_bits(pickle.loads(pickle.dumps(packed)).unpack(), unpacked)
    for given_, kept in zip((w_ih, w_hh), unpacked, strict=True):
        assert np.abs(given_ - kept).max(axis=1).max() <= 2.0**-149 * (2**bits / 127 + 64)
    np.testing.assert_allclose(unpacked[0][0], w_ih[0], rtol=0, atol=2e-44)


def test_the_largest_numbers_in_8_bits():
    w_ih, w_hh = np.zeros((8, 3), np.float32), np.zeros((8, 2), np.float32)
    w_ih[0, 0] = np.finfo(np.float32).max * np.float32(1 - 2.0**-15)
    options = {"weight_dtype": "int8", "has_ih_bias": False, "has_hh_bias": False}
    kept = lstm_native.pack_weights([w_ih, w_hh], 1, False, **options).unpack()[0]
    assert np.isfinite(kept).all()
    np.testing.assert_allclose(kept, w_ih, rtol=2.0**-15)
    w_ih[0, 0] = np.finfo(np.float32).max
    with pytest.raises(ValueError, match=r"all_weights\[0\].* expected values that int8 can hold"):
        lstm_native.pack_weights([w_ih, w_hh], 1, False, **options)


@every_dtype
def test_a_pickle_keeps_special_values(dtype):
    case = with_special_values(make("bi_two_layers", dtype), dtype)
    twin = pickle.loads(pickle.dumps(pack(case)))
    assert_same_bits(twin.unpack(), case.all_weights)


@few_isas
def test_a_pickle_is_for_any_instruction_set(isa, tmp_path):
    # Vectors are of other lengths there, so the packed form differs; the pickle must not.
    case = make("bi_two_layers")
    packed = pack(case)
    path = tmp_path / "packed.pickle"
    path.write_bytes(pickle.dumps(packed))
    code, _, error = ask("unpickle.py", path, LSTM_NATIVE_ISA=isa)
    assert code == 0, error
    assert_same_bits(pickle.loads(path.read_bytes()), packed.unpack())


# --- 16 bits ----------------------------------------------------------------------------------


@every_half
@pytest.mark.parametrize("transposed", [False, True])
def test_unpack_gives_what_was_rounded_to(transposed, weight_dtype):
    case = make("bi_two_layers")
    packed = pack(case, transposed, weight_dtype=weight_dtype)
    weights = transposed_weights(case) if transposed else case.all_weights
    for got, given_array in zip(packed.unpack(), weights, strict=True):
        assert got.dtype == np.float32
        if given_array.ndim == 1:  # biases stay as they are
            assert_same_bits([got], [given_array])
        elif weight_dtype == "float16":
            assert_same_bits([got], [given_array.astype(np.float16).astype(np.float32)])
        else:
            bits = nearest_bfloat16(given_array.view(np.uint32))
            assert_same_bits([got], [(bits << 16).view(np.float32)])
    # What was rounded needs no rounding.
    again = lstm_native.pack_weights(
        packed.unpack(), 2, True, transposed, weight_dtype=weight_dtype
    )
    assert_same_bits(again.unpack(), packed.unpack())


def rounded(values, weight_dtype):
    """What float32 values become, by way of the matrix of a layer with a single unit."""
    values = np.asarray(values, np.float32)
    w_ih = np.resize(values, (4, -(-values.size // 4)))
    packed = lstm_native.pack_weights(
        [w_ih, np.zeros((4, 1), np.float32)], 1, False, False, False, False,
        weight_dtype=weight_dtype,
    )  # fmt: skip
    return packed.unpack()[0].ravel()[: values.size]


def nearest_bfloat16(bits):
    """The upper 16 bits of the nearest number that needs no more, ties to even, in integers."""
    upper, lower = np.divmod(bits, np.uint32(1 << 16))
    half = np.uint32(1 << 15)
    up = (lower > half) | ((lower == half) & (upper % 2 == 1))
    return (upper + up).astype(np.uint32)


@pytest.mark.parametrize("stored", HALVES)
def test_packing_takes_no_notice_of_numpys_error_settings(stored):
    case = make_case(Shape("small", 1, 1, 3, 2), np.float32)
    tiny = [weight * np.float32(1e-6) for weight in case.all_weights]  # subnormal in 16 bits
    expected = lstm_native.pack_weights(tiny, 1, False, weight_dtype=stored).unpack()
    with np.errstate(all="raise"):
        got = lstm_native.pack_weights(tiny, 1, False, weight_dtype=stored).unpack()
    assert_same_bits(got, expected)


def test_bfloat16_rounds_to_the_nearest_ties_to_even():
    # All upper halves: every sign, exponent and kept fraction, subnormals among them. The lower
    # ones are nothing, the least, just below a tie, a tie, just above, the most.
    upper = np.arange(1 << 16, dtype=np.uint32) << 16
    for lower in (0, 1, 0x7FFF, 0x8000, 0x8001, 0xFFFF):
        bits = upper | np.uint32(lower)
        values = bits.view(np.float32)
        nearest = nearest_bfloat16(bits)
        overflows = np.isfinite(values) & ((nearest & 0x7FFF) == 0x7F80)
        kept = ~np.isnan(values) & ~overflows
        got = rounded(values[kept], "bfloat16").view(np.uint32)
        np.testing.assert_array_equal(got, nearest[kept] << 16)
        # Whatever its fraction was, also where all of it was in the lower half.
        assert np.isnan(rounded(values[np.isnan(values)], "bfloat16")).all()
        for value in values[overflows]:
            with pytest.raises(ValueError, match="bfloat16 can hold"):
                rounded([value], "bfloat16")


def test_float16_rounds_to_the_nearest_ties_to_even():
    patterns = np.arange(0x7C00, dtype=np.uint16)  # all that are positive and finite
    numbers = patterns.view(np.float16).astype(np.float32)
    below, above = numbers[:-1], numbers[1:]
    ties = (below + above) / 2  # exact: one bit more than float16 has
    even = np.where(patterns[:-1] % 2 == 0, below, above)
    for sign in (1, -1):
        for values, expected in (
            (numbers, numbers),
            (ties, even),
            (np.nextafter(ties, np.float32(0)), below),
            (np.nextafter(ties, np.float32(np.inf)), above),
        ):
            got = rounded(sign * values, "float16")
            assert_same_bits([got], [np.float32(sign) * expected])
            assert_same_bits([got], [(sign * values).astype(np.float16).astype(np.float32)])


@pytest.mark.parametrize("sign", [1, -1])
@pytest.mark.parametrize(
    ("weight_dtype", "largest", "tie"),
    # A tie between the largest number and the one that would come next is rounded up.
    [("float16", 65504.0, 65520.0), ("bfloat16", 0x7F7F0000, 0x7F7F8000)],
)
def test_the_largest_that_fits(weight_dtype, largest, tie, sign):
    if weight_dtype == "bfloat16":
        largest, tie = (np.uint32(bits).view(np.float32) for bits in (largest, tie))
    tie = np.float32(tie)
    fits = np.nextafter(tie, np.float32(0))
    assert rounded([sign * fits], weight_dtype)[0] == sign * largest
    for value in (sign * tie, sign * np.finfo(np.float32).max):
        with pytest.raises(ValueError, match=re.escape(f"can hold, got {np.float32(value)}")):
            rounded([value], weight_dtype)


@every_half
@pytest.mark.parametrize("transposed", [False, True])
@pytest.mark.parametrize(
    ("index", "name"),
    [
        (0, "w_ih of layer 0, forward"),
        (5, "w_hh of layer 0, reverse"),
        (12, "w_ih of layer 1, reverse"),
    ],
)
def test_overflow_names_the_array(index, name, transposed, weight_dtype):
    case = make("bi_two_layers")
    weights = transposed_weights(case) if transposed else [w.copy() for w in case.all_weights]
    weights[index].flat[7] = np.finfo(np.float32).max
    with pytest.raises(ValueError) as caught:  # noqa: PT011
        lstm_native.pack_weights(weights, 2, True, transposed, weight_dtype=weight_dtype)
    assert str(caught.value) == (
        f"all_weights[{index}] ({name}): expected values that {weight_dtype} can hold, "
        f"got {np.finfo(np.float32).max}"
    )


@every_half
def test_biases_are_not_narrowed(weight_dtype):
    case = make("h9")
    weights = list(case.all_weights)
    weights[2] = np.full_like(weights[2], np.finfo(np.float32).max)
    packed = lstm_native.pack_weights(weights, 1, False, weight_dtype=weight_dtype)
    assert_same_bits(packed.unpack()[2:], weights[2:])


@every_half
def test_what_is_not_finite_passes_through(weight_dtype):
    values = np.array([np.inf, -np.inf, np.nan, 0.0, -0.0], np.float32)
    got = rounded(values, weight_dtype)
    np.testing.assert_array_equal(got, values)
    np.testing.assert_array_equal(np.signbit(got[[0, 1, 3, 4]]), np.signbit(values[[0, 1, 3, 4]]))


@every_half
@pytest.mark.parametrize("threads", THREADS)
def test_halves_that_many_rows_share_are_widened_once(threads, weight_dtype):
    shape = Shape("many", 33, 8, 23, 40, 2, True)
    case = make_case(shape, np.float32, seed=3)
    packed = pack(case, weight_dtype=weight_dtype)
    whole = pack(replace(case, all_weights=packed.unpack()))

    def paths(batch, weights):
        about = lstm_native.explain(np.zeros((33, batch, 23), np.float32), None, weights)
        return {path for one in about.layers for path in (one.input_weights, one.recurrent_weights)}

    assert paths(8, packed) == {"widened"}
    assert paths(7, packed) == paths(8, whole) == {"packed"}
    expected = call_lstm(case, all_weights=whole, num_threads=threads)
    assert_same_bits(call_lstm(case, all_weights=packed, num_threads=threads), expected)


def narrow_specials(weight_dtype):
    """Numbers that a conversion from 16 bits can get wrong, and inputs that make them count."""
    if weight_dtype == "float16":
        tiny = np.array([1, 2, 3, 0x155, 0x3FF, 0x400, 0x401], np.uint16).view(np.float16)
        return tiny.astype(np.float32), np.float32(2.0**14)
    tiny = np.array([1, 2, 3, 0x55, 0x7F, 0x80, 0x81], np.uint32) << 16
    return tiny.view(np.float32), np.float32(2.0**126)


@every_half
@few_isas
def test_every_instruction_set_widens_every_number(isa, weight_dtype, tmp_path):
    # By hardware where there is an instruction for it, by integers elsewhere. One input, so large
    # that a subnormal weight counts: taken for zero, it would change the result.
    tiny, scale = narrow_specials(weight_dtype)
    finite = np.concatenate([tiny, -tiny, [0.0, -0.0, 1.0, -1.5]])
    others = np.concatenate([finite, [np.inf, -np.inf, np.nan]])
    # Some steps at once are another kernel than a single one; there a NaN would be in all units
    # from the second step on, for each reads all of the first.
    cases = [
        narrow_case(numbers, steps, batch, scale)
        for numbers, steps in ((finite, 1), (finite, 3), (others, 1))
        for batch in (1, 7)
    ]
    calls = [(c.x, (c.h0, c.c0), c.all_weights, weight_dtype) for c in cases]
    path = tmp_path / "calls.pickle"
    path.write_bytes(pickle.dumps(calls))
    # Those of bfloat16 are subnormal in float32, too, which by default counts them as zero.
    kept = {"LSTM_NATIVE_FLUSH_SUBNORMALS": "0"} if weight_dtype == "bfloat16" else {}
    code, _, error = ask("narrow_calls.py", path, LSTM_NATIVE_ISA=isa, **kept)
    assert code == 0, error
    for got, case in zip(pickle.loads(path.read_bytes()), cases, strict=True):
        with np.errstate(over="ignore", invalid="ignore"):
            # Rounding w_hh is this interpreter's, and tested above.
            held = pack(case, weight_dtype=weight_dtype).unpack()
            assert_same_bits(held[:1], case.all_weights[:1])
            expected = call_reference(replace(case, all_weights=held))
        assert_all_close(got, (expected.output, expected.h_n, expected.c_n), "value")
        # The reference would not show it if nothing came of the weights.
        assert len(np.unique(got[0][0, 0])) > len(tiny)


def narrow_case(numbers, steps, batch, scale):
    """Every number in every gate, in full vectors and in a rest, for any instruction set."""
    units = 3 * numbers.size + 1
    # Gates a different number apart in each turn, or a unit would see the same four every time.
    gates = [np.resize(np.roll(numbers, 3 * gate), units) for gate in range(4)]
    w_ih = np.concatenate(gates).astype(np.float32)[:, None]
    shape = Shape("narrow", steps, batch, 1, units)
    case = make_case(shape, np.float32, bias=(False, False))
    x = np.full_like(case.x, scale)
    return replace(case, x=x, all_weights=(w_ih, case.all_weights[1]))
