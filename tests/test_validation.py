"""Wrong calls: each raises what tests/validation_cases.py says, and leaves nothing behind."""

import inspect
import re
import runpy
from pathlib import Path

import numpy as np
import pytest

import lstm_native
from lstm_native import _explanation
from validation_cases import (
    APPLICABLE,
    BUILD,
    CALL,
    KINDS,
    LOAD,
    MISTAKES,
    NO_BIASES,
    OLD_NUMPY,
    ONE_BIAS,
    ONNX,
    PACKED,
    PACKED_WEIGHTS,
    RESERVE_SIZE,
    RUN,
    SESSIONS,
    SESSIONS_RUN,
    SESSIONS_STEP,
    SET_STATE,
    STATE,
    STATE_OF_STREAM,
    STEP,
    STREAM,
    VALID,
    WEIGHTS,
    call,
    target,
    zeros,
)

PROJECT = Path(__file__).resolve().parents[1]


def mistakes_by(*fields):
    """The table's mistakes that this NumPy can make, in groups."""
    groups = {}
    for mistake in MISTAKES:
        if mistake.is_possible:
            key = "-".join(getattr(mistake, field) for field in fields)
            groups.setdefault(key, []).append(mistake)
    return pytest.mark.parametrize("mistakes", groups.values(), ids=groups)


@mistakes_by("interface", "argument")
def test_messages(mistakes):
    for mistake in mistakes:
        error = mistake.raised()
        assert type(error) is mistake.exception, mistake.label
        text = str(error)
        if mistake.message.endswith("…"):
            assert text.startswith(mistake.message.removesuffix("…")), mistake.label
        else:
            assert text == mistake.message, mistake.label
        assert re.search(rf"\b{mistake.argument}\b", text), mistake.label
        assert "expected " in text, mistake.label
        assert "got " in text, mistake.label
        assert "\n" not in mistake.message, mistake.label


def draw_masks():
    """The outputs of both interfaces with dropout from the process-wide generator."""
    layers = {"num_layers": 2, "dropout": 0.5}
    ones = np.ones((5, 3, 10), np.float32)
    states = np.ones((2, 3, 2), np.float32)
    below = (*WEIGHTS, zeros(8, 2) + 1, *WEIGHTS[1:])
    weights = tuple(weight + np.float32(0.1) for weight in below)
    function = call(
        "lstm",
        {
            "input": ones,
            "initial_states": (states, states),
            "all_weights": weights,
            "train": True,
            **layers,
        },
    )
    operator = target(CALL, layers)
    w = np.concatenate([weight.ravel() for weight in weights])
    result = operator(ones, states, states, w)
    return [array.tobytes() for array in (*function, *result)]


@mistakes_by("interface")
def test_failed_calls_leave_nothing_behind(mistakes):
    lstm_native.set_num_threads(2)
    lstm_native.manual_seed(11)
    first, second = draw_masks(), draw_masks()
    assert first != second
    lstm_native.manual_seed(11)
    assert draw_masks() == first
    for mistake in mistakes:
        mistake.raised()
        assert lstm_native.get_num_threads() == 2, mistake.label
    assert draw_masks() == second


def test_a_late_failure_with_dropout_draws_no_masks():
    # c and the second layer's last bias are looked at last, after everything that could draw.
    wrong = {"initial_states": (zeros(2, 3, 2), zeros(2, 3, 3))}
    weights = (*WEIGHTS, zeros(8, 2), *WEIGHTS[1:])
    layers = {"num_layers": 2, "dropout": 0.5}
    lstm_native.manual_seed(11)
    expected = draw_masks()
    lstm_native.manual_seed(11)
    with pytest.raises(ValueError, match="c_0"):
        call("lstm", {**wrong, **layers, "train": True, "all_weights": weights})
    with pytest.raises(ValueError, match="w: expected 160 elements"):
        call(CALL, {"h": zeros(2, 3, 2), "c": zeros(2, 3, 2)}, layers)
    assert draw_masks() == expected


def signature(interface):
    if interface == "explain":  # of its two forms the one that is not `lstm`'s
        return inspect.signature(_explanation._of_sizes).parameters
    return inspect.signature(target(interface)).parameters


