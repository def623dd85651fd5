"""What `explain` says of a call: agreed by sizes and by arguments, measured, and never silent."""

import dataclasses
import itertools
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.lib.stride_tricks import as_strided

import lstm_native
from calls import assert_same_bits, call_lstm, pack, transposed_weights
from cell_cases import CELLS, arguments_of, with_peepholes
from drawn_shapes import drawn_shapes
from few_and_all import few_isas
from fresh_interpreter import ask
from projected_cases import projected_case
from shapes import BENCH_SHAPES, FEW_SHAPES, Shape, make_case

DTYPES = ("float32", "float64")
PATHS = {"packed", "widened", "packed_per_call", "in_place", "blas"}

# Of the bench shapes are those that threads split, and that a wavefront runs.
every_shape = pytest.mark.parametrize(
    "shape", FEW_SHAPES + BENCH_SHAPES, ids=lambda shape: shape.name
)
every_dtype = pytest.mark.parametrize("dtype", DTYPES)


def sizes_of(shape):
    return {
        "seq_len": shape.seq_len,
        "batch": shape.batch,
        "input_size": shape.input_size,
        "hidden_size": shape.hidden_size,
        "num_layers": shape.num_layers,
        "bidirectional": shape.bidirectional,
    }


def by_sizes(shape, **options):
    return lstm_native.explain(**sizes_of(shape), **options)


