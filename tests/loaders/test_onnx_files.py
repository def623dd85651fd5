"""ONNX: single nodes, stacks, subgraphs, against onnxruntime; exact trips; wrong files."""

import io
import re
import warnings

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from onnx import helper, numpy_helper

from calls import BIASES, assert_same_bits, pack
from lstm_native import Cell, Model, load
from shapes import Shape, make_case

T, N, I, H = 6, 3, 5, 7  # noqa: E741
LAYERS = [(1, False), (3, False), (2, True)]
FLOAT = onnx.TensorProto.FLOAT


def drawn(*shape, seed=0):
    rng = np.random.default_rng([seed, *shape])
    return rng.uniform(-0.5, 0.5, shape).astype(np.float32)


def constants(directions=1, inputs=I, suffix="", peepholes=False):
    arrays = {
        "W": drawn(directions, 4 * H, inputs),
        "R": drawn(directions, 4 * H, H),
        "B": drawn(directions, 8 * H),
    }
    if peepholes:
        arrays["P"] = drawn(directions, 3 * H)
    return [numpy_helper.from_array(array, name + suffix) for name, array in arrays.items()]


def lstm_node(inputs=("X", "W", "R", "B"), outputs=("Y", "Y_h", "Y_c"), name="lstm", **options):
    return helper.make_node("LSTM", inputs, outputs, name=name, hidden_size=H, **options)


def model_of(nodes, initializers, inputs=("X",), outputs=("Y",), shapes=()):
    shapes = {"X": [None, None, I], **dict(shapes)}
    values = [helper.make_tensor_value_info(n, FLOAT, shapes.get(n)) for n in (*inputs, *outputs)]
    graph = helper.make_graph(
        nodes, "graph", values[: len(inputs)], values[len(inputs) :], initializers
    )
    opset = helper.make_opsetid("", 17)
    return helper.make_model(graph, opset_imports=[opset], ir_version=8)


def runtime(model, feeds):
    session = onnxruntime.InferenceSession(model.SerializeToString())
    return session.run(None, feeds)


def assert_close(ours, theirs):
    for got, expected in zip(ours, theirs, strict=True):
        np.testing.assert_allclose(got, expected, rtol=0, atol=1e-5)


@pytest.mark.parametrize("direction", ["forward", "bidirectional"])
@pytest.mark.parametrize("bias", [True, False])
def test_one_node(direction, bias, tmp_path):
    directions = 2 if direction == "bidirectional" else 1
    node = lstm_node(("X", "W", "R", "B" if bias else ""), direction=direction)
    proto = model_of([node], constants(directions), outputs=("Y", "Y_h", "Y_c"))
    onnx.save(proto, tmp_path / "a.onnx")
    x = drawn(T, N, I)
    y, y_h, y_c = runtime(proto, {"X": x})
    expected = (y.transpose(0, 2, 1, 3).reshape(T, N, -1), y_h, y_c)
    path = tmp_path / "a.onnx"
    for model in (
        load(path),
        Model.from_onnx(proto),
        Model.from_onnx(path),
        load(path, node="lstm"),
    ):
        assert (model.has_ih_bias, model.has_hh_bias) == (bias, bias)
        output, states = model(x)
        assert_close((output, *states), expected)
    assert load(path).source == f"{path}: 'lstm'"


def test_states_and_lengths_are_those_of_a_call():
    inputs = ("X", "W", "R", "B", "lengths", "h", "c")
    graph_inputs = ("X", "h", "c")
    shapes = {"h": [1, N, H], "c": [1, N, H]}
    proto = model_of([lstm_node(inputs)], constants(), graph_inputs, ("Y", "Y_h", "Y_c"), shapes)
    lengths = helper.make_tensor_value_info("lengths", onnx.TensorProto.INT32, [N])
    proto.graph.input.append(lengths)
    x, h, c = drawn(T, N, I), drawn(1, N, H, seed=1), drawn(1, N, H, seed=2)
    y, y_h, y_c = runtime(proto, {"X": x, "h": h, "c": c, "lengths": np.array([6, 2, 4], np.int32)})
    output, states = Model.from_onnx(proto)(x, state=(h, c), lengths=[6, 2, 4])
    assert_close((output, *states), (y[:, 0], y_h, y_c))


