"""Cells other than the standard one in files: there and back, and the same in onnxruntime."""

import dataclasses

import numpy as np
import onnx
import onnxruntime
import pytest

from calls import assert_same_bits
from cell_cases import CELLS, both_cells, case_for
from lstm_native import Cell, Model, load
from shapes import Shape, make_case
from tolerances import assert_scaled_close

WAYS = [(1, False, "forward"), (2, False, "reverse"), (2, True, "forward")]


def model_of(name, num_layers, bidirectional, direction):
    cell, _ = both_cells(name, bidirectional)
    shape = Shape("file", 6, 3, 5, 7, num_layers, bidirectional)
    case = case_for(cell, shape, np.float32)
    return case, Model(case.all_weights, num_layers, bidirectional, cell=cell, direction=direction)


@pytest.mark.parametrize(("num_layers", "bidirectional", "direction"), WAYS)
@pytest.mark.parametrize("name", CELLS)
@pytest.mark.parametrize("ending", [".safetensors", ".onnx"])
def test_there_and_back(ending, name, num_layers, bidirectional, direction, tmp_path):
    case, model = model_of(name, num_layers, bidirectional, direction)
    path = tmp_path / f"a{ending}"
    model.save(path)
    again = load(path)
    assert again.direction == direction
    assert_same_bits(again.packed.unpack(), model.packed.unpack())
    assert again.cell == model.cell
    got, expected = (one(case.x, state=(case.h0, case.c0)) for one in (again, model))
    assert_same_bits((got[0], *got[1]), (expected[0], *expected[1]))


EXACT = Cell(
    activations=("hardsigmoid", "leakyrelu", "tanh"),
    alphas=(0.3, 0.1),
    betas=(0.7,),
    clip=2.3,
    recurrent_dropout=0.1,
)


@pytest.mark.parametrize("bidirectional", [False, True])
@pytest.mark.parametrize("ending", [".safetensors", ".onnx"])
def test_what_32_bits_would_round(ending, bidirectional, tmp_path):
    weights = make_case(Shape("one", 6, 3, 5, 7, bidirectional=bidirectional)).all_weights
    Model(weights, 1, bidirectional, cell=EXACT).save(tmp_path / f"a{ending}")
    assert load(tmp_path / f"a{ending}").cell == EXACT


def test_a_graph_that_was_changed_since(tmp_path):
    path = tmp_path / "a.onnx"
    proto = Model(make_case(Shape("one", 6, 3, 5, 7)).all_weights, cell=EXACT).to_onnx()
    (node,) = (node for node in proto.graph.node if node.op_type == "LSTM")
    (clip,) = (attribute for attribute in node.attribute if attribute.name == "clip")
    clip.f = 4.5
    onnx.save(proto, path)
    assert load(path).cell == dataclasses.replace(EXACT, clip=4.5)


@pytest.mark.parametrize(("num_layers", "bidirectional", "direction"), WAYS)
@pytest.mark.parametrize("name", CELLS)
def test_in_onnxruntime(name, num_layers, bidirectional, direction):
    case, model = model_of(name, num_layers, bidirectional, direction)
    session = onnxruntime.InferenceSession(model.to_onnx().SerializeToString())
    expected = session.run(None, {"input": case.x, "h_0": case.h0, "c_0": case.c0})
    output, states = model(case.x, state=(case.h0, case.c0))
    for ours, theirs in zip((output, *states), expected, strict=True):
        assert_scaled_close(ours, theirs, "value")
