"""The same bits for any number of threads; nothing global is changed."""

import itertools
import json
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import lstm_native
from calls import (
    assert_same_bits,
    call_lstm,
    flat_weight,
    operator_for,
    pack,
    transposed_weights,
)
from drawn_shapes import drawn_shapes
from few_and_all import few_dtypes, few_of
from fresh_interpreter import ask
from lstm_native import _config
from lstm_native._core import forward
from lstm_native._run import CellWeights, ForwardCall, Problem
from lstm_native._sizes import Sizes
from shapes import Shape, make_case, shapes_by_name

THREADS = (1, 2, 3, 8)
SHAPES = [
    *(
        shapes_by_name()[n]
        for n in ("h130", "batch_33", "bi_three_layers_batch_33", "forecast_h32")
    ),
    Shape("wide", 20, 65, 40, 130, bidirectional=True, reason="several blocks of every kind"),
    Shape("one_row_bi", 60, 1, 300, 200, 2, True, reason="directions and column blocks"),
]


@few_dtypes
@pytest.mark.parametrize("shape", SHAPES, ids=lambda shape: shape.name)
def test_same_bits(shape, dtype):
    case = make_case(shape, dtype, seed=1)
    net, w = operator_for(case), flat_weight(case)
    expected = call_lstm(case, num_threads=1)
    expected_reserve = net(case.x, case.h0, case.c0, w, num_threads=1)[3]
    for threads in THREADS[1:]:
        assert_same_bits(call_lstm(case, num_threads=threads), expected)
        reserve = net(case.x, case.h0, case.c0, w, num_threads=threads)[3]
        assert_same_bits([reserve], [expected_reserve])


def test_same_bits_of_a_packed_sequence():
    case = make_case(Shape("packed", 6, 70, 30, 40, 2, True), np.float32)
    sizes = [70, 60, 33, 32, 5, 1]
    rows = np.concatenate([case.x[t, :size] for t, size in enumerate(sizes)])
    for weights in (case.all_weights, pack(case)):
        options = {"input": rows, "batch_sizes": sizes, "all_weights": weights}
        results = [call_lstm(case, num_threads=threads, **options) for threads in THREADS]
        for got in results[1:]:
            assert_same_bits(got, results[0])


def test_same_bits_scattered_input():
    case = make_case(SHAPES[-2], np.float32)
    turned = np.asfortranarray(case.x)
    results = [call_lstm(case, input=turned, num_threads=n) for n in THREADS]
    for got in results[1:]:
        assert_same_bits(got, results[0])


def name_of(value):
    return getattr(value, "name", str(value))


# Small relatives of the bench shapes, one for each way to share a layer: the groups of directions,
# of batch rows and of units that several threads make.
SPLITS = [
    (Shape("directions", 40, 1, 16, 64, bidirectional=True), 2, (True, False, False)),
    (Shape("rows", 12, 40, 24, 40), 2, (False, True, False)),
    (Shape("rows", 12, 40, 24, 40), 4, (False, True, False)),
    (Shape("rows", 12, 40, 24, 40), 8, (False, True, False)),
    (Shape("units", 12, 1, 24, 264), 2, (False, False, True)),
    (Shape("units", 12, 1, 24, 264), 4, (False, False, True)),
    (Shape("units", 12, 1, 24, 264), 8, (False, False, True)),
    (Shape("units_of_one_step", 1, 1, 264, 264), 2, (False, False, True)),
    (Shape("directions_and_rows", 8, 65, 24, 40, bidirectional=True), 4, (True, True, False)),
    (Shape("directions_and_units", 12, 3, 24, 136, bidirectional=True), 4, (True, False, True)),
    (Shape("directions_and_units", 12, 3, 24, 136, bidirectional=True), 8, (True, False, True)),
]


def explained(case, weights, **options):
    shape = case.shape
    arguments = (case.x, (case.h0, case.c0), weights, shape.num_layers, 0.0, False)
    return lstm_native.explain(*arguments, shape.bidirectional, **options)


@few_dtypes
@pytest.mark.parametrize("packed", [False, True], ids=["plain", "packed"])
@pytest.mark.parametrize(("shape", "threads", "split"), SPLITS, ids=name_of)
def test_same_bits_for_each_split_that_is_chosen(shape, threads, split, packed, dtype):
    case = make_case(shape, dtype, seed=2)
    weights = pack(case) if packed else case.all_weights
    about = explained(case, weights, num_threads=threads)
    (layer,) = about.layers
    groups = (layer.direction_groups, layer.row_groups, layer.unit_groups)
    assert tuple(count > 1 for count in groups) == split
    assert about.threads == np.prod(groups)
    expected = call_lstm(case, all_weights=weights, num_threads=1)
    assert_same_bits(call_lstm(case, all_weights=weights, num_threads=threads), expected)