def test_layout_1_is_batch_first():
    """onnxruntime has no layout 1: the same node in layout 0 says what is right."""
    first = Model.from_onnx(model_of([lstm_node(layout=1)], constants()))
    assert first.batch_first
    proto = model_of([lstm_node()], constants())
    x = drawn(T, N, I)
    (y,) = runtime(proto, {"X": x})
    assert_close([first(x.transpose(1, 0, 2))[0]], [y[:, 0].transpose(1, 0, 2)])


def between(kind, directions):
    """Operators from a layer's Y to the X of the next, and their constants."""
    integers = {
        "axes": [1],
        "whole": [0, 0, directions * H],
        "open": [0, 0, -1],
        "sizes": [T, N, H],
    }
    initializers = [numpy_helper.from_array(np.array(v, np.int64), k) for k, v in integers.items()]
    transpose = helper.make_node("Transpose", ["Y"], ["moved"], perm=[0, 2, 1, 3])
    nodes = {
        "squeeze": [helper.make_node("Squeeze", ["Y", "axes"], ["X2"])],
        "reshape": [helper.make_node("Reshape", ["Y", "sizes"], ["X2"])],
        "dropout": [
            helper.make_node("Squeeze", ["Y", "axes"], ["squeezed"]),
            helper.make_node("Dropout", ["squeezed"], ["dropped"]),
            helper.make_node("Identity", ["dropped"], ["X2"]),
        ],
        "transpose": [transpose, helper.make_node("Reshape", ["moved", "whole"], ["X2"])],
        "open": [transpose, helper.make_node("Reshape", ["moved", "open"], ["X2"])],
        "relu": [
            helper.make_node("Squeeze", ["Y", "axes"], ["squeezed"]),
            helper.make_node("Relu", ["squeezed"], ["X2"]),
        ],
    }
    return nodes[kind], initializers


def two_layers(kind, directions=1):
    direction = "bidirectional" if directions == 2 else "forward"
    nodes, initializers = between(kind, directions)
    second = ("X2", "W_2", "R_2", "B_2")
    return model_of(
        [
            lstm_node(direction=direction),
            *nodes,
            lstm_node(second, ("Y_2", "h_2", "c_2"), "second", direction=direction),
        ],
        constants(directions) + constants(directions, directions * H, "_2") + initializers,
        outputs=("Y_2", "Y_h", "h_2"),
    )


@pytest.mark.parametrize(
    ("kind", "directions"),
    [
        ("squeeze", 1),
        ("reshape", 1),
        ("dropout", 1),
        ("transpose", 1),
        ("transpose", 2),
        ("open", 2),
    ],
)
def test_nodes_that_are_a_stack(kind, directions):
    proto = two_layers(kind, directions)
    x = drawn(T, N, I)
    y, h_1, h_2 = runtime(proto, {"X": x})
    for node in (None, "lstm", "second"):
        model = Model.from_onnx(proto, node)
        assert (model.num_layers, model.source) == (2, "model: 'lstm', 'second'")
        output, (h_n, _) = model(x)
        expected = y.transpose(0, 2, 1, 3).reshape(T, N, -1)
        assert_close((output, h_n), (expected, np.concatenate([h_1, h_2])))


def test_nodes_with_something_between_are_listed():
    proto = two_layers("relu")
    with pytest.raises(ValueError, match="found 2; choose by node=") as caught:
        Model.from_onnx(proto)
    assert str(caught.value).splitlines()[1:] == [
        "  node='lstm': 1 layer, 5 inputs, 7 units",
        "  node='second': 1 layer, 7 inputs, 7 units",
    ]
    assert Model.from_onnx(proto, "second").input_size == H
    with pytest.raises(ValueError, match="node: expected one of its LSTMs, got 'third':"):
        Model.from_onnx(proto, "third")


def test_a_node_in_a_subgraph():
    branches = {
        f"{name}_branch": helper.make_graph(
            [lstm_node(outputs=(f"Y_{name}", "", ""), name="")],
            name,
            [],
            [helper.make_tensor_value_info(f"Y_{name}", FLOAT, None)],
        )
        for name in ("then", "else")
    }
    node = helper.make_node("If", ["yes"], ["Y"], name="if", **branches)
    yes = numpy_helper.from_array(np.array(True), "yes")
    proto = model_of([node], [*constants(), yes])
    x = drawn(T, N, I)
    (y,) = runtime(proto, {"X": x})
    with pytest.raises(ValueError, match=r"node='if\.then_branch/Y_then'"):
        Model.from_onnx(proto)
    assert_close([Model.from_onnx(proto, "if.else_branch/Y_else")(x)[0]], [y[:, 0]])


