"""PyTorch's modules and files, and safetensors: values as PyTorch computes them, exact trips."""

import pickle
import re
import sys

import ml_dtypes
import numpy as np
import pytest
import safetensors.numpy
import safetensors.torch
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as of_numpy

from calls import BIASES, assert_same_bits, pack
from lstm_native import Cell, Model, load, pack_weights
from lstm_native._loaders._int8 import restored
from lstm_native._loaders._int8 import rounded as in_8_bits
from shapes import Shape, make_case

F32 = np.float32
NO_BIAS = (False, False, False)  # weights_transposed, has_ih_bias, has_hh_bias

LAYERS = [(1, False), (3, False), (2, True)]
stacks = pytest.mark.parametrize(("num_layers", "bidirectional"), LAYERS)


def theirs(num_layers=2, bidirectional=True, **options):
    torch.manual_seed(1)
    return torch.nn.LSTM(5, 7, num_layers, bidirectional=bidirectional, **options).eval()


def assert_computes_the_same(model, module, *, x=None):
    x = torch.randn(4, 3, 5, dtype=next(module.parameters()).dtype) if x is None else x
    with torch.no_grad():
        expected, (h_n, c_n) = module(x)
    output, (ours_h, ours_c) = model(x.numpy())
    for ours, wanted in ((output, expected), (ours_h, h_n), (ours_c, c_n)):
        np.testing.assert_allclose(ours, wanted.numpy(), rtol=0, atol=1e-5)


def assert_same_state(model, state):
    ours = model.state_dict()
    assert set(ours) == set(state)
    for key, value in state.items():
        assert np.array_equal(ours[key], value.numpy()), key


class Wrapped(torch.nn.Module):
    """A module with an LSTM inside."""

    def __init__(self, **options):
        super().__init__()
        self.encoder = torch.nn.Sequential(torch.nn.Linear(3, 5), theirs(**options))
        self.head = torch.nn.Linear(14, 2)


@stacks
@pytest.mark.parametrize("batch_first", [False, True])
@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_modules_and_back(num_layers, bidirectional, batch_first, bias, dtype):
    module = theirs(num_layers, bidirectional, batch_first=batch_first, bias=bias).to(dtype)
    model = Model.from_torch(module)
    assert model.batch_first == batch_first
    assert_computes_the_same(model, module)
    assert_same_state(model, module.state_dict())
    back = model.to_torch()
    assert (back.batch_first, back.bias, back.training) == (batch_first, bias, False)
    assert_computes_the_same(model, back)
    assert_same_state(model, back.state_dict())


def test_modules_around_an_lstm():
    wrapped = Wrapped(batch_first=True)
    for prefix in ("", "encoder", "encoder.1", "encoder.1."):
        model = Model.from_torch(wrapped, prefix)
        assert model.batch_first
        assert_same_state(model, wrapped.encoder[1].state_dict())
    assert not Model.from_torch(wrapped.state_dict()).batch_first  # it does not say


def test_a_cell():
    cell = torch.nn.LSTMCell(5, 7)
    model = Model.from_torch(cell)
    x = torch.randn(1, 3, 5)
    with torch.no_grad():
        h, c = cell(x[0])
    _, (ours_h, ours_c) = model(x.numpy())
    np.testing.assert_allclose(ours_h[0], h, rtol=0, atol=1e-5)
    np.testing.assert_allclose(ours_c[0], c, rtol=0, atol=1e-5)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_keeps_its_values(dtype, tmp_path):
    module = theirs().to(dtype)
    name = str(dtype).removeprefix("torch.")
    safetensors.torch.save_file(module.state_dict(), tmp_path / "a.safetensors")
    torch.save(module.state_dict(), tmp_path / "a.pt")
    models = [Model.from_torch(module), load(tmp_path / "a.safetensors"), load(tmp_path / "a.pt")]
    for model in models:
        assert model.weight_dtype == name
        assert_same_state(model, module.float().state_dict())


@pytest.mark.parametrize("bias", BIASES)
def test_one_bias_of_two_to_pytorch(bias):
    case = make_case(Shape("one", 4, 3, 5, 7), bias=bias)
    model = Model(case.all_weights, has_ih_bias=bias[0], has_hh_bias=bias[1])
    assert_computes_the_same(model, model.to_torch(), x=torch.from_numpy(case.x))


def test_other_cells_are_refused():
    model = Model(make_case(Shape("one", 4, 3, 5, 7)).all_weights, cell=Cell(input_forget=True))
    with pytest.raises(ValueError, match="to_torch: expected a model of the standard cell"):
        model.to_torch()


