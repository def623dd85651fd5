"""`Model`: the bits of packed weights, its other forms, wrong state_dicts; gate orders."""

import copy
import dataclasses
import itertools
import pickle
import re

import numpy as np
import pytest

import lstm_native
from calls import BIASES, DTYPES, assert_same_bits, call_lstm, pack, transposed_weights
from fresh_interpreter import ask
from projected_cases import projected_case
from shapes import Shape, make_case

STACK = Shape("stack", 6, 3, 5, 7, num_layers=2)
BOTH = Shape("both", 6, 3, 5, 7, num_layers=2, bidirectional=True)
SHAPES = (STACK, BOTH)
ORDERS = ["".join(order) for order in itertools.permutations("ifgo")]

both_shapes = pytest.mark.parametrize("shape", SHAPES, ids=lambda shape: shape.name)


def model_of(case, **options):
    return lstm_native.Model(
        case.all_weights,
        case.shape.num_layers,
        case.shape.bidirectional,
        has_ih_bias=case.has_ih_bias,
        has_hh_bias=case.has_hh_bias,
        **options,
    )


def call_packed(case, **changes):
    return call_lstm(case, all_weights=pack(case), **changes)


def flat(results):
    output, (h_n, c_n) = results
    return output, h_n, c_n


def state_dict_of(case):
    """The case's weights by PyTorch's names, from which they are read as they are here."""
    directions = ("", "_reverse") if case.shape.bidirectional else ("",)
    roles = ["weight_ih", "weight_hh"]
    roles += ["bias_ih"] * case.has_ih_bias + ["bias_hh"] * case.has_hh_bias
    layers = range(case.shape.num_layers)
    names = [f"{r}_l{layer}{d}" for layer in layers for d in directions for r in roles]
    return dict(zip(names, case.all_weights, strict=True))


def in_order(weight, order):
    """Rows as another system holds them: the four blocks of i, f, g, o, put down in that order."""
    blocks = dict(zip("ifgo", np.split(weight, 4), strict=True))
    return np.concatenate([blocks[gate] for gate in order])


@pytest.mark.parametrize("order", ORDERS)
def test_gate_orders_by_name(order):
    case = make_case(BOTH)
    weights = [in_order(weight, order) for weight in case.all_weights]
    packed = lstm_native.pack_weights(weights, 2, True, gate_order=order.replace("g", "c"))
    assert_same_bits(packed.unpack(), case.all_weights)
    assert_same_bits(pickle.loads(pickle.dumps(packed)).unpack(), case.all_weights)
    model = lstm_native.Model(weights, 2, True, gate_order=order)
    assert_same_bits(model.state_dict().values(), case.all_weights)


@pytest.mark.parametrize("weight_dtype", ["float16", "bfloat16"])
def test_gate_orders_of_transposed_and_rounded_weights(weight_dtype):
    case = make_case(STACK)
    moved = [in_order(weight, "iogf") for weight in case.all_weights]
    moved = [np.ascontiguousarray(weight.T) if weight.ndim == 2 else weight for weight in moved]
    packed = lstm_native.pack_weights(
        moved, 2, False, True, gate_order="iogf", weight_dtype=weight_dtype
    )
    assert_same_bits(packed.unpack(), pack(case, True, weight_dtype=weight_dtype).unpack())


@both_shapes
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("bias", BIASES)
def test_a_model_computes_the_bits_of_packed_weights(shape, dtype, bias):
    case = make_case(shape, dtype, bias=bias)
    model = model_of(case)
    assert_same_bits(flat(model(case.x, state=(case.h0, case.c0))), call_packed(case))
    zeros = np.zeros_like(case.h0)
    expected = call_packed(case, initial_states=(zeros, zeros))
    assert_same_bits(flat(model(case.x)), expected)
    assert_same_bits(flat(model(case.x, num_threads=2)), expected)
    batch_first = model_of(case, batch_first=True)
    output, h_n, c_n = flat(batch_first(case.x.transpose(1, 0, 2)))
    assert_same_bits((output.transpose(1, 0, 2), h_n, c_n), expected)


