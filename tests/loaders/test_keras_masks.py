"""Masks: `mask=` against Keras itself (on PyTorch), with Masking and Embedding layers."""

import os

import numpy as np
import pytest

from lstm_native import Model

os.environ["KERAS_BACKEND"] = "torch"
import keras
from keras import layers

T, N, I, H = 8, 4, 5, 7  # noqa: E741
LENGTHS = [8, 3, 5, 1]
BEHIND = np.arange(T) < np.array(LENGTHS)[:, np.newaxis]
MASKS = {
    "behind": BEHIND,
    "in front": BEHIND[:, ::-1],
    "holes": np.array(
        [
            [1, 0, 1, 1, 0, 0, 1, 1],
            [0, 0, 1, 0, 0, 1, 0, 0],
            [0, 1, 0, 1, 0, 1, 0, 1],
            [1, 0, 0, 0, 0, 0, 0, 1],
        ],
        bool,
    ),
    "a sequence without steps": BEHIND & (np.arange(N) != 2)[:, np.newaxis],
}
STACKS = {
    "one layer": (1, False),
    "two layers": (2, False),
    "bidirectional": (1, True),
    "two bidirectional layers": (2, True),
}

every_mask = pytest.mark.parametrize("mask", MASKS.values(), ids=MASKS)
every_stack = pytest.mark.parametrize(("count", "bidirectional"), STACKS.values(), ids=STACKS)
# Keras' own arrays, by its own hands.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")


def drawn(seed, *shape):
    return np.random.default_rng(seed).uniform(-1, 1, shape).astype(np.float32)


def stack(count, bidirectional, sequences, **options):
    """LSTM layers; sequences: whether the last one returns sequences."""
    returned = [True] * (count - 1) + [sequences]
    lstms = [layers.LSTM(H, return_sequences=all_steps, **options) for all_steps in returned]
    return [layers.Bidirectional(lstm) for lstm in lstms] if bidirectional else lstms


def with_masking(stack):
    model = keras.Sequential([layers.Input((None, I)), layers.Masking(-3.0), *stack])
    model.set_weights([drawn(k, *w.shape) / 2 for k, w in enumerate(model.get_weights())])
    return model


def masked_input(mask):
    x = drawn(99, N, T, I)
    x[~mask] = -3.0
    return x


def assert_close(ours, theirs):
    np.testing.assert_allclose(ours, np.asarray(theirs), rtol=0, atol=1e-5)


@every_stack
@every_mask
@pytest.mark.parametrize("zero_output", [False, True])
def test_sequences(zero_output, mask, count, bidirectional):
    """A Bidirectional layer returns zeros at masked steps, whatever the layer in it does."""
    theirs = with_masking(stack(count, bidirectional, True, zero_output_for_mask=zero_output))
    x = masked_input(mask)
    options = {} if zero_output or bidirectional else {"masked_output": "last"}
    output, _ = Model.from_keras(theirs)(x, mask=mask, **options)
    assert_close(output, theirs.predict(x, verbose=0))


@every_stack
@every_mask
def test_the_last_step(mask, count, bidirectional):
    theirs = with_masking(stack(count, bidirectional, False))
    x = masked_input(mask)
    _, (h_n, _) = Model.from_keras(theirs)(x, mask=mask)
    last = np.concatenate(h_n[-2:] if bidirectional else h_n[-1:], axis=1)
    assert_close(last, theirs.predict(x, verbose=0))


@every_mask
def test_a_layer_that_goes_backwards(mask):
    theirs = with_masking([layers.LSTM(H, go_backwards=True)])
    x = masked_input(mask)
    _, (h_n, _) = Model.from_keras(theirs)(x, mask=mask)
    assert_close(h_n[0], theirs.predict(x, verbose=0))


@every_mask
def test_an_embedding_that_masks_zeros(mask):
    theirs = keras.Sequential(
        [
            layers.Input((None,), dtype="int32"),
            layers.Embedding(10, I, mask_zero=True),
            layers.Bidirectional(layers.LSTM(H, return_sequences=True)),
        ]
    )
    tokens = np.random.default_rng(1).integers(1, 10, (N, T)) * mask
    x = theirs.layers[0](tokens).detach().numpy()
    np.testing.assert_array_equal(theirs.layers[0].compute_mask(tokens), mask)
    output, _ = Model.from_keras(theirs)(x, mask=tokens != 0)
    assert_close(output, theirs.predict(tokens, verbose=0))
