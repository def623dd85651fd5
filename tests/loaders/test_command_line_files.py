"""The commands of `python -m lstm_native` that read a model file."""

import numpy as np
import pytest
import safetensors.numpy

from calls import assert_same_bits
from lstm_native import Cell, Model, explain, load
from lstm_native._command_line import main
from projected_cases import projected_case
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


@pytest.mark.parametrize("bidirectional", [False, True])
def test_inspect_a_projection(bidirectional, tmp_path, capsys):
    case = projected_case(Shape("projected", 4, 3, 5, 7, 2, bidirectional), 3, np.float32)
    cell = Cell(proj_size=3)
    Model(case.all_weights, 2, bidirectional, cell=cell).save(tmp_path / "m.safetensors")
    assert main(["inspect", str(tmp_path / "m.safetensors")]) == 0
    sizes, cost = capsys.readouterr().out.splitlines()[1:]
    both = ", both directions" if bidirectional else ""
    assert sizes == f"  prefix '': 2 layers, 5 inputs, 7 units, projected to 3{both}"
    expected = explain(
        seq_len=1, batch=1, input_size=5, hidden_size=7, num_layers=2,
        bidirectional=bidirectional, cell=cell,
    )  # fmt: skip
    assert f"{expected.weight_bytes / 1e6:.4g} MB of weights" in cost
    assert f" {expected.operations / 1e6:.4g} million operations" in cost


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
    listed = "".join(
        f"\n  --lstm {name}: 1 layer, 5 inputs, 7 units{more}"
        for name, more in (("a.", ""), ("b.", ""), ("p.", ", projected to 3"))
    )
    text = f"lstm_native: {path}: expected one LSTM, found 3; choose by --lstm:{listed}\n"
    assert capsys.readouterr().err == text
    assert main(["bench", str(path), "--lstm", "c d"]) == 1
    text = f"lstm_native: {path}: --lstm: expected one of its LSTMs, got 'c d':{listed}\n"
    assert capsys.readouterr().err == text


def test_an_output_that_cannot_be_written(path, capsys, monkeypatch):
    def refuse(*_arguments, **_options):
        raise OSError(28, "No space left on device", "out.safetensors")

    monkeypatch.setattr(safetensors.numpy, "save_file", refuse)
    out = str(path.with_name("out.safetensors"))
    assert main(["convert", str(path), "--lstm", "a", "-o", out]) == 1
    error = capsys.readouterr().err
    assert "No space left on device" in error
    assert len(error.splitlines()) == 1


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
    call = " (a call, as no stream has a reverse direction)" if bidirectional else ""
    whats = (f"one step, batch 2{call}", "3 steps, batch 2")
    for line, what in zip(lines[2:], whats, strict=True):
        assert line.startswith(f"{what}: lstm_native ")
        assert ", onnxruntime " in line


def test_bench_of_a_reverse_direction(tmp_path, capsys):
    path = str(tmp_path / "a.safetensors")
    Model(CASE.all_weights, direction="reverse").save(path)
    assert main(["bench", path, "--steps", "3", "--threads", "1"]) == 0
    step, run = capsys.readouterr().out.splitlines()[2:]
    assert step.startswith("one step, batch 1 (a call, as no stream has a reverse direction): lstm")
    for line in (step, run):
        assert ", onnxruntime " in line


@pytest.mark.parametrize(
    ("dtype", "reason"),
    [
        ("float64", ""),  # in the words of onnxruntime
        ("int8", "ONNX has no LSTM in int8"),
        ("projected", "ONNX has no LSTM with a projection"),
        ("compute", "ONNX has no LSTM with bfloat16 products"),
    ],
)
def test_bench_without_onnxruntime(dtype, reason, tmp_path, capsys):
    path = str(tmp_path / "a.safetensors")
    if dtype == "projected":
        case = projected_case(Shape("projected", 4, 3, 5, 7), 3, np.float32)
        model = Model(case.all_weights, cell=Cell(proj_size=3))
    elif dtype == "compute":
        model = MODEL.astype("bfloat16", compute="bfloat16")
    else:
        model = MODEL.astype(dtype)
    model.save(path)
    assert main(["bench", path, "--steps", "3", "--threads", "1"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 5
    for line in lines[2:4]:
        assert ": lstm_native " in line
        assert "onnxruntime" not in line
    assert lines[4].startswith(f"without onnxruntime: {reason}")
    assert len(lines[4]) > len("without onnxruntime: ")


@pytest.mark.parametrize("steps", [10**15, 2**63 - 1])
def test_bench_of_more_than_fits_into_memory(steps, path, capsys):
    assert main(["bench", str(path), "--lstm", "a", "--steps", str(steps)]) == 2
    error = capsys.readouterr().err
    assert error.startswith(f"lstm_native: --steps {steps}, --batch 1: expected what fits into mem")
    assert len(error.splitlines()) == 1
