"""`lstm_native.onnx.lstm` against onnx's node tests, and against onnxruntime on nodes at random."""

import warnings

import pytest
from onnx.backend.test.case import node as cases_of_nodes
from onnx.helper import get_attribute_value
from onnx_nodes import INPUTS, OUTPUTS, draw_node

import lstm_native.onnx
from lstm_native import Model
from tolerances import assert_scaled_close

NODES = 500


def collected():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of NumPy about the cases of other operators
        cases = cases_of_nodes.collect_testcases("LSTM")
    return {case.name: case for case in cases if case.model.graph.node[0].op_type == "LSTM"}


CASES = collected()


def attributes_of(node):
    values = {a.name: get_attribute_value(a) for a in node.attribute}
    return {k: v.decode() if isinstance(v, bytes) else v for k, v in values.items()}


def test_onnx_has_node_tests():
    assert len(CASES) >= 4


@pytest.mark.parametrize("name", CASES)
def test_onnxs_node_tests(name):
    case = CASES[name]
    (node,) = case.model.graph.node
    for inputs, outputs in case.data_sets:
        arrays = dict(zip((name for name in node.input if name), inputs, strict=True))
        given = {INPUTS[k]: arrays[name] for k, name in enumerate(node.input) if name}
        got = lstm_native.onnx.lstm(**given, **attributes_of(node))
        results = dict(zip(OUTPUTS, got, strict=True))
        wanted = [OUTPUTS[k] for k, name in enumerate(node.output) if name]
        for output, expected in zip(wanted, outputs, strict=True):
            assert results[output].shape == expected.shape
            assert_scaled_close(results[output], expected, "value")


@pytest.mark.parametrize("first", range(0, NODES, 50))
def test_nodes_at_random(first):
    for seed in range(first, first + 50):
        node = draw_node(seed)
        expected = node.results()
        for layout in (0, 1):
            given, wanted = (node.inputs, expected) if layout == 0 else node.turned(expected)
            got = lstm_native.onnx.lstm(**given, layout=layout, **node.attributes)
            for ours, theirs in zip(got, wanted, strict=True):
                assert ours.shape == theirs.shape, seed
                assert_scaled_close(ours, theirs, "value")


@pytest.mark.parametrize("first", range(0, 100, 50))
def test_models_of_nodes_at_random(first):
    for seed in range(first, first + 50):
        node = draw_node(seed)
        expected = node.results()
        model = Model.from_onnx(node.model())
        again = Model.from_onnx(model.to_onnx())
        lengths = node.inputs.get("sequence_lens")
        states = node.states()
        for one in (model, again):
            output, (h_n, c_n) = one(node.inputs["X"], state=states, lengths=lengths)
            y = expected[0].transpose(0, 2, 1, 3).reshape(output.shape)
            assert_scaled_close(output, y, "value")
            some = slice(None) if lengths is None else lengths > 0
            assert_scaled_close(h_n[:, some], expected[1][:, some], "value")
            assert_scaled_close(c_n[:, some], expected[2][:, some], "value")