@pytest.mark.filterwarnings("ignore:LSTM with projections is not supported with oneDNN")
@pytest.mark.parametrize("bias", [False, True])
def test_projections_there_and_back(bias, tmp_path):
    module = theirs(proj_size=3, num_layers=2, bidirectional=True, bias=bias)
    model = Model.from_torch(module)
    assert model.cell == Cell(proj_size=3)
    x = torch.randn(4, 3, 5)
    assert_computes_the_same(model, module, x=x)
    assert_computes_the_same(model, model.to_torch(), x=x)
    model.save(tmp_path / "projected.safetensors")
    assert_computes_the_same(load(tmp_path / "projected.safetensors"), module, x=x)


@pytest.mark.parametrize("module", [torch.nn.GRU(5, 7), torch.nn.RNN(5, 7), torch.nn.GRUCell(5, 7)])
def test_other_cells_are_no_lstm(module):
    with pytest.raises(ValueError, match="found GRU or RNN cells at ''"):
        Model.from_torch(module)


def test_files_of_pytorch(tmp_path):
    path = tmp_path / "checkpoint.pt"
    wrapped = Wrapped()
    for value in (wrapped.state_dict(), {"epoch": 3, "model": wrapped.state_dict()}):
        torch.save(value, path)
        model = load(path, prefix="encoder.1", batch_first=True)
        assert model.batch_first
        assert model.source == f"{path}: 'encoder.1.'"
        assert_same_state(model, wrapped.encoder[1].state_dict())


def checkpoint():
    """What a training script saves, and the state_dict in it."""
    module = Wrapped()
    optimizer = torch.optim.Adam(module.parameters())
    for parameter in module.parameters():
        parameter.grad = torch.ones_like(parameter)
    optimizer.step()
    state = module.state_dict()
    value = {
        "epoch": 1,
        "optimizer": optimizer.state_dict(),
        "loss": torch.tensor(1.0),
        "model": state,
    }
    return state, value


@pytest.mark.parametrize("depth", [0, 1, 2])
def test_checkpoints_of_training_scripts(depth, tmp_path):
    state, value = checkpoint()
    for _ in range(depth):
        value = {"step": 3, "training": value}
    torch.save(value, tmp_path / "a.pt")
    lstm = {key[10:]: array for key, array in state.items() if key.startswith("encoder.1.")}
    for model in (load(tmp_path / "a.pt"), Model.from_torch(value)):
        assert model.source.endswith(": 'encoder.1.'")
        assert_same_state(model, lstm)


def test_checkpoints_with_several_state_dicts(tmp_path):
    path = tmp_path / "a.pt"
    state, value = checkpoint()
    value["ema"] = {key: array + 1 for key, array in state.items()}
    value["swa"] = {"module": state}  # the same one twice
    torch.save(value, path)
    sizes = "2 layers, 5 inputs, 7 units, both directions"
    with pytest.raises(ValueError, match="found 3; choose by prefix=") as caught:
        load(path)
    assert str(caught.value).splitlines()[1:] == [
        f"  prefix='{name}.encoder.1.': {sizes}" for name in ("model", "ema", "swa.module")
    ]
    for prefix in ("ema", "ema.", "ema.encoder.1."):
        model = load(path, prefix=prefix)
        assert model.source == f"{path}: 'ema.encoder.1.'"
        assert np.array_equal(
            model.state_dict()["bias_hh_l0"], state["encoder.1.bias_hh_l0"].numpy() + 1
        )
    assert_same_bits(
        load(path, prefix="swa").packed.unpack(), Model.from_torch(value, "model").packed.unpack()
    )


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ([torch.ones(3)], "content: expected a state_dict of tensors, found list"),
        ({}, "content: expected a state_dict of tensors, found keys none"),
        ({"epoch": 3, "more": {"a": 1}}, "expected a state_dict of tensors, found keys 'epoch', '"),
        ({"model": {"a.weight": torch.ones(3)}, "loss": torch.ones(())}, "'loss', 'model.a.weight"),
        (
            {"model": torch.nn.ModuleDict({"g": torch.nn.GRU(2, 3)}).state_dict(), "epoch": 1},
            "found GRU or RNN cells at 'model.g.'",
        ),
    ],
)
def test_files_of_pytorch_without_an_lstm(value, message, tmp_path):
    torch.save(value, tmp_path / "a.pt")
    with pytest.raises(ValueError, match=re.escape(message)):
        load(tmp_path / "a.pt")