def test_the_table_covers_every_interface():
    covered = {interface.split("(")[0] for interface in APPLICABLE}
    without_arguments = {
        "get_config",
        "get_adaptive_threads",
        "get_flush_subnormals",
        "get_num_threads",
        "MemoryPool",
        "show_config",
        "__version__",
        "cuda",
    }
    made_by_others = {"Explanation", "LayerExplanation", "PackedWeights", "Pullback"}
    types = {"ArrayLike", "Weights"}
    in_their_own_tests = {"Model", "load"}  # test_model.py
    elsewhere = without_arguments | made_by_others | types | in_their_own_tests
    assert covered | elsewhere == {*lstm_native.__all__, ONNX}


def test_the_table_covers_every_argument():
    for interface, arguments in APPLICABLE.items():
        assert set(signature(interface)) == set(arguments), interface


def test_the_table_covers_every_kind_of_mistake():
    covered = {}
    for mistake in MISTAKES:
        covered.setdefault((mistake.interface, mistake.argument), set()).add(mistake.kind)
    wanted = {
        (interface, argument): set(kinds)
        for interface, arguments in APPLICABLE.items()
        for argument, kinds in arguments.items()
    }
    assert covered == wanted


def test_the_table_is_long_and_repeats_nothing():
    assert len(MISTAKES) >= 120
    assert len({mistake.label for mistake in MISTAKES}) == len(MISTAKES)
    assert {mistake.kind for mistake in MISTAKES} == set(KINDS)