def empty_case(shape, dtype="float32"):
    """Arguments of the right sizes; nothing is computed, so values don't count."""
    states = shape.num_layers * shape.num_directions
    gates = 4 * shape.hidden_size
    weights = []
    for layer in range(shape.num_layers):
        width = shape.input_size if layer == 0 else shape.num_directions * shape.hidden_size
        for _ in range(shape.num_directions):
            weights += [np.zeros(size, dtype) for size in ((gates, width), (gates, gates // 4))]
            weights += [np.zeros(gates, dtype)] * 2
    state = np.zeros((states, shape.batch, shape.hidden_size), dtype)
    x = np.zeros((shape.seq_len, shape.batch, shape.input_size), dtype)
    return x, (state, state), weights


def by_arguments(shape, dtype="float32", packed=False, **options):
    x, states, weights = empty_case(shape, dtype)
    of_weights = {name: options.pop(name, None) for name in ("weight_dtype", "compute")}
    if packed:
        weights = lstm_native.pack_weights(
            weights, shape.num_layers, shape.bidirectional, **of_weights
        )
    if options.get("batch_first"):
        x = np.ascontiguousarray(x.swapaxes(0, 1))
    arguments = (x, states, weights, shape.num_layers, 0.0, False, shape.bidirectional)
    return lstm_native.explain(*arguments, **options)


SMALL = Shape("small", 6, 3, 5, 16, 2)  # full vectors of every instruction set


# --- agreement --------------------------------------------------------------------------------


@pytest.mark.parametrize("shape", FEW_SHAPES, ids=lambda shape: shape.name)
def test_sizes_and_arguments_agree(shape):
    flags = (False, True)
    for threads, packed, dtype, turned in itertools.product((1, 2, 8), flags, DTYPES, flags):
        options = {"num_threads": threads, "batch_first": turned}
        sized = by_sizes(shape, packed=packed, dtype=dtype, **options)
        assert sized == by_arguments(shape, dtype, packed, **options)


@pytest.mark.parametrize(
    ("weight_dtype", "compute", "bits"),
    [
        *(("float16", None, 16), ("bfloat16", None, 16), ("bfloat16", "bfloat16", 16)),
        *(("int8", None, 8), ("int8", "int8", 8)),
    ],
)
@pytest.mark.parametrize("shape", FEW_SHAPES, ids=lambda shape: shape.name)
def test_sizes_and_arguments_agree_on_narrow_weights(shape, weight_dtype, compute, bits):
    options = {"weight_dtype": weight_dtype, "compute": compute}
    about = by_sizes(shape, **options)
    assert about == by_arguments(shape, packed=True, **options)
    assert (about.weight_dtype, about.compute) == (weight_dtype, compute or "float32")
    wide = by_sizes(shape)
    assert (wide.weight_dtype, wide.compute) == ("float32", "float32")
    assert about.weight_bytes * 32 == wide.weight_bytes * bits
    assert about.operations == wide.operations
    assert about.expected_error > wide.expected_error


@every_dtype
@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("name", [*CELLS, "standard"])
@pytest.mark.parametrize("proj_size", [0, 70])
def test_sizes_and_arguments_agree_on_other_cells(name, proj_size, packed, dtype):
    for shape in (Shape("step", 1, 2, 33, 140, 2), Shape("both", 30, 5, 260, 140, 2, True)):
        arguments = arguments_of(name, shape.bidirectional) if name in CELLS else {}
        cell = lstm_native.Cell(**arguments, proj_size=proj_size)
        case = projected_case(shape, proj_size, dtype) if proj_size else make_case(shape, dtype)
        if cell.peepholes:
            case = with_peepholes(case)
        options = {"num_threads": 2, "cell": cell}
        if not shape.bidirectional:
            options["direction"] = "reverse"
        weights = pack(case, cell=cell) if packed else case.all_weights
        about = lstm_native.explain(
            case.x, (case.h0, case.c0), weights, shape.num_layers, 0.0, False,
            shape.bidirectional, **options,
        )  # fmt: skip
        assert by_sizes(shape, packed=packed, dtype=dtype, **options) == about
        assert any("unfused" in reason for reason in about.slow_paths) == (cell.core is not None)


@given(
    drawn_shapes(seq_len=12, batch=(1, 40), input_size=40, hidden_size=300),
    st.sampled_from(DTYPES),
    st.booleans(),
    st.booleans(),
    st.integers(1, 9),
    st.data(),
)
def test_sizes_and_arguments_agree_for_random_ones(
    shape, dtype, packed, batch_first, threads, data
):
    options = {"num_threads": threads, "batch_first": batch_first}
    if data.draw(st.booleans(), "with lengths"):
        row = st.integers(0, shape.seq_len)
        options["lengths"] = data.draw(st.lists(row, min_size=shape.batch, max_size=shape.batch))
    sized = by_sizes(shape, packed=packed, dtype=dtype, **options)
    assert sized == by_arguments(shape, dtype, packed, **options)
    assert_consistent(sized, shape, threads)
    assert sized.rows == sum(options.get("lengths", [shape.seq_len] * shape.batch))


@every_dtype
@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("batch_first", [False, True])
def test_sizes_and_arguments_agree_on_an_empty_batch(batch_first, packed, dtype):
    shape = Shape("empty", 6, 0, 5, 16, 2, True)
    options = {"batch_first": batch_first}
    about = by_sizes(shape, packed=packed, dtype=dtype, **options)
    assert (about.rows, about.operations, about.threads) == (0, 0, 1)
    assert about == by_arguments(shape, dtype, packed, **options)


def test_a_packed_sequence_is_explained_by_arguments():
    sizes = [5, 4, 4, 1]
    _, states, weights = empty_case(Shape("packed", 4, 5, 6, 16))
    x = np.zeros((14, 6), np.float32)
    about = lstm_native.explain(x, states, weights, 1, 0.0, False, False, batch_sizes=sizes)
    assert about.rows == 14
    assert about.operations == 14 * 8 * 16 * (6 + 16)
    assert about.workspace_bytes > 0


def test_sizes_and_arguments_agree_on_one_step_with_batch_first():
    # (N, 1, I) and (1, N, I) are the same memory, so BLAS can read both.
    for batch in (1, 23, 24, 40):
        shape = Shape("one_step", 1, batch, 5, 16)
        about = by_sizes(shape, packed=False, batch_first=True)
        assert about == by_arguments(shape, batch_first=True)
        assert about == by_sizes(shape, packed=False)


@pytest.mark.parametrize("threads", [1, 3])
def test_the_process_decides_threads_unless_told(threads):
    lstm_native.set_num_threads(threads)
    shape = Shape("wide", 50, 64, 64, 256)
    assert by_sizes(shape) == by_sizes(shape, num_threads=threads)
    assert by_sizes(shape).threads == threads
    assert by_arguments(shape) == by_arguments(shape, num_threads=threads)


# --- what it says -----------------------------------------------------------------------------


def assert_consistent(about, shape, threads):
    assert about.isa == lstm_native.get_config()["isa"]["in_use"]
    element = np.dtype(about.dtype).itemsize
    assert about.lanes == lstm_native.get_config()["isa"]["vector_bytes"] // element
    assert about.tile_rows >= 1
    assert 1 <= about.threads <= threads
    assert [layer.layer for layer in about.layers] == list(range(shape.num_layers))
    for layer in about.layers:
        first = layer.layer == 0
        inner = shape.num_directions * shape.hidden_size
        assert layer.input_size == (shape.input_size if first else inner)
        assert {layer.input_weights, layer.recurrent_weights} <= PATHS
        assert 1 <= layer.direction_groups <= shape.num_directions
        assert 1 <= layer.row_groups <= max(1, shape.batch)
        assert 1 <= layer.unit_groups <= -(-shape.hidden_size // about.lanes)
        split = layer.direction_groups * layer.row_groups * layer.unit_groups
        assert split <= about.threads
        assert layer.bound in ("multiply-adds", "reading weights")
        assert layer.seconds > 0.0
    of_layers = sum(layer.seconds for layer in about.layers)
    if about.wavefront:
        assert about.threads <= shape.num_layers
        assert all(layer.direction_groups == layer.row_groups == layer.unit_groups == 1
                   for layer in about.layers)  # fmt: skip
        assert 0.0 < about.seconds < of_layers
    else:
        assert math.isclose(about.seconds, of_layers)
    assert about.workspace_bytes >= 0


@every_shape
def test_its_parts_fit_each_other(shape):
    threads_of = (1, 2, 4, 8, 128)
    for threads, dtype, packed in itertools.product(threads_of, DTYPES, (False, True)):
        about = by_sizes(shape, dtype=dtype, packed=packed, num_threads=threads)
        assert_consistent(about, shape, threads)


@every_dtype
@pytest.mark.parametrize("shape", FEW_SHAPES, ids=lambda shape: shape.name)
def test_operations_and_bytes(shape, dtype):
    # Each row of a step, in each direction: 4 H sums of as many products as the layer has inputs
    # and hidden units, two operations per product.
    hidden, directions = shape.hidden_size, shape.num_directions
    products = 0
    for layer in range(shape.num_layers):
        inputs = shape.input_size if layer == 0 else directions * hidden
        products += directions * 4 * hidden * (inputs + hidden)
    rows = shape.seq_len * shape.batch
    about = by_sizes(shape, dtype=dtype)
    assert about.rows == rows
    assert about.operations == 2 * rows * products
    assert about.weight_bytes == products * np.dtype(dtype).itemsize
    matrices = [w for w in empty_case(shape, dtype)[2] if w.ndim == 2]
    assert about.weight_bytes == sum(w.nbytes for w in matrices)


def test_padding_costs_nothing():
    shape = Shape("padded", 10, 4, 6, 16)
    about = by_sizes(shape, lengths=[10, 0, 3, 1])
    assert about.rows == 14
    assert about.operations == by_sizes(shape).operations * 14 // 40
    nothing = by_sizes(shape, lengths=[0] * 4)
    assert (nothing.rows, nothing.operations, nothing.threads) == (0, 0, 1)


def test_takes_no_memory_for_steps():
    shape = Shape("long", 2**40, 3, 4, 5)
    about = by_sizes(shape, lengths=[2**40, 0, 2**39])
    assert about.rows == 2**40 + 2**39
    assert about.workspace_bytes < 2**20


def test_paths_of_weights():
    few = Shape("few", 3, 1, 6, 16)
    many = Shape("many", 30, 5, 6, 16)
    for shape in (few, many):
        for layer in by_sizes(shape).layers:
            assert (layer.input_weights, layer.recurrent_weights) == ("packed", "packed")

    def plain(shape, **options):
        (layer,) = by_sizes(shape, packed=False, **options).layers
        return layer.input_weights, layer.recurrent_weights

    assert plain(few) == ("in_place", "in_place")
    # BLAS is worth its while only for a matrix that is not worth a copy.
    assert plain(many) == ("packed_per_call", "packed_per_call")
    large = Shape("large", 60, 5, 4100, 512)
    assert plain(large) == ("blas", "packed_per_call")
    # BLAS reads rows at even distances, which a time-major walk over (N, T, I) does not meet.
    assert plain(large, batch_first=True) == ("packed_per_call", "packed_per_call")
    assert plain(large, lengths=[60, 60, 60, 50, 10]) == ("packed_per_call", "packed_per_call")
    # The rows of one chunk are few enough to be projected a block at a time.
    assert plain(Shape("one_chunk", 6, 5, 4100, 512)) == ("packed_per_call", "packed_per_call")


def test_is_a_value():
    about = by_sizes(SMALL)
    assert about == by_sizes(SMALL)
    assert hash(about) == hash(by_sizes(SMALL))
    with pytest.raises(dataclasses.FrozenInstanceError):
        about.isa = "other"
    assert isinstance(about.layers[0], lstm_native.LayerExplanation)


# --- the report -------------------------------------------------------------------------------


@every_shape
def test_the_report_mentions_everything(shape):
    for threads, packed in itertools.product((1, 2, 8), (False, True)):
        about = by_sizes(shape, packed=packed, num_threads=threads)
        first, second, *lines = str(about).splitlines()
        assert first.startswith(f"{about.isa} kernels, {about.lanes} units per vector, float32")
        threads_used = "1 thread" if about.threads == 1 else f"{about.threads} threads"
        wavefront = ", layers in a wavefront" if about.wavefront else ""
        assert first.endswith(f", {threads_used}{wavefront}")
        assert "operations" in second
        assert "working memory" in second
        layers, slow = lines[: len(about.layers)], lines[len(about.layers) :]
        for layer, line in zip(about.layers, layers, strict=True):
            assert line.startswith(f"layer {layer.layer}: ")
            assert layer.bound in line
            for count, what in (
                (layer.direction_groups, "directions"),
                (layer.row_groups, "groups of batch rows"),
                (layer.unit_groups, "groups of units"),
            ):
                assert (f"{count} {what}" in line) == (count > 1)
        assert slow == [f"slow: {reason}" for reason in about.slow_paths]


def test_the_report_mentions_narrow_weights():
    assert "float32 with float16 weights (" in str(by_sizes(SMALL, weight_dtype="float16"))
    about = by_sizes(SMALL, weight_dtype="int8", compute="int8")
    assert f"float32 with int8 weights and int8 products ({about.instructions})" in str(about)
    assert f"errors up to {about.expected_error:.0e}" in str(about)
    assert "weights" not in str(by_sizes(SMALL)).splitlines()[0]


# --- slow paths -------------------------------------------------------------------------------

PLAIN = "weights are checked and read anew at every call; pack_weights() does it once"
BASELINE = "baseline kernels: this CPU, or LSTM_NATIVE_ISA, allows no wider vectors"
# What no call can help on a machine that has nothing wider, or is told so.
ALWAYS = (BASELINE,) if lstm_native.get_config()["isa"]["in_use"] == "baseline" else ()


def test_the_fast_path_has_nothing_to_say():
    assert by_sizes(SMALL).slow_paths == ALWAYS
    assert by_arguments(SMALL, packed=True).slow_paths == ALWAYS


def test_plain_weights_are_named():
    assert by_sizes(SMALL, packed=False).slow_paths == (PLAIN, *ALWAYS)
    assert by_arguments(SMALL).slow_paths == (PLAIN, *ALWAYS)


@pytest.mark.parametrize("name", ["input", "h_0", "c_0"])
def test_copies_are_named(name):
    x, (h_0, c_0), weights = empty_case(SMALL)
    arrays = {"input": x, "h_0": h_0, "c_0": c_0}
    arrays[name] = np.asfortranarray(arrays[name])
    packed = lstm_native.pack_weights(weights, 2, False)
    states = (arrays["h_0"], arrays["c_0"])
    about = lstm_native.explain(arrays["input"], states, packed, 2, 0.0, False, False)
    copied = f"{name} is copied, because its last axis is not contiguous"
    assert about.slow_paths == (copied, *ALWAYS)


MASKED = (
    "computed steps are copied from input and to output, because masked steps are before them or "
    "masked_output is 'last'"
)
HOLES = np.array([1, 0, 1, 1, 0, 1], bool)[:, np.newaxis].repeat(3, axis=1)


def test_a_mask_is_named():
    x, states, weights = empty_case(SMALL)
    packed = lstm_native.pack_weights(weights, 2, False)

    def slow(mask, input=x, **options):
        return lstm_native.explain(input, states, packed, mask=mask, **options).slow_paths

    assert slow(HOLES) == (MASKED, *ALWAYS)
    in_order = "input is copied, because mask takes steps of an array in C order"
    assert slow(HOLES, np.asfortranarray(x)) == (MASKED, in_order, *ALWAYS)
    padding = np.sort(HOLES, axis=0)[::-1]
    assert slow(padding) == slow(np.ones_like(HOLES), masked_output="last") == ALWAYS
    assert slow(padding, masked_output="last") == (MASKED, *ALWAYS)


def test_rounded_results_are_named():
    x, states, weights = empty_case(SMALL)
    packed = lstm_native.pack_weights(weights, 2, False, weight_dtype="float16")
    as_they_are = lstm_native.explain(x, states, packed)
    assert lstm_native.explain(x, states, packed, out_dtype="float32") == as_they_are
    about = lstm_native.explain(x, states, packed, out_dtype=np.float16)
    assert about.slow_paths == ("results are rounded to float16, in copies", *ALWAYS)


def test_what_is_not_copied_is_not_named():
    # Gaps between rows, or an axis of one element: its stride is never used.
    shape = Shape("thin", 6, 3, 1, 16)
    _, states, weights = empty_case(shape)
    packed = lstm_native.pack_weights(weights, 1, False)
    x = np.zeros((6, 3, 4), np.float32)[:, :, ::4]
    for layout in (x, np.asfortranarray(x)):
        about = lstm_native.explain(layout, states, packed, 1, 0.0, False, False)
        assert about.slow_paths == ALWAYS


@every_dtype
def test_idle_lanes_are_named(dtype):
    for hidden in (1, 3, 8, 9, 16, 17, 24, 31, 32, 100):
        about = by_sizes(Shape("some", 6, 3, 5, hidden), dtype=dtype)
        idle = -hidden % about.lanes
        if idle == 0:
            assert about.slow_paths == ALWAYS
            continue
        share = f"{idle / (hidden + idle):.0%}"
        assert about.slow_paths[0] == (
            f"hidden_size {hidden} is no multiple of {about.lanes}: {share} of the vector lanes "
            "compute nothing"
        )


@few_isas
def test_narrow_vectors_are_named(isa):
    code, output, error = ask("narrow_vectors.py", LSTM_NATIVE_ISA=isa)
    assert code == 0, error
    assert output.splitlines() == [isa, isa] + [BASELINE] * (isa == "baseline")


# --- errors, and what it does not change ---------------------------------------------------------


@pytest.mark.parametrize(
    ("keywords", "named"),
    [
        ({}, "seq_len"),
        ({"seq_len": 1, "batch": 1, "input_size": 1}, "hidden_size"),
        ({**sizes_of(SMALL), "has_ih_bias": False}, "has_ih_bias"),
        ({**sizes_of(SMALL), "units": 3}, "units"),
        ({"input": None}, "initial_states"),
        ({"input": None, "initial_states": None}, "all_weights"),
        ({"all_weights": []}, "input"),
        ({"input": None, "initial_states": None, "all_weights": [], "seq_len": 3}, "seq_len"),
    ],
)
def test_keywords_that_are_unknown_or_missing(keywords, named):
    with pytest.raises(TypeError, match=rf"^explain\(\) .*'{named}'"):
        lstm_native.explain(**keywords)


def test_too_many_arguments():
    with pytest.raises(TypeError, match=r"^explain\(\) too many positional arguments"):
        lstm_native.explain(*range(13))


def test_wrong_arguments_are_refused_as_by_lstm():
    x, states, weights = empty_case(SMALL)
    wrong_calls = [
        ((x[..., :4], states, weights, 2, 0.0, False, False), {}),
        ((x, states, weights[:4], 2, 0.0, False, False), {}),
        ((x, states, weights, 2, 2.0, False, False), {}),
        ((x, states, weights, 2, 0.0, False, False), {"lengths": [1, 2]}),
        ((x, states, weights, 2, 0.0, False, False), {"num_threads": 0}),
        ((x, states, weights, 2, 0.0, False, False), {"masked_output": "last"}),
        ((x, states, weights, 2, 0.0, False, False), {"out_dtype": "float16"}),
        ((x, states, weights, 2, 0.0, False, False), {"out_dtype": 16}),
        ((x, states, None), {}),
        ((x.astype(int), states, weights, 2, 0.0, False, False), {}),
    ]
    for arguments, options in wrong_calls:
        with pytest.raises((TypeError, ValueError)) as of_lstm:
            lstm_native.lstm(*arguments, **options)
        with pytest.raises(type(of_lstm.value)) as of_explain:
            lstm_native.explain(*arguments, **options)
        assert str(of_explain.value) == str(of_lstm.value)


@pytest.mark.parametrize("size", [2**62, 2**63 - 1])
@pytest.mark.parametrize("name", ["seq_len", "batch", "hidden_size"])
def test_sizes_beyond_any_memory_are_refused(name, size):
    with pytest.raises(MemoryError, match="more elements than any memory holds"):
        lstm_native.explain(**{**sizes_of(SMALL), name: size})


def test_rows_further_apart_than_blas_can_count():
    case = make_case(Shape("wide", 1, 30, 2048, 1024), np.float32)
    for distance, path in ((2**31 - 1, "blas"), (2**31, "packed_per_call")):
        x = as_strided(case.x, case.x.shape, (0, 4 * distance, 4))  # which nothing reads
        states = (case.h0, case.c0)
        about = lstm_native.explain(x, states, case.all_weights, 1, 0.0, False, False)
        assert about.layers[0].input_weights == path


def test_every_keyword_of_lstm_is_accepted_with_its_arguments():
    x, states, weights = empty_case(SMALL)
    named = dict(
        zip(
            ("input", "initial_states", "all_weights", "num_layers", "dropout", "train",
             "bidirectional"),
            (x, states, weights, 2, 0.5, True, False),
            strict=True,
        )
    )  # fmt: skip
    about = lstm_native.explain(**named, seed=1, num_threads=1)
    assert about == by_sizes(SMALL, packed=False, num_threads=1)


def test_no_dropout_masks_are_drawn_and_no_warning_given():
    case = make_case(SMALL, np.float32)
    for weights in (case.all_weights, pack(case)):
        lstm_native.manual_seed(5)
        expected = call_lstm(case, all_weights=weights, dropout=0.5, train=True)
        lstm_native.manual_seed(5)
        arguments = (case.x, (case.h0, case.c0), weights, 2, 0.5, True, False)
        lstm_native.explain(*arguments)
        lstm_native.explain(**sizes_of(SMALL))
        assert_same_bits(call_lstm(case, all_weights=weights, dropout=0.5, train=True), expected)
    # With one layer dropout has no effect. A call warns of that; explain calls nothing.
    shape = Shape("one", 2, 2, 3, 4)
    x, states, weights = empty_case(shape)
    lstm_native.explain(x, states, weights, 1, 0.5, True, False)


def test_arrays_are_not_written_to():
    case = make_case(SMALL, np.float32)
    kept = [array.copy() for array in (case.x, case.h0, case.c0, *case.all_weights)]
    for weights, transposed in ((case.all_weights, False), (transposed_weights(case), True)):
        lstm_native.explain(
            case.x, (case.h0, case.c0), weights, 2, 0.0, False, False,
            weights_transposed=transposed,
        )  # fmt: skip
    arrays = itertools.chain((case.x, case.h0, case.c0), case.all_weights)
    assert_same_bits(list(arrays), kept)