def test_weights_from_constant_nodes():
    tensors = constants()
    nodes = [helper.make_node("Constant", [], [f"{t.name}_0"], value=t) for t in tensors]
    nodes += [helper.make_node("Identity", [f"{t.name}_0"], [t.name]) for t in tensors]
    proto = model_of([*nodes, lstm_node()], [])
    x = drawn(T, N, I)
    assert_close([Model.from_onnx(proto)(x)[0]], [runtime(proto, {"X": x})[0][:, 0]])


@pytest.mark.parametrize("name", ["float16", "bfloat16", "float64"])
def test_other_numbers(name):
    kinds = {"float16": "FLOAT16", "bfloat16": "BFLOAT16", "float64": "DOUBLE"}
    kind = getattr(onnx.TensorProto, kinds[name])
    dtype = helper.tensor_dtype_to_np_dtype(kind)
    tensors = []
    for tensor in constants():
        array = numpy_helper.to_array(tensor).astype(dtype)
        tensors.append(numpy_helper.from_array(array, tensor.name))
    model = Model.from_onnx(model_of([lstm_node()], tensors))
    assert model.weight_dtype == (None if name == "float64" else name)
    assert model.dtype == (np.float64 if name == "float64" else np.float32)
    wanted = numpy_helper.to_array(constants()[0])[0].astype(dtype).astype(np.float64)
    i, o, f, c = np.split(wanted, 4)
    assert np.array_equal(model.state_dict()["weight_ih_l0"], np.concatenate([i, f, c, o]))


@pytest.mark.parametrize(("num_layers", "bidirectional"), LAYERS)
@pytest.mark.parametrize("batch_first", [False, True])
def test_what_pytorch_exports(num_layers, bidirectional, batch_first, tmp_path):
    module = torch.nn.LSTM(
        I, H, num_layers, bidirectional=bidirectional, batch_first=batch_first
    ).eval()
    x = torch.randn(N, T, I) if batch_first else torch.randn(T, N, I)
    file = io.BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # about the exporter's age, and about the batch
        torch.onnx.export(module, (x,), file, dynamo=False, opset_version=17)
    path = tmp_path / "exported.onnx"
    path.write_bytes(file.getvalue())
    model = load(path, batch_first=batch_first)
    (name,) = [i.name for i in onnxruntime.InferenceSession(path).get_inputs()]
    expected = onnxruntime.InferenceSession(path).run(None, {name: x.numpy()})
    output, states = model(x.numpy())
    assert_close((output, *states), expected)
    assert model.num_layers == num_layers


@pytest.mark.parametrize(("num_layers", "bidirectional"), LAYERS)
@pytest.mark.parametrize("bias", BIASES)
@pytest.mark.parametrize("batch_first", [False, True])
def test_there_and_back(num_layers, bidirectional, bias, batch_first, tmp_path):
    shape = Shape("there", T, N, I, H, num_layers=num_layers, bidirectional=bidirectional)
    case = make_case(shape, bias=bias)
    model = Model(pack(case), batch_first=batch_first)
    proto = model.to_onnx()
    onnx.checker.check_model(proto, full_check=True)
    x = case.x.transpose(1, 0, 2) if batch_first else case.x
    expected = runtime(proto, {"input": x, "h_0": case.h0, "c_0": case.c0})
    output, states = model(x, state=(case.h0, case.c0))
    assert_close((output, *states), expected)
    model.save(tmp_path / "a.onnx")
    for again in (Model.from_onnx(proto), load(tmp_path / "a.onnx")):
        assert again.batch_first == batch_first
        assert_same_bits(again.packed.unpack(), model.packed.unpack())


@pytest.mark.parametrize("stored", ["float16", "bfloat16", "float64"])
def test_there_and_back_in_other_numbers(stored):
    case = make_case(Shape("there", T, N, I, H))
    model = Model(case.all_weights).astype(stored)
    again = Model.from_onnx(model.to_onnx())
    assert (again.weight_dtype, again.dtype) == (model.weight_dtype, model.dtype)
    assert_same_bits(again.packed.unpack(), model.packed.unpack())


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"clip": 0.0}, "clip: expected a finite float above 0, or None, got 0.0"),
        ({"activations": ["Gelu", "Tanh", "Tanh"]}, "activations: expected names among sigmoid"),
        ({"activation_alpha": [0.5]}, "alphas: expected at most 0 values"),
    ],
)
def test_attributes_that_no_cell_has(options, message):
    proto = model_of([lstm_node(**options)], constants())
    with pytest.raises(ValueError, match=re.escape(f"attributes of node 'lstm': {message}")):
        Model.from_onnx(proto)