def test_a_mapping_that_contains_itself(tmp_path):
    value = {"model": theirs(1, False).state_dict()}
    value["self"] = value
    torch.save(value, tmp_path / "a.pt")
    assert load(tmp_path / "a.pt").hidden_size == 7


class Evil:
    """Runs code where it is unpickled."""

    def __reduce__(self):
        return (pytest.fail, ("unpickled",))


def test_no_file_is_unpickled(tmp_path):
    path = tmp_path / "a.pt"
    for save in (torch.save, lambda value, path: path.write_bytes(pickle.dumps(value))):
        save({"weight_ih_l0": Evil()}, path)
        with pytest.raises(ValueError, match=r"torch\.load reads with weights_only=True"):
            load(path)


@pytest.mark.filterwarnings("ignore:.*torch.jit:DeprecationWarning")
@pytest.mark.filterwarnings("ignore:.*TorchScript archive:UserWarning")
@pytest.mark.parametrize("kind", ["module", "script", "junk"])
def test_files_that_pytorch_would_unpickle(kind, tmp_path):
    """PyTorch's advice, to unpickle the file after all, is not passed on: `load` does not."""
    path = tmp_path / "a.pt"
    if kind == "module":
        torch.save(theirs(), path)
    elif kind == "script":
        torch.jit.script(torch.nn.Linear(3, 5)).save(path)
    else:
        path.write_bytes(b"e" * 100)
    with pytest.raises(ValueError, match=r"torch\.load reads with weights_only=True") as caught:
        load(path)
    text = str(caught.value)
    assert text.endswith("; save module.state_dict(), or use Model.from_torch(module)")
    assert "\x1b" not in text
    assert "weights_only=False" not in text


@pytest.mark.parametrize("ending", [".safetensors", ".onnx"])
def test_saving_to_where_no_file_can_be(ending, tmp_path):
    model = Model.from_torch(theirs())
    folder = tmp_path / f"folder{ending}"
    folder.mkdir()
    file = tmp_path / "file"
    file.touch()
    for path, error in (
        (tmp_path / "none" / f"a{ending}", FileNotFoundError),
        (folder, IsADirectoryError),
        (file / f"a{ending}", NotADirectoryError),
    ):
        with pytest.raises(error) as caught:
            model.save(path)
        assert caught.value.filename == str(path) or caught.value.filename == path
    assert sorted(tmp_path.iterdir()) == [file, folder]


def test_saving_says_what_safetensors_says(tmp_path, monkeypatch):
    def fail(*_arguments, **_options):
        raise RuntimeError("no more")

    path = tmp_path / "a.safetensors"
    monkeypatch.setattr(safetensors.numpy, "save_file", fail)
    with pytest.raises(OSError, match=re.escape(f"{path}: can't be written: no more")):
        Model.from_torch(theirs()).save(path)
    assert not path.exists()


@stacks
@pytest.mark.parametrize("bias", BIASES)
@pytest.mark.parametrize("stored", [None, "float16", "bfloat16", "float64"])
def test_saving_is_exact(num_layers, bidirectional, bias, stored, tmp_path):
    shape = Shape("saved", 4, 3, 5, 7, num_layers=num_layers, bidirectional=bidirectional)
    case = make_case(shape, np.float64 if stored == "float64" else np.float32, bias=bias)
    half = None if stored == "float64" else stored
    packed = pack(case, weight_dtype=half)
    model = Model(packed, batch_first=True)
    path = tmp_path / "saved.safetensors"
    model.save(path)
    again = load(path)
    assert (again.batch_first, again.weight_dtype) == (True, half)
    assert_same_bits(again.packed.unpack(), packed.unpack())
    assert again.source == str(path)
    assert not load(path, batch_first=False).batch_first
    kind = {"float16": torch.float16, "bfloat16": torch.bfloat16, "float64": torch.float64}
    assert safetensors.torch.load_file(path)["weight_hh_l0"].dtype == kind.get(
        stored, torch.float32
    )