WAVEFRONTS = [
    Shape("as_many_layers_as_threads", 40, 1, 32, 32, 4),
    Shape("a_rest_of_steps", 43, 1, 24, 24, 3),
    Shape("more_layers_than_threads", 50, 2, 24, 24, 7),
    Shape("the_fewest_steps", 16, 1, 16, 16, 4),
]


@few_dtypes
@pytest.mark.parametrize("threads", [2, 3, 4])
@pytest.mark.parametrize("shape", WAVEFRONTS, ids=lambda shape: shape.name)
def test_same_bits_with_layers_in_a_wavefront(shape, threads, dtype):
    case = make_case(shape, dtype, seed=3)
    packed = pack(case)
    about = explained(case, packed, num_threads=threads)
    assert about.wavefront
    assert about.threads == min(threads, shape.num_layers)
    expected = call_lstm(case, all_weights=packed, num_threads=1)
    assert not explained(case, packed, num_threads=1).wavefront
    net = operator_for(case)
    trained = net(case.x, case.h0, case.c0, packed, num_threads=1)
    # Several times, as the threads meet in another way each time.
    for _ in range(5):
        assert_same_bits(call_lstm(case, all_weights=packed, num_threads=threads), expected)
        got = net(case.x, case.h0, case.c0, packed, num_threads=threads)
        assert_same_bits(got[:4], trained[:4])
    lengths = [max(0, shape.seq_len - 9 * row) for row in range(shape.batch)]
    uneven = {"all_weights": packed, "lengths": lengths}
    one = call_lstm(case, **uneven, num_threads=1)
    assert_same_bits(call_lstm(case, **uneven, num_threads=threads), one)


def test_dropout_and_a_wavefront_exclude_each_other():
    # Masks are applied to all of a layer's outputs before the next begins.
    case = make_case(WAVEFRONTS[0], np.float32)
    packed = pack(case)
    options = {"dropout": 0.5, "train": True, "seed": 4, "all_weights": packed}
    expected = call_lstm(case, **options, num_threads=1)
    for threads in THREADS[1:]:
        assert_same_bits(call_lstm(case, **options, num_threads=threads), expected)
    arguments = (case.x, (case.h0, case.c0), packed, case.shape.num_layers)
    assert not lstm_native.explain(*arguments, 0.5, True, False, num_threads=4).wavefront
    assert lstm_native.explain(*arguments, 0.5, False, False, num_threads=4).wavefront


def forced(case, weights, split, threads, **ragged):
    """The core's results with this split, whatever the estimate says."""
    shape = case.shape
    x = ragged.pop("input", case.x)
    if isinstance(weights, lstm_native.PackedWeights):
        weights = weights._core
    else:
        each = (weights[first : first + 4] for first in range(0, len(weights), 4))
        weights = [CellWeights(*arrays) for arrays in each]
    sizes = Sizes(shape.input_size, shape.hidden_size, shape.num_layers, shape.bidirectional)
    problem = Problem(sizes, shape.seq_len, shape.batch, **ragged, threads=threads, split=split)
    return forward(ForwardCall(problem, x, case.h0, case.c0, weights))[:3]


FORCED = [
    Shape("one_row", 30, 1, 9, 136, bidirectional=True),
    Shape("rests", 30, 13, 9, 133, 2, bidirectional=True),
    # More rows than a projection takes at a time, and a single vector of units.
    Shape("many_rows", 11, 70, 9, 4, 2, bidirectional=True),
]