def test_activations_for_fewer_directions_than_the_node_has():
    proto = model_of([lstm_node(activations=["Relu", "Tanh"])], constants())
    with pytest.raises(ValueError, match="activations of node 'lstm': expected 3 functions, found"):
        Model.from_onnx(proto)


def test_cells_that_differ_from_layer_to_layer():
    for attribute, value in (("clip", 0.5), ("activations", ["Relu", "Tanh", "Tanh"])):
        proto = two_layers("squeeze")
        proto.graph.node[0].attribute.append(helper.make_attribute(attribute, value))
        message = f"model: 'lstm', 'second': attribute {attribute} of node 'lstm': not supported"
        with pytest.raises(ValueError, match=re.escape(message)):
            Model.from_onnx(proto)


@pytest.mark.parametrize("bidirectional", [False, True])
def test_coupled_gates(bidirectional, tmp_path):
    shape = Shape("two", T, N, I, H, 2, bidirectional)
    case = make_case(shape)
    model = Model(pack(case), cell=Cell(input_forget=True))
    proto = model.to_onnx()
    expected = runtime(proto, {"input": case.x, "h_0": case.h0, "c_0": case.c0})
    model.save(tmp_path / "a.safetensors")
    for one in (model, Model.from_onnx(proto), load(tmp_path / "a.safetensors")):
        assert one.cell == Cell(input_forget=True)
        output, states = one(case.x, state=(case.h0, case.c0))
        assert_close((output, *states), expected)
    for node in proto.graph.node:
        if node.name == "lstm_1":
            (attribute,) = (a for a in node.attribute if a.name == "input_forget")
            attribute.i = 0
    with pytest.raises(ValueError, match=r"input_forget of node 'lstm_[01]': not supported yet"):
        Model.from_onnx(proto)


def test_the_usual_functions_may_be_named():
    options = {"activations": ["sigmoid", "Tanh", "TANH"] * 2, "direction": "bidirectional"}
    assert Model.from_onnx(model_of([lstm_node(**options)], constants(2))).bidirectional


def replaced(name, array):
    tensors = [tensor for tensor in constants() if tensor.name != name]
    return tensors if array is None else [*tensors, numpy_helper.from_array(array, name)]


def zeros(*shape, dtype=np.float32):
    return np.zeros(shape, dtype)


@pytest.mark.parametrize(
    ("name", "array", "message"),
    [
        ("W", None, "a constant of shape (1, 28, any), found 'W', an input of the graph"),
        ("W", zeros(1, 27, I), "shape (1, 28, any), found (1, 27, 5)"),
        ("W", zeros(1, 28, I, dtype=np.int8), "dtype float32, float64, float16 or bfloat16, found"),
        ("R", zeros(1, 28, 8), "shape (1, 28, 7), found (1, 28, 8)"),
        ("R", zeros(28, 7), "shape (1, any, any), found (28, 7)"),
        ("R", zeros(1, 28, 7, dtype=np.float64), "dtype float32, as of W, found float64"),
        ("B", zeros(1, 28), "shape (1, 56), found (1, 28)"),
        ("B", zeros(1, 56, dtype=np.float64), "dtype float32, as of W, found float64"),
    ],
)
def test_wrong_constants(name, array, message):
    expected = f"model: input {name} of node 'lstm': expected {message}"
    with pytest.raises(ValueError, match=re.escape(expected)):
        Model.from_onnx(model_of([lstm_node()], replaced(name, array)))


def test_weights_that_are_computed():
    """From constants: as constants. From what a run needs to know: refused."""
    node = helper.make_node("Neg", ["W_0"], ["W"])
    tensors = replaced("W", None)
    proto = model_of(
        [node, lstm_node()], [*tensors, numpy_helper.from_array(drawn(1, 28, I), "W_0")]
    )
    x = drawn(T, N, I)
    assert_close([Model.from_onnx(proto)(x)[0]], [runtime(proto, {"X": x})[0][:, 0]])
    with pytest.raises(ValueError, match="found 'W', the result of Neg"):
        Model.from_onnx(model_of([node, lstm_node()], tensors, ("X", "W_0")))
    again = helper.make_node("Neg", ["W"], ["W_0"])
    with pytest.raises(ValueError, match="found 'W', the result of Neg"):
        Model.from_onnx(model_of([node, again, lstm_node()], tensors))