@stacks
@pytest.mark.parametrize(
    "form", [("int8", None), ("int8", "int8"), ("bfloat16", "bfloat16")], ids=str
)
def test_saving_what_products_are_computed_in(num_layers, bidirectional, form, tmp_path):
    shape = Shape("saved", 4, 3, 5, 7, num_layers=num_layers, bidirectional=bidirectional)
    case = make_case(shape)
    case.all_weights[1][3] = 0.0  # a row whose scale is 0
    weight_dtype, compute = form
    model = Model(pack(case, weight_dtype=weight_dtype, compute=compute))
    path = tmp_path / "saved.safetensors"
    model.save(path)
    again = load(path)
    assert (again.weight_dtype, again.compute) == form
    assert_same_bits(again.packed.unpack(), model.packed.unpack())
    ours, theirs = (one(case.x, state=(case.h0, case.c0)) for one in (again, model))
    assert_same_bits([ours[0], *ours[1]], [theirs[0], *theirs[1]])
    with pytest.raises(ValueError, match="to_onnx: expected a model whose inputs and hidden"):
        model.save(tmp_path / "saved.onnx")


@given(of_numpy.arrays(F32, (8, 5), elements=st.floats(-(2.0**99), 2.0**99, width=32)))
def test_rows_of_any_size_are_the_same_in_8_bits(matrix):
    """Integers and scales of what was rounded are its own."""
    weights = [matrix, np.zeros((8, 2), F32)]
    packed = pack_weights(weights, 1, False, *NO_BIAS, weight_dtype="int8")
    for rounded in packed.unpack()[:2]:
        assert_same_bits([restored(*in_8_bits(rounded))], [rounded])


def test_tiny_rows_in_8_bits(tmp_path):
    weights = [np.ones(shape, F32) for shape in ((8, 3), (8, 2), (8,), (8,))]
    weights[0][0] = [1.87e-42, -7e-43, 3e-43]
    model = Model(weights, weight_dtype="int8")
    model.save(tmp_path / "tiny.safetensors")
    again = load(tmp_path / "tiny.safetensors")
    assert_same_bits(again.packed.unpack(), model.packed.unpack())
    assert (np.sign(again.packed.unpack()[0]) == np.sign(weights[0])).all()


def test_files_in_8_bits_take_a_quarter_of_the_bytes(tmp_path):
    model = Model(make_case(Shape("wide", 4, 3, 256, 256)).all_weights)
    model.save(tmp_path / "whole.safetensors")
    model.astype("int8").save(tmp_path / "small.safetensors")
    whole, small = ((tmp_path / f"{n}.safetensors").stat().st_size for n in ("whole", "small"))
    assert small < 0.27 * whole


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda a: a.pop("weight_ih_l0_scale"), "found int8 without 'weight_ih_l0_scale'"),
        (lambda a: a.pop("weight_hh_l0"), "'weight_hh_l0_scale': expected no keys beside"),
        (lambda a: a.update(weight_hh_l0_scale=np.zeros(3, F32)), "(28,), float32, found (3,), fl"),
        (lambda a: a.update(weight_hh_l0_scale=np.ones(28)), "float32, found (28,), float64"),
        (lambda a: a.update(weight_hh_l0_scale=np.full(28, np.nan, F32)), "as Model.save writes"),
        (lambda a: a.update(weight_hh_l0_scale=np.full(28, -1, F32)), "as Model.save writes"),
        (lambda a: a["weight_hh_l0_scale"].__imul__(F32(1.0001)), "as Model.save writes"),
        (lambda a: a["weight_hh_l0"].__ifloordiv__(2), "as Model.save writes"),
        (lambda a: a["weight_hh_l0"].fill(-128), "as Model.save writes"),
        (lambda a: a.update(weight_hh_l0=np.zeros((28, 7), F32)), "_scale': expected no keys bes"),
        (lambda a: a.update(bias_ih_l0=np.zeros(28, np.int8)), "int8 without 'bias_ih_l0_scale'"),
    ],
)  # fmt: skip
def test_wrong_files_in_8_bits(change, message, tmp_path):
    path = tmp_path / "wrong.safetensors"
    Model(make_case(Shape("one", 4, 3, 5, 7)).all_weights).astype("int8").save(path)
    rewritten(path, lambda arrays, metadata: change(arrays))
    with pytest.raises(ValueError, match=re.escape(message)) as caught:
        load(path)
    assert str(caught.value).startswith(f"{path}: ")


def rewritten(path, change):
    """Change a file's arrays and what it says of them."""
    with safetensors.safe_open(path, framework="np") as file:
        metadata = dict(file.metadata())
        arrays = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118
    change(arrays, metadata)
    safetensors.numpy.save_file(arrays, path, metadata=metadata)