NEIGHBOURS = {
    "lstm": [
        {},
        {"input": zeros(1, 3, 10)},
        {"input": np.full((5, 3, 10), np.nan, np.float32)},
        {"initial_states": [zeros(1, 3, 2), zeros(1, 3, 2)]},
        {"initial_states": None},
        {"all_weights": list(WEIGHTS)},
        {"num_layers": np.int8(1)},
        {"dropout": 0},
        {"dropout": 1},
        {"dropout": np.float16(0.5)},
        {"train": np.True_},
        {"bidirectional": np.False_},
        {
            "bidirectional": True,
            "all_weights": WEIGHTS * 2,
            "initial_states": (zeros(2, 3, 2),) * 2,
        },
        {"batch_first": True, "input": zeros(3, 5, 10)},
        PACKED,
        {**PACKED, "batch_sizes": (3, 2, 1, 1)},
        {**PACKED, "batch_sizes": np.array([3, 2, 1, 1], np.uint8)},
        {**PACKED, "batch_sizes": np.array([3, 2, 1, 1], ">i8")},
        {**PACKED, "batch_first": True},
        {
            "weights_transposed": True,
            "all_weights": (zeros(10, 8), zeros(2, 8), zeros(8), zeros(8)),
        },
        {"has_ih_bias": False, "all_weights": WEIGHTS[:3]},
        {"has_hh_bias": False, "all_weights": WEIGHTS[:3]},
        {"has_ih_bias": False, "has_hh_bias": False, "all_weights": WEIGHTS[:2]},
        {"seed": 0},
        {"seed": 2**64 - 1},
        {"seed": np.uint64(2**64 - 1)},
        {"seed": None},
        {"num_threads": 1},
        {"num_threads": 128},
        {"num_threads": None},
        {"lengths": [5, 0, 3]},
        {"lengths": (0, 0, 0)},
        {"lengths": np.array([5, 5, 5], np.uint8)},
        {"lengths": None},
        {"batch_first": True, "input": zeros(3, 5, 10), "lengths": [1, 5, 2]},
        {
            "input": zeros(5, 0, 10),
            "initial_states": (zeros(1, 0, 2), zeros(1, 0, 2)),
            "lengths": [],
        },
        {"all_weights": PACKED_WEIGHTS},
        {"all_weights": PACKED_WEIGHTS, "num_layers": np.int8(1)},
        {"all_weights": PACKED_WEIGHTS, "num_layers": None, "bidirectional": None},
        {"all_weights": PACKED_WEIGHTS, **PACKED},
        {"all_weights": PACKED_WEIGHTS, "lengths": [5, 1, 0]},
        {"all_weights": NO_BIASES},
        {"all_weights": NO_BIASES, "has_ih_bias": False, "has_hh_bias": False},
        {"all_weights": ONE_BIAS, "has_hh_bias": False},
        {"all_weights": ONE_BIAS},
    ],
    BUILD: [
        {},
        {"input_size": 1, "hidden_size": 1},
        {"input_size": np.int64(10)},
        {"input_size": 2**63 - 1},
        {"num_layers": 3, "dropout": 0.0},
        {"num_layers": 3, "dropout": 1.0},
        {"num_layers": 3, "dropout": np.float32(0.5)},
        {"has_bias": np.True_, "bidirectional": np.False_},
        {"weight_layout": "mindspore_cpu", "batch_first": True, "training": False},
    ],
    CALL: [
        {},
        {"w": zeros(4, 28)},
        {"w": zeros(112, 1, 1)},
        {"w": PACKED_WEIGHTS},
        {"w": ONE_BIAS},
        {"state": np.array([[7], [0]])},
        {"state": np.array([[7], [0]], np.uint64)},
        {"state": [[-1], [0]]},
        {"training": False},
        {"training": None},
        {"num_threads": 128},
    ],
    RESERVE_SIZE: [{}, {"seq_len": 1, "batch": 0}, {"seq_len": np.int16(7)}],
    "manual_seed": [{}, {"seed": 0}, {"seed": 2**64 - 1}],
    "set_num_threads": [{}, {"num_threads": 128}, {"num_threads": None}],
    "pack_weights": [
        {},
        {"all_weights": list(WEIGHTS)},
        {"all_weights": [w.tolist() for w in WEIGHTS]},
        {"all_weights": [w.astype(">f8") for w in WEIGHTS]},
        {"weight_dtype": None},
        {"weight_dtype": "float16"},
        {"weight_dtype": "bfloat16"},
        {"weight_dtype": "bfloat16", "compute": "bfloat16"},
        {"weight_dtype": "int8"},
        {"weight_dtype": "int8", "compute": "int8"},
        {
            "all_weights": (WEIGHTS[0] + 65519, *WEIGHTS[1:]),
            "weight_dtype": "float16",
        },
        {
            "all_weights": (*WEIGHTS[:3], np.full(8, np.inf, np.float32)),
            "weight_dtype": "float16",
        },
        {"has_ih_bias": False, "all_weights": WEIGHTS[:3]},
        {"num_layers": np.int64(1), "bidirectional": np.False_},
    ],
    STREAM: [
        {},
        {"batch": 1},
        {"batch": np.int16(3)},
        {"initial_states": None},
        {"initial_states": [STATE, STATE]},
        {"num_threads": 128},
        {"num_threads": None},
    ],
    STEP: [
        {},
        {"x": zeros(3, 10, dtype=">f4")},
        {"x": np.full((3, 10), np.nan, np.float32)},
        {"out": zeros(3, 2)},
        {"out": None},
    ],
    RUN: [{}, {"x": zeros(1, 3, 10)}, {"out": zeros(5, 3, 2)}],
    SESSIONS: [{}, {"capacity": np.int64(1)}, {"num_threads": None}],
    SESSIONS_STEP: [
        {},
        {"ids": np.array([2, 0, 1], np.uint8)},
        {"ids": (), "x": zeros(0, 10)},
        {"x": np.full((3, 10), np.nan, np.float32)},
    ],
    SESSIONS_RUN: [{}, {"x": zeros(1, 3, 10)}],
    SET_STATE: [{}, {"id": np.int8(2), "state": [zeros(1, 2), zeros(1, 2)]}],
    LOAD: [{}, {"data": bytearray(VALID[LOAD]["data"])}],
    STATE_OF_STREAM: [{}, {"state": [STATE, STATE]}, {"state": (np.full_like(STATE, np.nan),) * 2}],
    "explain": [
        {},
        {"batch": 0},
        {"seq_len": np.int64(5)},
        {"dtype": "float64", "packed": False},
        {"weight_dtype": "bfloat16"},
        {"weight_dtype": "int8", "compute": "int8"},
        {"lengths": [5, 0, 1]},
        {"batch": 0, "lengths": []},
        {"num_threads": 128},
        {"num_threads": None},
    ],
}


@pytest.mark.parametrize("interface", NEIGHBOURS)
def test_valid_calls_beside_the_mistakes(interface):
    for given in NEIGHBOURS[interface]:
        call(interface, given)


def test_sizes_of_a_large_operator_are_computed_at_once():
    most, units = 2**16, 10**6
    net = lstm_native.LSTM(10, units, most, True, False, 0.0)
    assert net.weight_size == 4 * units * (10 + units + 2 + (most - 1) * (2 * units + 2))


@pytest.mark.skipif(OLD_NUMPY, reason="the page shows what newer NumPy makes of nested lists")
def test_the_page_of_errors_is_up_to_date():
    tool = runpy.run_path(str(PROJECT / "tools" / "make_error_table.py"))
    written = tool["PAGE"].read_text(encoding="utf-8")
    headings = re.findall(r"^## .+$", written, re.MULTILINE)
    assert len(set(headings)) == len(headings) == len(tool["TITLES"])
    assert written == tool["page"](), "python tools/make_error_table.py writes it anew"
