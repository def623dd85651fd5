"""Keras: layers, models and files against Keras itself (on PyTorch), and files of Keras 2."""

import json
import os
import re
import zipfile

import h5py
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lstm_native import Model, load
from lstm_native._command_line import main

os.environ["KERAS_BACKEND"] = "torch"
import keras
from keras import layers

T, N, I, H = 6, 3, 5, 7  # noqa: E741
ENDINGS = (".keras", ".h5")
both_files = pytest.mark.parametrize("ending", ENDINGS)
# Keras' own arrays, by its own hands.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")


@pytest.fixture(autouse=True)
def _seed():
    keras.utils.set_random_seed(1)
    keras.utils.clear_session()


def with_biases(model):
    """Draw all weights anew: Keras begins with biases of 0 and 1."""
    rng = np.random.default_rng(1)
    model.set_weights([rng.uniform(-0.5, 0.5, w.shape) for w in model.get_weights()])
    return model


def sequential(*stack):
    return with_biases(keras.Sequential([layers.Input((None, I)), *stack]))


def lstm(name=None, units=H, sequences=True, **options):
    return layers.LSTM(units, return_sequences=sequences, name=name, **options)


def drawn(*shape):
    return np.random.default_rng(2).uniform(-1, 1, shape).astype(np.float32)


def saved(model, path):
    model.save(path)
    return path


def assert_close(ours, theirs):
    np.testing.assert_allclose(ours, np.asarray(theirs), rtol=0, atol=1e-5)


def predicted(model, x):
    return model.predict(x, verbose=0)


@both_files
@pytest.mark.parametrize("use_bias", [True, False])
def test_one_layer(ending, use_bias, tmp_path):
    theirs = sequential(lstm("rnn", use_bias=use_bias))
    path = saved(theirs, tmp_path / f"a{ending}")
    x = drawn(N, T, I)
    for model in (load(path), load(path, layer="rnn"), Model.from_keras(path)):
        assert (model.batch_first, model.has_ih_bias, model.has_hh_bias) == (True, use_bias, False)
        assert model.source == f"{path}: 'rnn'"
        assert_close(model(x)[0], predicted(theirs, x))