@both_shapes
def test_a_model_takes_lengths_and_packed_sequences(shape):
    case = make_case(shape)
    zeros = np.zeros_like(case.h0)
    options = {"initial_states": (zeros, zeros), "lengths": [2, 6, 0]}
    assert_same_bits(flat(model_of(case)(case.x, lengths=[2, 6, 0])), call_packed(case, **options))
    sizes = [3, 3, 2, 1]
    rows = case.x.reshape(-1, 5)[: sum(sizes)]
    options = {"initial_states": (zeros, zeros), "batch_sizes": sizes, "input": rows}
    for batch_first in (False, True):  # which has no effect on a packed sequence
        model = model_of(case, batch_first=batch_first)
        assert_same_bits(flat(model(rows, batch_sizes=sizes)), call_packed(case, **options))


@both_shapes
def test_a_model_of_coupled_gates(shape):
    case, cell = make_case(shape), lstm_native.Cell(input_forget=True)
    model = model_of(case, cell=cell)
    expected = call_packed(case, cell=cell)
    for one in (
        model,
        pickle.loads(pickle.dumps(model)),
        model.astype("float64").astype("float32"),
    ):
        assert_same_bits(flat(one(case.x, state=(case.h0, case.c0))), expected)
    assert "Cell(input_forget=True)" in repr(model)
    if not shape.bidirectional:
        stream = model.stream(batch=3)
        stream.state = (case.h0, case.c0)
        assert_same_bits([stream.run(case.x)], expected[:1])


def test_a_model_makes_streams():
    case = make_case(STACK)
    stream = model_of(case).stream(batch=3, num_threads=1)
    zeros = np.zeros_like(case.h0)
    expected = call_packed(case, initial_states=(zeros, zeros))[0]
    assert_same_bits([np.stack([stream.step(frame) for frame in case.x])], [expected])


@both_shapes
def test_a_model_in_other_precisions(shape):
    case = make_case(shape)
    model = model_of(case, batch_first=True)
    for name in ("float16", "bfloat16"):
        small = model.astype(name)
        assert (small.weight_dtype, small.dtype) == (name, np.float32)
        assert small.batch_first
        assert_same_bits(small.packed.unpack(), pack(case, weight_dtype=name).unpack())
        assert small.astype(name) is small
        assert_same_bits(small.astype("float32").packed.unpack(), small.packed.unpack())
    double = model.astype(np.float64)
    assert double.dtype == np.float64
    assert_same_bits(double.astype(np.dtype("float32")).packed.unpack(), case.all_weights)


@pytest.mark.parametrize(
    ("wrong", "error", "got"),
    [
        ("int4", ValueError, "'int4'"),
        (np.int32, ValueError, "'int32'"),
        (5, TypeError, "int 5"),
        (None, TypeError, "None"),
    ],
)
def test_wrong_precisions(wrong, error, got):
    names = "'float32' or 'float64' or 'float16' or 'bfloat16' or 'int8'"
    message = f"dtype: expected {names} or a numpy.dtype of one, got {got}"
    with pytest.raises(error, match=re.escape(message)):
        model_of(make_case(STACK)).astype(wrong)
    with pytest.raises(ValueError, match="compute: expected None or the same as dtype, 'int8'"):
        model_of(make_case(STACK)).astype("int8", compute="bfloat16")


@pytest.mark.parametrize(
    ("argument", "value", "own", "hint"),
    [
        ("num_layers", 3, "2", ""),
        ("bidirectional", True, "False", ""),
        ("has_ih_bias", False, "True", ""),
        ("has_hh_bias", False, "True", ""),
        ("weight_dtype", "int8", "'bfloat16'", "; use Model(packed).astype('int8')"),
        ("compute", "bfloat16", "None", "; use Model(packed).astype('bfloat16', compute='bf"),
        ("gate_order", "iofg", "'ifgo'", ""),
        ("cell", lstm_native.Cell(peepholes=True), "Cell()", ""),
    ],
)
def test_arguments_that_contradict_packed_weights(argument, value, own, hint):
    packed = pack(make_case(STACK), weight_dtype="bfloat16")
    message = f"{argument}: expected {own}, as weights were packed, got {value!r}{hint}"
    with pytest.raises(ValueError, match="^" + re.escape(message)):
        lstm_native.Model(packed, **{argument: value})
    for same in ({}, {"num_layers": 2, "weight_dtype": "bfloat16", "gate_order": "ifco"}):
        assert lstm_native.Model(packed, **same).packed is packed