def says(old, new):
    def change(arrays, metadata):
        assert old in metadata["lstm_native"]
        metadata["lstm_native"] = metadata["lstm_native"].replace(old, new)

    return change


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda a, m: a.pop("weight_hh_l0"), "'weight_hh_l0': expected shape (4 * hidden"),
        (lambda a, m: a.pop("bias_hh_l0"), "'bias_hh_l0': expected has_hh_bias=True"),
        (lambda a, m: a.update(more=np.zeros(3)), "'more'"),
        (lambda a, m: m.update(lstm_native="{"), "expected JSON, found '{'"),
        (lambda a, m: m.update(lstm_native="[]"), "expected an object of version 1, found '[]'"),
        (says('"version": 1', '"version": 2'), "expected an object of version 1"),
        (says('"batch_first": false', '"batch_first": 0'), "'batch_first': expected a bool"),
        (says('"version": 1', '"reverse": 0, "version": 1'), "'reverse': expected a bool, found 0"),
        (says('"ifgo"', '"ifg"'), "gate_order: expected the letters"),
        (says('"weight_dtype": null', '"weight_dtype": 8'), "'weight_dtype': expected 'float16'"),
        (says('"weight_dtype": null', '"weight_dtype": "float16"'), "expected dtype float16"),
        (says('"weight_dtype": null', '"compute": "int8", "weight_dtype": null'), "'compute': exp"),
        (says('"sigmoid"', '"gelu"'), "'cell': activations: expected names among sigmoid, tanh"),
        (says('["sigmoid", "tanh", "tanh"], "input_forget": false', "3"), "'cell'"),
        (says('"input_forget": false', '"input_forget": 0'), "'cell': input_forget: expected a bo"),
        (says('"input_forget": false', '"clip": 3.0'), "'cell': expected an object of activations"),
        (says('"input_forget": false', '"input_forget": false, "peepholes": true'),
         "'peephole_l0': expected peepholes=True, as the metadata say, found False"),
    ],
)  # fmt: skip
def test_wrong_files(change, message, tmp_path):
    path = tmp_path / "wrong.safetensors"
    Model(make_case(Shape("one", 4, 3, 5, 7)).all_weights).save(path)
    rewritten(path, change)
    with pytest.raises(ValueError, match=re.escape(message)) as caught:
        load(path)
    assert str(caught.value).startswith(f"{path}: ")


def test_a_gate_order_of_a_file(tmp_path):
    path = tmp_path / "order.safetensors"
    case = make_case(Shape("one", 4, 3, 5, 7))
    Model(case.all_weights).save(path)

    def swap(arrays, metadata):  # i, f, g, o to i, o, g, f
        for key, array in arrays.items():
            i, f, g, o = np.split(array, 4)
            arrays[key] = np.concatenate([i, o, g, f])
        says('"ifgo"', '"iogf"')(arrays, metadata)

    rewritten(path, swap)
    assert_same_bits(load(path).packed.unpack(), case.all_weights)


@pytest.mark.parametrize("kind", ["plain.safetensors", "int8.safetensors", "plain.pt"])
def test_truncated_and_damaged_files(kind, tmp_path):
    """Whatever a file holds, it is a model or an error that names it."""
    path = tmp_path / kind
    module = theirs(1, False)
    if kind == "plain.pt":
        torch.save(module.state_dict(), path)
    elif kind == "int8.safetensors":
        Model.from_torch(module).astype("int8").save(path)
    else:
        safetensors.torch.save_file(module.state_dict(), path)
    whole = path.read_bytes()

    def assert_named(content):
        path.write_bytes(content)
        message = str(path)
        try:
            load(path)
        except ValueError as error:
            message = str(error)
        assert str(path) in message

    for size in (0, 1, 7, 8, 60, len(whole) // 2, len(whole) - 1):
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


def test_bfloat16_arrays_of_numpy():
    case = make_case(Shape("one", 4, 3, 5, 7))
    names = ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
    state = {
        name: array.astype(ml_dtypes.bfloat16)
        for name, array in zip(names, case.all_weights, strict=True)
    }
    model = Model.from_torch(state)
    assert model.weight_dtype == "bfloat16"
    assert_same_bits(model.packed.unpack(), [array.astype(np.float32) for array in state.values()])


def test_a_missing_library_says_what_to_install(tmp_path, monkeypatch):
    path = tmp_path / "a.safetensors"
    Model(make_case(Shape("one", 4, 3, 5, 7)).all_weights).save(path)
    text = "a safetensors file needs the package safetensors, which is not installed: pip install"
    for call in (load, load(path).save):
        with monkeypatch.context() as patch:
            patch.setitem(sys.modules, "safetensors", None)
            patch.delitem(sys.modules, "safetensors.numpy")
            with pytest.raises(ImportError, match=f"{text} safetensors$"):
                call(path)