@both_files
def test_inspect(ending, tmp_path, capsys):
    path = saved(sequential(lstm("rnn")), tmp_path / f"a{ending}")
    assert main(["inspect", str(path)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[:2] == [f"{path}: 1 LSTM", f"  layer 'rnn': 1 layer, {I} inputs, {H} units"]


@both_files
def test_the_last_step_alone(ending, tmp_path):
    theirs = sequential(layers.Bidirectional(lstm(sequences=False)))
    _, (h_n, _) = load(saved(theirs, tmp_path / f"a{ending}"))(drawn(N, T, I))
    assert_close(np.concatenate([h_n[0], h_n[1]], 1), predicted(theirs, drawn(N, T, I)))


@both_files
def test_stacks(ending, tmp_path):
    x = drawn(N, T, I)
    theirs = sequential(
        layers.Masking(), lstm(), layers.Dropout(0.5), lstm(), layers.SpatialDropout1D(0.1), lstm()
    )
    model = load(saved(theirs, tmp_path / f"a{ending}"))
    assert model.num_layers == 3
    assert_close(model(x)[0], predicted(theirs, x))
    theirs = sequential(layers.Bidirectional(lstm()), layers.Bidirectional(lstm()))
    path = saved(theirs, tmp_path / f"b{ending}")
    for layer in (None, theirs.layers[1].name):
        model = load(path, layer=layer)
        assert (model.num_layers, model.bidirectional) == (2, True)
        assert_close(model(x)[0], predicted(theirs, x))


@both_files
def test_layers_that_are_no_stack(ending, tmp_path):
    theirs = sequential(
        lstm("wide", 9),
        lstm("narrow"),
        layers.Dense(4, name="dense"),
        lstm("last", sequences=False),
        layers.RepeatVector(3),
        layers.Bidirectional(lstm(), name="decoder"),
    )
    path = saved(theirs, tmp_path / f"a{ending}")
    with pytest.raises(ValueError, match="found 4; choose by layer=") as caught:
        load(path)
    assert str(caught.value).splitlines()[1:] == [
        "  layer='wide': 1 layer, 5 inputs, 9 units",
        "  layer='narrow': 1 layer, 9 inputs, 7 units",
        "  layer='last': 1 layer, 4 inputs, 7 units",
        "  layer='decoder': 1 layer, 7 inputs, 7 units, both directions",
    ]
    x = drawn(N, T, 9)
    assert_close(load(path, layer="narrow")(x)[0], theirs.get_layer("narrow")(x).detach())
    with pytest.raises(ValueError, match="layer: expected one of its LSTMs, got 'dense'"):
        load(path, layer="dense")


@both_files
def test_functional_models(ending, tmp_path):
    """The order of layers is not that of their names; one output is read twice."""
    x = keras.Input((None, I))
    first = lstm("first")(x)
    second = lstm("second")(layers.Dropout(0.5)(first))
    fork = lstm("fork")(second)
    other = lstm("other")(second)
    theirs = with_biases(keras.Model(x, [fork, other]))
    path = saved(theirs, tmp_path / f"a{ending}")
    with pytest.raises(ValueError, match="found 3; choose by layer="):
        load(path)
    model = load(path, layer="second")
    assert model.num_layers == 2
    inner = keras.Model(x, second)
    assert_close(model(drawn(N, T, I))[0], predicted(inner, drawn(N, T, I)))


@both_files
def test_models_inside_models(ending, tmp_path):
    encoder = keras.Sequential(
        [layers.Input((None, I)), lstm("rnn"), lstm("rnn_2")], name="encoder"
    )
    decoder = keras.Sequential(
        [layers.Input((None, H)), lstm("rnn"), lstm("rnn_2")], name="decoder"
    )
    x = keras.Input((None, I))
    theirs = with_biases(keras.Model(x, decoder(layers.Dense(H)(encoder(x)))))
    path = saved(theirs, tmp_path / f"a{ending}")
    for inner in (encoder, decoder):
        x = drawn(N, T, inner.input_shape[-1])
        for model in (
            load(path, layer=f"{inner.name}/rnn"),
            Model.from_keras(theirs, f"{inner.name}/rnn_2"),
        ):
            assert_close(model(x)[0], predicted(inner, x))


def test_layers_and_models_in_memory():
    x = drawn(N, T, I)
    for layer in (lstm(), layers.Bidirectional(lstm())):
        layer.build((None, None, I))
        with_biases(layer)
        assert_close(Model.from_keras(layer)(x)[0], layer(x).detach())
    theirs = sequential(lstm(), lstm())
    assert_close(Model.from_keras(theirs)(x)[0], predicted(theirs, x))

    class Own(keras.Model):
        def __init__(self):
            super().__init__()
            self.rnn = lstm("rnn")

        def call(self, x):
            return self.rnn(x)

    own = Own()
    own(x)
    assert_close(Model.from_keras(own)(x)[0], predicted(own, x))
    with pytest.raises(TypeError, match="layer: expected a Keras layer or model, or a path"):
        Model.from_keras(3)


def test_masks_at_the_end_are_lengths():
    theirs = sequential(layers.Masking(), lstm(zero_output_for_mask=True))
    x = drawn(N, T, I)
    lengths = [6, 2, 4]
    for row, length in enumerate(lengths):
        x[row, length:] = 0
    assert_close(Model.from_keras(theirs)(x, lengths=lengths)[0], predicted(theirs, x))


def test_states_are_those_of_a_call():
    layer = lstm()
    x, h, c = drawn(N, T, I), drawn(N, H), drawn(N, H) / 2
    expected = layer(x, initial_state=[h, c]).detach()
    assert_close(Model.from_keras(layer)(x, state=(h[None], c[None]))[0], expected)


ACTIVATIONS = ("hard_sigmoid", "relu", "softsign", "softplus", "linear", "elu", "leaky_relu")


@both_files
@pytest.mark.parametrize("name", ACTIVATIONS)
def test_other_activations(name, ending, tmp_path):
    x = drawn(N, T, I)
    for layer in (
        lstm("rnn", activation=name),
        lstm("rnn", recurrent_activation=name),
        layers.Bidirectional(
            lstm(recurrent_activation=name), backward_layer=lstm("back", go_backwards=True)
        ),
    ):
        theirs = sequential(layer)
        for model in (Model.from_keras(theirs), load(saved(theirs, tmp_path / f"a{ending}"))):
            assert_close(model(x)[0], predicted(theirs, x))


@both_files
def test_a_layer_that_goes_backwards_to_one_step(ending, tmp_path):
    theirs = sequential(lstm("rnn", sequences=False, go_backwards=True))
    x = drawn(N, T, I)
    for model in (Model.from_keras(theirs), load(saved(theirs, tmp_path / f"a{ending}"))):
        assert model.direction == "reverse"
        assert_close(model(x)[1][0][0], predicted(theirs, x))


REFUSED = [
    (
        lambda: layers.Bidirectional(
            lstm(), backward_layer=lstm(units=H + 1, go_backwards=True), name="rnn"
        ),
        f"layer 'rnn', units of its backward_layer: expected {H}, as of its layer, found {H + 1}",
    ),
    (lambda: lstm("rnn", go_backwards=True), "go_backwards of layer 'rnn': not supported yet"),
    (
        lambda: lstm("rnn", activation="gelu"),
        "layer 'rnn', activation: expected one of sigmoid, tanh, relu,",
    ),
    *(
        (
            lambda mode=mode: layers.Bidirectional(lstm(), merge_mode=mode, name="rnn"),
            f"layer 'rnn', merge_mode: expected 'concat', found '{mode}'",
        )
        for mode in ("sum", "mul", "ave")
    ),
]


@both_files
@pytest.mark.parametrize(("make", "message"), REFUSED)
def test_what_is_not_supported_is_refused_by_name(make, message, ending, tmp_path):
    theirs = sequential(make())
    with pytest.raises(ValueError, match=re.escape(message)):
        load(saved(theirs, tmp_path / f"a{ending}"))
    with pytest.raises(ValueError, match=re.escape(message)):
        Model.from_keras(theirs)


@both_files
def test_files_without_an_lstm(ending, tmp_path):
    path = saved(sequential(layers.GRU(3), layers.Dense(2)), tmp_path / f"a{ending}")
    with pytest.raises(ValueError, match="layers: expected an LSTM, or a Bidirectional one, found"):
        load(path)


def test_weights_without_a_configuration(tmp_path):
    path = tmp_path / "a.weights.h5"
    sequential(lstm()).save_weights(path)
    with pytest.raises(ValueError, match=r"attribute 'model_config': expected .*found none"):
        load(path)


def keras_2_file(path, layer_names, class_names):
    """A file as Keras 2 writes it, by its documented layout: `keras_version`, names with `:0`."""
    rng = np.random.default_rng(3)
    entries = []
    with h5py.File(path, "w") as file:
        weights = file.create_group("model_weights")
        for name, kind in zip(layer_names, class_names, strict=True):
            group = weights.create_group(name)
            config = {
                "name": name, "units": H, "activation": "tanh", "use_bias": True,
                "recurrent_activation": "sigmoid", "return_sequences": True, "time_major": False,
            }  # fmt: skip
            ways = [f"{name}/lstm_cell"]
            if kind == "Bidirectional":
                ways = [f"{name}/forward_lstm/lstm_cell", f"{name}/backward_lstm/lstm_cell"]
                inner = {"class_name": "LSTM", "config": {**config, "name": "lstm"}}
                config = {"name": name, "merge_mode": "concat", "layer": inner}
            inputs = I if not entries else 2 * H
            shapes = {"kernel": (inputs, 4 * H), "recurrent_kernel": (H, 4 * H), "bias": (4 * H,)}
            names = [f"{way}/{part}:0" for way in ways for part in shapes]
            for full in names:
                shape = shapes[full.split("/")[-1].removesuffix(":0")]
                group[full] = rng.uniform(-0.5, 0.5, shape).astype(np.float32)
            group.attrs["weight_names"] = [full.encode() for full in names]
            entries.append({"class_name": kind, "config": config})
        config = {"class_name": "Sequential", "config": {"name": "s", "layers": entries}}
        file.attrs["model_config"] = json.dumps(config).encode()
        file.attrs["keras_version"] = b"2.11.0"
    return path


def test_files_of_keras_2(tmp_path):
    """Read by Keras 3, which takes files of Keras 2 of this form."""
    path = keras_2_file(tmp_path / "a.h5", ["bi", "bi_2"], ["Bidirectional"] * 2)
    model = load(path)
    assert (model.num_layers, model.bidirectional, model.hidden_size) == (2, True, H)
    theirs = keras.Sequential([layers.Input((None, I))])
    with h5py.File(path) as file:
        for name in ("bi", "bi_2"):
            layer = layers.Bidirectional(lstm())
            theirs.add(layer)
            group = file["model_weights"][name]
            layer.set_weights([group[part][()] for part in group.attrs["weight_names"]])
    x = drawn(N, T, I)
    assert_close(model(x)[0], predicted(theirs, x))


def test_older_archives_name_groups_by_class(tmp_path):
    """Without names as attributes, and in the folder that Keras 2.12 to 2.15 wrote."""
    theirs = sequential(lstm(), layers.Dense(4), lstm("x"))
    path = saved(theirs, tmp_path / "a.keras")
    with zipfile.ZipFile(path) as archive:
        parts = {name: archive.read(name) for name in archive.namelist()}
    (tmp_path / "w.h5").write_bytes(parts["model.weights.h5"])
    with h5py.File(tmp_path / "w.h5", "a") as file:
        for name in ("lstm", "lstm_1", "dense"):
            del file[f"layers/{name}/vars"].attrs["name"]
        file.move("layers", "_layer_checkpoint_dependencies")
    parts["model.weights.h5"] = (tmp_path / "w.h5").read_bytes()
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in parts.items():
            archive.writestr(name, content)
    x = drawn(N, T, 4)
    assert_close(load(path, layer="x")(x)[0], theirs.get_layer("x")(x).detach())


def damaged_h5(path, change):
    with h5py.File(path, "a") as file:
        change(file)


CELL = "model_weights/rnn/sequential/rnn/lstm_cell"


def put(key, array):
    def change(file):
        del file[f"{CELL}/{key}"]
        file[f"{CELL}/{key}"] = array

    return change


def list_fewer(file):
    group = file["model_weights/rnn"]
    group.attrs["weight_names"] = group.attrs["weight_names"][:2]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda file: file.pop("model_weights/rnn"), "key 'model_weights/rnn': expected the"),
        (list_fewer, "layer 'rnn', arrays: expected 3 (kernel, recurrent_kernel, bias of each"),
        (put("kernel", np.zeros((5, 27), np.float32)), "kernel: expected shape (input_size, 28)"),
        (put("recurrent_kernel", np.zeros((6, 28))), "recurrent_kernel: expected shape (7, 28)"),
        (put("bias", np.zeros(28)), "bias: expected dtype float32, as of kernel, found float64"),
        (put("bias", np.zeros(7, np.float32)), "layer 'rnn', bias: expected shape (28,), "),
        (put("bias", np.zeros(28, np.int8)), "bias: expected dtype float16, float32 or float64"),
        (lambda file: file.pop(f"{CELL}/bias"), "found one that can't be read"),
    ],
)  # fmt: skip
def test_wrong_files(change, message, tmp_path):
    path = saved(sequential(lstm("rnn")), tmp_path / "a.h5")
    damaged_h5(path, change)
    with pytest.raises(ValueError, match=re.escape(message)) as caught:
        load(path)
    assert str(caught.value).startswith(f"{path}: ")


@both_files
def test_truncated_and_damaged_files(ending, tmp_path):
    """Whatever a file holds, it is a model or an error that names it."""
    whole = saved(sequential(lstm()), tmp_path / f"whole{ending}").read_bytes()
    path = tmp_path / f"a{ending}"

    def assert_named(content):
        path.write_bytes(content)
        message = str(path)
        try:
            load(path)
        except ValueError as error:
            message = str(error)
        assert str(path) in message

    for size in (0, 1, 50, len(whole) // 2, len(whole) - 1):
        assert_named(whole[:size])

    @given(place=st.integers(0, len(whole) - 1), byte=st.integers(0, 255))
    def one_byte_differs(place, byte):
        assert_named(whole[:place] + bytes([byte]) + whole[place + 1 :])

    @given(content=st.binary(max_size=200))
    def any_bytes(content):
        assert_named(content)

    one_byte_differs()
    any_bytes()