@pytest.mark.parametrize(
    ("wrong", "message"),
    [({"num_layers": "2"}, "num_layers: "), ({"gate_order": 3}, "gate_order: "),
     ({"compute": 8}, "compute: "), ({"has_ih_bias": 1}, "has_ih_bias: ")],
)  # fmt: skip
def test_wrong_types_beside_packed_weights(wrong, message):
    with pytest.raises(TypeError, match=message):
        lstm_native.Model(pack(make_case(STACK)), **wrong)


def test_wrong_weights_are_named():
    weights = make_case(STACK).all_weights
    with pytest.raises(ValueError, match=r"^weights\[0\] \(w_ih of layer 0, forward\): expected"):
        lstm_native.Model([weights[0][:, 0], *weights[1:]], 2)
    with pytest.raises(TypeError, match=r"^weights: expected"):
        lstm_native.Model(None)


def test_a_model_tells_its_properties():
    case = make_case(BOTH, bias=(True, False))
    model = model_of(case, batch_first=True, weight_dtype="bfloat16")
    assert (model.input_size, model.hidden_size, model.num_layers) == (5, 7, 2)
    assert (model.bidirectional, model.batch_first) == (True, True)
    assert (model.has_ih_bias, model.has_hh_bias) == (True, False)
    assert model.nbytes == model.packed.nbytes
    assert model.source is None
    assert repr(model) == (
        "<Model: 2 layers (both directions), 5 inputs, 7 units, float32, bfloat16 weights, "
        "batch first>"
    )
    table = model._repr_html_()
    assert table.startswith("<table>")
    assert "<tr><th>units</th><td>7 units</td></tr>" in table


def test_a_model_of_packed_weights():
    case = make_case(STACK)
    packed = pack(case, transposed=True)
    model = lstm_native.Model(packed)
    assert model.packed is packed
    assert_same_bits(model.state_dict().values(), case.all_weights)
    assert_same_bits(packed.unpack(), transposed_weights(case))


def test_a_model_is_immutable_and_can_be_pickled():
    case = make_case(BOTH, bias=(False, True))
    model = model_of(case, batch_first=True)
    for change in (lambda: setattr(model, "batch_first", False), lambda: delattr(model, "_packed")):
        with pytest.raises(dataclasses.FrozenInstanceError):
            change()
    assert copy.copy(model) is model
    assert copy.deepcopy(model) is model
    again = pickle.loads(pickle.dumps(model))
    assert repr(again) == repr(model)
    assert_same_bits(again.state_dict().values(), model.state_dict().values())


@pytest.mark.parametrize(
    ("wrong", "error", "message"),
    [
        (np.zeros((6, 3, 5)), TypeError, r"x: expected dtype float32, the model's, got float64; "),
        (np.zeros((6, 3, 5), int), TypeError, r"x: expected dtype float32 or float64, got int64"),
        (np.zeros((6, 3, 4), np.float32), ValueError, r"^x: expected shape .* got \(6, 3, 4\)"),
        (np.zeros((6, 5), np.float32), ValueError, r"^x: expected shape .* got \(6, 5\)"),
    ],
)
def test_wrong_inputs(wrong, error, message):
    with pytest.raises(error, match=message):
        model_of(make_case(STACK))(wrong)


H0 = np.zeros((2, 3, 7), np.float32)


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"state": 3}, TypeError, "state: expected "),
        ({"state": (H0, H0[:1])}, ValueError, r"state\[1\] \(c_0\): expected shape "),
        (
            {"state": (H0, H0.astype(float))},
            TypeError,
            r"state\[1\] .*, the same as x, got",
        ),
        ({"lengths": [9, 1, 1]}, ValueError, "lengths: expected .*, the seq_len of x, got 9"),
        ({"batch_sizes": [3]}, ValueError, r"x: expected shape \(sum\(batch_sizes\), input_size\)"),
    ],
)
def test_wrong_arguments_of_calls(options, error, message):
    case = make_case(STACK)
    with pytest.raises(error, match="^" + message):
        model_of(case)(case.x, **options)