def every_split(shape):
    """Up to eight threads; a group of units has at least one vector of them."""
    sizes = {"seq_len": 1, "batch": 1, "input_size": 1, "hidden_size": 1}
    vectors = -(-shape.hidden_size // lstm_native.explain(**sizes).lanes)
    for split in itertools.product((1, 2), (1, 2, 3, 8), (1, 2, 3, 8)):
        if 1 < np.prod(split) <= 8 and split[2] <= vectors:
            yield split


KINDS = ("dense", "lengths", "batch_sizes")
SPLITS_BY_KIND = [
    pytest.param(shape, split, packed, kind, marks=[] if turn % 6 == way else pytest.mark.thorough)
    for shape in FORCED
    for turn, split in enumerate(every_split(shape))
    for way, (packed, kind) in enumerate(itertools.product((False, True), KINDS))
]


# By default each split is tried in one way.
@pytest.mark.parametrize(("shape", "split", "packed", "kind"), SPLITS_BY_KIND, ids=name_of)
def test_same_bits_for_every_split_there_is(shape, split, packed, kind):
    # Also those that no estimate would choose, with groups that have no rows.
    case = make_case(shape, np.float32, seed=5)
    weights = pack(case) if packed else case.all_weights
    options = {}
    if kind == "lengths":
        lengths = [(7 * row) % (shape.seq_len + 1) for row in range(1, shape.batch + 1)]
        options["lengths"] = lengths
    if kind == "batch_sizes":
        sizes = [max(1, shape.batch - 3 * step) for step in range(shape.seq_len)]
        rows = np.concatenate([x[:size] for x, size in zip(case.x, sizes, strict=True)])
        options.update(input=rows, batch_sizes=sizes)
    expected = call_lstm(case, all_weights=weights, num_threads=1, **options)
    for _ in range(3):  # the threads meet in another way each time
        assert_same_bits(forced(case, weights, split, int(np.prod(split)), **options), expected)


# How each of the two matrices can be read. Only the sizes decide the paths.
PATHS = {
    "packed": (Shape("any", 9, 5, 24, 72, 2, True), {}),
    "plain, few rows, narrow": (Shape("few", 5, 2, 24, 72), {}),
    "plain, few rows, wide": (Shape("few", 5, 2, 24, 264), {}),
    "plain, one row, many steps": (Shape("stream", 30, 1, 24, 1030), {}),
    "plain, many rows": (Shape("many", 9, 40, 24, 72, 2, True), {}),
    "plain, many rows, wide": (Shape("many", 5, 40, 8070, 264, 1, True), {}),
    "plain, one chunk": (Shape("chunk", 3, 40, 70, 264, 2, True), {}),
    "plain, batch_first": (Shape("uneven", 9, 40, 24, 72, 2, True), {"batch_first": True}),
    "transposed, few rows": (Shape("few", 5, 2, 24, 72), {"weights_transposed": True}),
    "transposed, many rows": (Shape("many", 9, 40, 24, 72, 2), {"weights_transposed": True}),
    "transposed, wide": (Shape("many", 5, 40, 8070, 264), {"weights_transposed": True}),
}


def call_on_path(name, dtype, threads, seen=None):
    shape, options = PATHS[name]
    case = make_case(shape, dtype, seed=6)
    weights = pack(case) if name == "packed" else case.all_weights
    if options.get("weights_transposed"):
        weights = transposed_weights(case)
    x = case.x.swapaxes(0, 1).copy() if options.get("batch_first") else case.x
    if seen is not None:
        arguments = (x, (case.h0, case.c0), weights, shape.num_layers, 0.0, False)
        for layer in lstm_native.explain(*arguments, shape.bidirectional, **options).layers:
            seen |= {layer.input_weights, layer.recurrent_weights}
    return call_lstm(case, input=x, all_weights=weights, num_threads=threads, **options)


@few_dtypes
@few_of("name", PATHS, [name for name in PATHS if "wide" not in name])
def test_same_bits_however_weights_are_read(name, dtype):
    expected = call_on_path(name, dtype, 1)
    for threads in THREADS[1:]:
        assert_same_bits(call_on_path(name, dtype, threads), expected)


def test_the_paths_above_are_all_that_there_are():
    seen = set()
    for name in PATHS:
        call_on_path(name, np.float32, 1, seen)
    # Weights in 16 bits are in test_packing.
    assert seen == {"packed", "packed_per_call", "in_place", "blas"}


@given(
    drawn_shapes(seq_len=20, batch=(0, 40), input_size=40, hidden_size=300),
    st.sampled_from([np.float32, np.float64]),
    st.booleans(),
    st.booleans(),
    st.integers(2, 9),
)
def test_same_bits_for_random_shapes(shape, dtype, transposed, batch_first, threads):
    case = make_case(shape, dtype, seed=7)
    options = {
        "input": case.x.swapaxes(0, 1) if batch_first else case.x,
        "batch_first": batch_first,
        "all_weights": transposed_weights(case) if transposed else case.all_weights,
        "weights_transposed": transposed,
    }
    expected = call_lstm(case, **options, num_threads=1)
    assert_same_bits(call_lstm(case, **options, num_threads=threads), expected)


def test_many_python_threads_at_once():
    cases = [make_case(shape, np.float32, seed=k) for k, shape in enumerate(SHAPES)]
    expected = [call_lstm(case, num_threads=1) for case in cases]
    with ThreadPoolExecutor(6) as pool:
        jobs = [(k, pool.submit(call_lstm, cases[k], num_threads=2)) for k in [*range(6)] * 4]
        for k, job in jobs:
            assert_same_bits(job.result(), expected[k])


def test_the_gil_is_released():
    # Or another thread would never see a stream that is in use.
    case = make_case(Shape("long", 100, 64, 64, 128), np.float32)
    stream = lstm_native.Stream(pack(case), 64, num_threads=1)
    seen = threading.Event()

    def look():
        while not seen.is_set():
            try:
                stream.nbytes  # noqa: B018
            except RuntimeError:
                seen.set()
            time.sleep(0)  # gives the GIL back

    looker = threading.Thread(target=look)
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1000)  # so that nothing but a release by the call lets the looker run
    try:
        looker.start()
        for _ in range(1000):
            stream.run(case.x)
            if seen.is_set():
                break
        assert seen.is_set()
    finally:
        seen.set()
        sys.setswitchinterval(interval)
        looker.join()


