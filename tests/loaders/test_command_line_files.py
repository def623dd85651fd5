"""The commands of `python -m lstm_native` that read a model file."""

import numpy as np
import pytest
import safetensors.numpy

from calls import assert_same_bits
from lstm_native import Model, load
from lstm_native._command_line import main
from shapes import Shape, make_case

CASE = make_case(Shape("one", 6, 3, 5, 7))
MODEL = Model(CASE.all_weights)


@pytest.fixture
def path(tmp_path):
    """A file with two LSTMs, and one that lacks an array."""
    state = {f"{name}.{key}": a for name in ("a", "b") for key, a in MODEL.state_dict().items()}
    state["p.weight_ih_l0"] = np.zeros((28, 5), np.float32)
    state["p.weight_hh_l0"] = np.zeros((28, 3), np.float32)
    safetensors.numpy.save_file(state, tmp_path / "m.safetensors")
    return tmp_path / "m.safetensors"


def test_inspect(path, capsys):
    assert main(["inspect", str(path)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == f"{path}: 3 LSTMs"
    assert lines[1] == "  prefix 'a.': 1 layer, 5 inputs, 7 units"
    assert lines[2].startswith(
        "    float32, 0.001344 MB of weights; a step of one sequence: 0.000672 million operations, "
    )
    assert lines[3] == "  prefix 'b.': 1 layer, 5 inputs, 7 units"
    assert "can't be loaded: " in lines[6]
    assert "key 'p.weight_hr_l0': expected an array of shape (3, 7), found none" in lines[6]


def test_inspect_onnx(tmp_path, capsys):
    MODEL.save(tmp_path / "m.onnx")
    assert main(["inspect", str(tmp_path / "m.onnx")]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == f"{tmp_path / 'm.onnx'}: 1 LSTM"
    assert lines[1].endswith(": 1 layer, 5 inputs, 7 units")


@pytest.mark.parametrize("ending", [".safetensors", ".onnx"])
@pytest.mark.parametrize("dtype", [None, "bfloat16", "float16"])
def test_convert(path, ending, dtype, capsys):
    target = path.with_name(f"out{ending}")
    options = [] if dtype is None else ["--dtype", dtype]
    assert main(["convert", str(path), "--lstm", "b", "-o", str(target), *options]) == 0
    assert capsys.readouterr().out.startswith(f"{target}: <Model: 1 layer, 5 inputs, 7 units")
    again = load(target)
    assert again.weight_dtype == dtype
    expected = MODEL if dtype is None else MODEL.astype(dtype)
    assert_same_bits(again.packed.unpack(), expected.packed.unpack())


def test_convert_to_8_bits(path, capsys):
    target = path.with_name("out.safetensors")
    options = ["--lstm", "b", "--dtype", "int8"]
    assert main(["convert", str(path), "-o", str(target), *options]) == 0
    assert "float32, int8 weights" in capsys.readouterr().out
    again = load(target)
    assert again.weight_dtype == "int8"
    assert_same_bits(again.packed.unpack(), MODEL.astype("int8").packed.unpack())
    assert main(["convert", str(path), "-o", str(path.with_name("out.onnx")), *options]) == 1
    assert "to_onnx: expected a model whose inputs" in capsys.readouterr().err


def test_convert_says_what_is_wrong(path, capsys):
    assert main(["convert", str(path), "-o", str(path.with_name("out.onnx"))]) == 1
    assert "found 3; choose by prefix=" in capsys.readouterr().err
    assert main(["convert", str(path), "--lstm", "a", "-o", "out.txt"]) == 1
    assert "path: expected a name that ends in .safetensors, .onnx" in capsys.readouterr().err


@pytest.mark.parametrize("bidirectional", [False, True])
@pytest.mark.parametrize("batch_first", [False, True])
def test_bench(bidirectional, batch_first, tmp_path, capsys):
    shape = Shape("two", 6, 3, 5, 7, bidirectional=bidirectional)
    weights = make_case(shape).all_weights
    path = str(tmp_path / "a.safetensors")
    Model(weights, 1, bidirectional, batch_first=batch_first).save(path)
    assert main(["bench", path, "--steps", "3", "--batch", "2", "--threads", "1"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[1] == "medians of 25 rounds, threads: 1"
    for line, what in zip(lines[2:], ("one step, batch 2", "3 steps, batch 2"), strict=True):
        assert line.startswith(f"{what}: lstm_native ")
        assert ", onnxruntime " in line
