"""Parameters of flax' cells and the flat weight of jax.experimental.rnn, against both."""

import re

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from jax.experimental import rnn

from lstm_native import Model

T, N, I, H = 6, 3, 5, 7  # noqa: E741
X = np.random.default_rng(2).uniform(-1, 1, (N, T, I)).astype(np.float32)


def assert_close(ours, theirs):
    np.testing.assert_allclose(ours, np.asarray(theirs), rtol=0, atol=1e-5)


def initialised(module):
    """A module's parameters, drawn anew: flax begins with biases of 0."""
    params = module.init(jax.random.key(0), X)
    leaves, tree = jax.tree.flatten(params)
    keys = jax.random.split(jax.random.key(1), len(leaves))
    drawn = [
        jax.random.uniform(key, leaf.shape, minval=-0.5, maxval=0.5)
        for key, leaf in zip(keys, leaves, strict=True)
    ]
    return jax.tree.unflatten(tree, drawn)


@pytest.mark.parametrize("cell", [nn.LSTMCell, nn.OptimizedLSTMCell])
def test_a_cell_of_linen(cell):
    module = nn.RNN(cell(H))
    params = initialised(module)
    expected = module.apply(params, X)
    for tree in (params, params["params"], params["params"]["cell"]):
        model = Model.from_jax(tree, batch_first=True)
        assert (model.input_size, model.hidden_size, model.has_ih_bias) == (I, H, False)
        assert_close(model(X)[0], expected)


@pytest.mark.parametrize("cell", [nnx.LSTMCell, nnx.OptimizedLSTMCell])
def test_a_cell_of_nnx(cell):
    module = nnx.RNN(cell(I, H, rngs=nnx.Rngs(0)))
    params = nnx.to_pure_dict(nnx.state(module, nnx.Param))
    assert_close(Model.from_jax(params, batch_first=True)(X)[0], module(X))


class Stack(nn.Module):
    @nn.compact
    def __call__(self, x):
        for _ in range(2):
            forward = nn.RNN(nn.OptimizedLSTMCell(H))
            backward = nn.RNN(nn.OptimizedLSTMCell(H))
            x = nn.Bidirectional(forward, backward)(x)
        return x


def test_a_stack_of_both_directions():
    module = Stack()
    params = initialised(module)
    cells = params["params"]
    names = [f"OptimizedLSTMCell_{k}" for k in range(4)]
    assert sorted(cells) == names
    model = Model.from_jax(
        [(cells[names[0]], cells[names[1]]), (cells[names[2]], cells[names[3]])], batch_first=True
    )
    assert (model.num_layers, model.bidirectional) == (2, True)
    assert_close(model(X)[0], module.apply(params, X))
    with pytest.raises(ValueError, match="cells: expected one; several are passed as a list"):
        Model.from_jax(params)


def test_bfloat16_keeps_its_values():
    params = initialised(nn.RNN(nn.LSTMCell(H)))
    half = jax.tree.map(lambda a: a.astype(jnp.bfloat16), params)
    model = Model.from_jax(half)
    assert model.weight_dtype == "bfloat16"
    whole = Model.from_jax(jax.tree.map(lambda a: a.astype(jnp.float32), half))
    for ours, expected in zip(model.packed.unpack(), whole.packed.unpack(), strict=True):
        assert np.array_equal(ours, expected)


@pytest.mark.parametrize(("num_layers", "bidirectional"), [(1, False), (3, False), (2, True)])
def test_the_flat_weight(num_layers, bidirectional):
    sizes = {
        "input_size": I, "hidden_size": H, "num_layers": num_layers, "bidirectional": bidirectional,
    }  # fmt: skip
    weight = rnn.init_lstm_weight(jax.random.key(3), **sizes)
    states = jnp.zeros((num_layers * (1 + bidirectional), N, H))
    lengths = jnp.full(N, T, jnp.int32)
    unpacked = rnn.unpack_lstm_weights(weight, **sizes)
    expected = rnn.lstm_ref(X, states, states, *unpacked, lengths, dropout=0.0, **sizes)
    output, (h_n, c_n) = Model.from_jax(weight, batch_first=True, **sizes)(X)
    for ours, theirs in zip((output, h_n, c_n), expected, strict=True):
        assert_close(ours, theirs)
    with pytest.raises(ValueError, match=rf"params: expected {weight.size} elements .*got 3"):
        Model.from_jax(weight[:3], **sizes)


def cell():
    return jax.tree.map(np.asarray, initialised(nn.RNN(nn.LSTMCell(H))))["params"]["cell"]


def without(key):
    return {name: value for name, value in cell().items() if name != key}


def replaced(key, part, value):
    params = cell()
    return {**params, key: {**params[key], part: value}}


@pytest.mark.parametrize(
    ("params", "message"),
    [
        (without("ig"), "params: key 'ig': expected a kernel, found none"),
        (without("hf"), "params: key 'hf': expected a kernel, found none"),
        ({"rnn": without("hf")}, "params: key 'rnn.hf': expected a kernel, found none"),
        ({"hi": {"bias": 3}}, "key 'hi.kernel': expected an array of shape (any, any), found none"),
        (replaced("if", "kernel", np.zeros((5, 6))), "'if.kernel': expected shape (5, 7), found"),
        (replaced("hg", "bias", np.zeros(6)), "key 'hg.bias': expected shape (7,), found (6,)"),
        (replaced("hg", "bias", np.zeros(7)), "'hg.bias': expected dtype float32, as of the recur"),
        (replaced("hg", "bias", np.zeros(7, int)), "'hg.bias': expected dtype float32, float64"),
        ({"dense": {"kernel": np.zeros((3, 4))}}, "keys: expected those of an LSTM cell, such as"),
        ({}, "keys: expected those of an LSTM cell, such as 'hi' and 'ii', found no key"),
        ([], "params: layers: expected at least one, found none"),
        ([cell(), (cell(), cell())], "params[1]: cells: expected 1, as of the first layer, found"),
        ([cell(), cell()], "key 'ii.kernel': expected shape (7, 7), found (5, 7)"),
    ],
)
def test_wrong_parameters(params, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        Model.from_jax(params)


def test_layers_that_are_no_mapping():
    with pytest.raises(
        TypeError, match=r"params\[1\]: expected a mapping of parameters, got int 3"
    ):
        Model.from_jax([cell(), 3])


def test_arguments_that_do_not_fit():
    with pytest.raises(ValueError, match="hidden_size: expected None for parameters of cells"):
        Model.from_jax(cell(), hidden_size=H)
    with pytest.raises(TypeError, match="input_size: expected an int of at least 1, got None"):
        Model.from_jax(np.zeros(10, np.float32))
    with pytest.raises(TypeError, match="params: expected parameters of flax' cells, or the flat"):
        Model.from_jax(3)
    with pytest.raises(TypeError, match="params: expected dtype float32 or float64, got int64"):
        Model.from_jax(np.zeros(10, int), input_size=1, hidden_size=1)