@both_shapes
@pytest.mark.parametrize("bias", BIASES)
def test_a_state_dict_makes_the_same_model(shape, bias):
    case = make_case(shape, bias=bias)
    state = state_dict_of(case)
    model = lstm_native.Model.from_torch(state)
    assert_same_bits(model.packed.unpack(), case.all_weights)
    assert list(model.state_dict()) == list(state)
    beside = {
        "head.weight": np.zeros((3, 7), np.float32),
        "step": np.zeros((), np.int64),
        **{f"encoder.lstm.{key}": value for key, value in state.items()},
    }
    for prefix in ("", "encoder", "encoder.", "encoder.lstm", "encoder.lstm."):
        model = lstm_native.Model.from_torch(beside, prefix)
        assert_same_bits(model.packed.unpack(), case.all_weights)
        assert model.source == "state_dict: 'encoder.lstm.'"
    with pytest.raises(ValueError, match="prefix: expected one of its LSTMs, got 'decoder'"):
        lstm_native.Model.from_torch(beside, "decoder")


def test_the_keys_of_a_single_cell():
    case = make_case(Shape("cell", 3, 2, 5, 7))
    state = {key.removesuffix("_l0"): value for key, value in state_dict_of(case).items()}
    assert_same_bits(lstm_native.Model.from_torch(state).packed.unpack(), case.all_weights)


def test_several_lstms_are_listed():
    state = {f"a.{key}": value for key, value in state_dict_of(make_case(STACK)).items()}
    state |= {f"b.{key}": value for key, value in state_dict_of(make_case(BOTH)).items()}
    with pytest.raises(ValueError, match="found 2; choose by prefix=") as caught:
        lstm_native.Model.from_torch(state)
    assert str(caught.value).splitlines()[1:] == [
        "  prefix='a.': 2 layers, 5 inputs, 7 units",
        "  prefix='b.': 2 layers, 5 inputs, 7 units, both directions",
    ]
    assert str(pickle.loads(pickle.dumps(caught.value))) == str(caught.value)
    assert not lstm_native.Model.from_torch(state, "a").bidirectional
    # The one at the root is meant by the empty prefix.
    state |= state_dict_of(make_case(Shape("root", 1, 1, 2, 3)))
    assert lstm_native.Model.from_torch(state).hidden_size == 3


def without(key):
    return lambda state: state.pop(key)


def put(key, value):
    return lambda state: state.update({key: value})


F32 = np.float32
NEED = "expected an array of shape"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (without("weight_ih_l1"), f"key 'weight_ih_l1': {NEED} (28, 14), found none"),
        (without("weight_hh_l1_reverse"), f"key 'weight_hh_l1_reverse': {NEED} (28, 7)"),
        (without("weight_ih_l0"), f"key 'weight_ih_l0': {NEED} (28, input_size)"),
        (without("bias_ih_l1"), f"key 'bias_ih_l1': {NEED} (28,), found none"),
        (put("weight_ih_l3", np.zeros((28, 14), F32)), f"key 'weight_ih_l2': {NEED}"),
        (put("weight_hh_l0_raw", np.zeros((28, 7), F32)), "_l0_raw': expected no keys beside"),
        (put("weight_ih_l1", np.zeros((28, 5), F32)), "expected shape (28, 14), found (28, 5)"),
        (put("weight_ih_l0", np.zeros(28, F32)), "expected shape (28, input_size), found (28,)"),
        (put("weight_ih_l0", np.zeros((28, 0), F32)), "found (28, 0)"),
        (put("weight_hh_l0", np.zeros((27, 7), F32)), "expected shape (4 * hidden_size"),
        (put("bias_hh_l0", np.zeros(7, F32)), "'bias_hh_l0': expected shape (28,)"),
        (put("bias_hh_l0", np.zeros(28)), "expected dtype float32, as of 'weight_hh_l0'"),
        (put("bias_hh_l0", np.zeros(28, np.int8)), "expected dtype float32, float64"),
        (put("weight_hr_l0", np.zeros((7, 7), F32)), "key 'weight_hr_l0_reverse': expected"),
        (put("weight_ih", np.zeros((28, 5), F32)), "one array beside 'weight_ih_l0', found two"),
    ],
)  # fmt: skip
def test_wrong_state_dicts(change, message):
    state = state_dict_of(make_case(BOTH))
    change(state)
    with pytest.raises(ValueError, match=re.escape(message)) as caught:
        lstm_native.Model.from_torch(state)
    assert str(caught.value).startswith("state_dict: key '")