def test_set_num_threads():
    default = lstm_native.get_num_threads()
    lstm_native.set_num_threads(3)
    assert lstm_native.get_num_threads() == 3
    lstm_native.set_num_threads(None)
    assert lstm_native.get_num_threads() == default


@pytest.mark.parametrize(
    ("environment", "expected"),
    [
        ({"LSTM_NATIVE_NUM_THREADS": "5", "OMP_NUM_THREADS": "3"}, 5),
        ({"OMP_NUM_THREADS": "3"}, 3),
        ({"OMP_NUM_THREADS": "4,2"}, 4),
        ({"OMP_NUM_THREADS": "nonsense"}, _config.usable_cores()),
        ({"LSTM_NATIVE_NUM_THREADS": "", "OMP_NUM_THREADS": "2"}, 2),
        ({}, _config.usable_cores()),
    ],
    ids=str,
)
def test_default_threads(environment, expected, monkeypatch):
    for variable in ("LSTM_NATIVE_NUM_THREADS", "OMP_NUM_THREADS"):
        monkeypatch.delenv(variable, raising=False)
    for variable, value in environment.items():
        monkeypatch.setenv(variable, value)
    assert _config._default_threads() == expected


@pytest.mark.parametrize("value", ["0", "-1", "many", "1.5", "100000"])
def test_a_wrong_environment_variable_is_named(value, monkeypatch):
    monkeypatch.setenv("LSTM_NATIVE_NUM_THREADS", value)
    expected = "environment variable LSTM_NATIVE_NUM_THREADS: expected an int from 1 to 128"
    with pytest.raises(ValueError, match=f"^{expected}, got '{value}'$"):
        _config._default_threads()


def imported(*arguments, **environment):
    code, output, error = ask("imported.py", *arguments, **environment)
    assert code == 0, error
    return json.loads(output)


def test_an_import_finds_the_environment_and_the_affinity():
    assert imported(LSTM_NATIVE_NUM_THREADS="5")["threads"] == 5
    assert imported("one core")["threads"] == 1
    code, _, error = ask("imported.py", LSTM_NATIVE_NUM_THREADS="0")
    assert code != 0
    assert "environment variable LSTM_NATIVE_NUM_THREADS" in error


@pytest.mark.parametrize("environment", [{}, {"OPENBLAS_NUM_THREADS": "3"}])
def test_importing_starts_no_threads_and_leaves_the_environment(environment):
    assert imported(**environment)["nothing else"]


@few_of(
    "call, threads",
    [("lstm", 1), ("lstm", 3), ("operator", 3), ("lstm, default", 3), ("operator, default", 3)],
    [("lstm", 3), ("operator, default", 3)],
)
def test_as_many_threads_as_told(call, threads):
    code, output, error = ask("thread_count.py", call, threads, LSTM_NATIVE_NUM_THREADS="1")
    assert (code, output) == (0, str(threads - 1)), error


def test_more_threads_at_once_than_blas_has_memory_for():
    assert ask("many_callers.py") == (0, "1", "")