def test_gates_that_nodes_reorder():
    """An exporter leaves it to Slice, Concat and Unsqueeze, as of torch.nn.LSTMCell."""
    nodes, tensors = [], []
    bounds = {"i": (0, H), "f": (H, 2 * H), "g": (2 * H, 3 * H), "o": (3 * H, 4 * H)}
    for gate, bound in bounds.items():
        for end, place in zip(("first", "last"), bound, strict=True):
            tensors.append(numpy_helper.from_array(np.array([place]), f"{gate}_{end}"))
    tensors.append(numpy_helper.from_array(np.array([0]), "zero"))
    case = make_case(Shape("one", T, N, I, H), bias=(False, False))
    for name, array in zip("WR", case.all_weights, strict=True):
        tensors.append(numpy_helper.from_array(array, f"torch_{name}"))
        for gate in "iofg":
            inputs = [f"torch_{name}", f"{gate}_first", f"{gate}_last", "zero"]
            nodes.append(helper.make_node("Slice", inputs, [f"{name}_{gate}"]))
        parts = [f"{name}_{gate}" for gate in "iofg"]
        nodes.append(helper.make_node("Concat", parts, [f"{name}_all"], axis=0))
        nodes.append(helper.make_node("Unsqueeze", [f"{name}_all", "zero"], [name]))
    proto = model_of([*nodes, lstm_node(("X", "W", "R"))], tensors)
    model = Model.from_onnx(proto)
    assert_same_bits(model.packed.unpack(), case.all_weights)
    assert_close([model(case.x)[0]], [runtime(proto, {"X": case.x})[0][:, 0]])


@pytest.mark.parametrize("place", [4, 5, 6])
def test_constant_states_and_lengths(place):
    names = ["X", "W", "R", "B", "", "", ""]
    names[place] = "given"
    array = np.full(N, T, np.int32) if place == 4 else drawn(1, N, H)
    with pytest.raises(ValueError, match=r"a Model takes it at each call, found a constant"):
        Model.from_onnx(
            model_of([lstm_node(names)], [*constants(), numpy_helper.from_array(array, "given")])
        )
    if place > 4:  # what a Model begins with, too
        zeros = numpy_helper.from_array(0 * array, "given")
        Model.from_onnx(model_of([lstm_node(names)], [*constants(), zeros]))


def test_models_without_an_lstm():
    node = helper.make_node("Relu", ["X"], ["Y"])
    with pytest.raises(ValueError, match="graph: expected a node LSTM, found nodes Relu"):
        Model.from_onnx(model_of([node], []))
    with pytest.raises(TypeError, match=r"model: expected an onnx\.ModelProto or a path"):
        Model.from_onnx(3)


def test_a_direction_that_there_is_not():
    proto = model_of([lstm_node(direction="sideways")], constants())
    message = "attribute direction of node 'lstm': expected 'forward' or 'reverse' or "
    with pytest.raises(ValueError, match=re.escape(message)):
        Model.from_onnx(proto)


def test_metadata_that_contradict_the_graph():
    case = make_case(Shape("one", T, N, I, H), bias=(True, False))
    proto = Model(pack(case)).to_onnx()
    entry = proto.metadata_props[0]
    entry.value = entry.value.replace('"has_ih_bias": true', '"has_ih_bias": false')
    with pytest.raises(ValueError, match="input B: expected zeros for the input_bias"):
        Model.from_onnx(proto)


def test_truncated_and_damaged_files(tmp_path):
    """Whatever a file holds, it is a model or an error that names it."""
    path = tmp_path / "a.onnx"
    whole = Model(make_case(Shape("one", T, N, 2, 3)).all_weights).to_onnx().SerializeToString()

    def assert_named(content):
        path.write_bytes(content)
        message = str(path)
        try:
            load(path)
        except ValueError as error:
            message = str(error)
        assert str(path) in message

    for size in (0, 1, 50, len(whole) // 2, len(whole) - 1):
        path.write_bytes(whole[:size])
        with pytest.raises(ValueError, match=re.escape(str(path))):
            load(path)

    @given(place=st.integers(0, len(whole) - 1), byte=st.integers(0, 255))
    def one_byte_differs(place, byte):
        assert_named(whole[:place] + bytes([byte]) + whole[place + 1 :])

    @given(content=st.binary(max_size=200))
    def any_bytes(content):
        assert_named(content)

    one_byte_differs()
    any_bytes()