@pytest.mark.parametrize(
    ("state", "message"),
    [
        ({}, "state_dict: keys: expected those of an LSTM, such as 'weight_ih_l0', found no key"),
        ({"a.weight": np.zeros(3)}, "found 'a.weight'"),
        (
            {"gru.weight_ih_l0": np.zeros((9, 2)), "gru.weight_hh_l0": np.zeros((9, 3))},
            "found GRU or RNN cells at 'gru.'",
        ),
    ],
)
def test_state_dicts_without_an_lstm(state, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        lstm_native.Model.from_torch(state)


@pytest.mark.parametrize("bias", BIASES)
def test_a_projection_is_found_by_its_name(bias):
    case = projected_case(Shape("projected", 4, 3, 5, 7, 2, True), 3, F32, bias=bias)
    cell = lstm_native.Cell(proj_size=3)
    model = lstm_native.Model(
        case.all_weights, 2, True, has_ih_bias=bias[0], has_hh_bias=bias[1], cell=cell
    )
    state = model.state_dict()
    assert state["weight_hr_l1_reverse"].shape == (3, 7)
    for same in (model, lstm_native.Model.from_torch(state), pickle.loads(pickle.dumps(model))):
        assert same.cell == cell
        output, (h_n, c_n) = same(case.x, state=(case.h0, case.c0))
        assert_same_bits((output, h_n, c_n), call_lstm(case, all_weights=model.packed))
    assert model.astype("float64").astype("float32").cell == cell
    assert "Cell(proj_size=3)" in repr(model)
    with pytest.raises(ValueError, match="to_onnx: expected a model without a projection"):
        model.to_onnx()
    del state["weight_hr_l1_reverse"]
    with pytest.raises(ValueError, match="key 'weight_hr_l1_reverse': expected an array of shape"):
        lstm_native.Model.from_torch(state)


@pytest.mark.parametrize("value", [None, 3, [np.zeros(3)]])
def test_what_is_no_module(value):
    with pytest.raises(TypeError, match=r"module: expected a torch.nn.Module or its state_dict"):
        lstm_native.Model.from_torch(value)


class BytesPath:
    def __fspath__(self):
        return b"a.safetensors"


def test_files_that_are_none(tmp_path):
    with pytest.raises(ValueError, match=r"expected a name that ends in \.safetensors, .*'a\.txt'"):
        lstm_native.load(tmp_path / "a.txt")
    with pytest.raises(FileNotFoundError, match="no such file"):
        lstm_native.load(tmp_path / "a.safetensors")
    with pytest.raises(IsADirectoryError):
        lstm_native.load(tmp_path.rename(tmp_path.with_suffix(".pt")))
    with pytest.raises(TypeError, match="path: expected a str or a path, got int 3"):
        lstm_native.load(3)
    with pytest.raises(TypeError, match="path: expected a str or a path, got bytes"):
        lstm_native.load(BytesPath())
    with pytest.raises(ValueError, match=r"path: expected a name that ends in \.safetensors"):
        model_of(make_case(STACK)).save("a.txt")


def test_another_formats_argument(tmp_path):
    path = tmp_path / "a.safetensors"
    path.touch()
    with pytest.raises(ValueError, match=r"node: expected None for a \.safetensors file"):
        lstm_native.load(path, node="lstm")
    with pytest.raises(TypeError, match="prefix: expected a str, got int 3"):
        lstm_native.load(path, prefix=3)


def test_names_that_are_none():
    state = state_dict_of(make_case(STACK))
    for prefix, got in ((3, "int 3"), (None, "None")):
        with pytest.raises(TypeError, match=f"prefix: expected a str, got {got}"):
            lstm_native.Model.from_torch(state, prefix)
    with pytest.raises(TypeError, match="node: expected a str, got int 3"):
        lstm_native.Model.from_onnx(None, 3)
    with pytest.raises(TypeError, match="layer: expected a str, got int 3"):
        lstm_native.Model.from_keras(None, 3)


def test_the_import_brings_no_framework_along():
    code, output, error = ask("foreign_imports.py")
    assert (code, output) == (0, "none"), error
