"""`lstm_native.onnx.lstm` without ONNX: against `lstm`, whose weights have another order.

tests/loaders/test_onnx_lstm.py compares it with onnxruntime.
"""

import doctest

import numpy as np
import pytest

import lstm_native
import lstm_native.onnx
from calls import DTYPES, assert_same_bits
from lstm_native import Cell

T, N, I, H = 6, 4, 5, 7  # noqa: E741
DIRECTIONS = ("forward", "reverse", "bidirectional")


def drawn(directions, dtype=np.float32):
    rng = np.random.default_rng(directions)
    shapes = {
        "X": (T, N, I),
        "W": (directions, 4 * H, I),
        "R": (directions, 4 * H, H),
        "B": (directions, 8 * H),
        "initial_h": (directions, N, H),
        "initial_c": (directions, N, H),
        "P": (directions, 3 * H),
    }
    return {name: rng.uniform(-0.5, 0.5, shape).astype(dtype) for name, shape in shapes.items()}


def in_our_order(arrays):
    """The weights as `lstm` takes them."""
    listed = []
    for w, r, b, p in zip(*(arrays[name] for name in "WRBP"), strict=True):
        for array in (w, r, *np.split(b, 2)):
            i, o, f, g = np.split(array, 4)
            listed.append(np.concatenate([i, f, g, o]))
        i, o, f = np.split(p, 3)
        listed.append(np.concatenate([i, f, o]))
    return listed


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("direction", DIRECTIONS)
@pytest.mark.parametrize("layout", [0, 1])
def test_what_lstm_computes(layout, direction, dtype):
    directions = 2 if direction == "bidirectional" else 1
    arrays = drawn(directions, dtype)
    lengths = [3, 0, 6, 1]
    functions = ("HardSigmoid", "Tanh", "Softsign") * directions
    states = (arrays["initial_h"], arrays["initial_c"])
    output, h_n, c_n = lstm_native.lstm(
        arrays["X"], states, in_our_order(arrays), 1, 0.0, False, directions == 2, lengths=lengths,
        direction="reverse" if direction == "reverse" else "forward",
        cell=Cell(activations=functions, alphas=[0.3] * directions, clip=0.4, peepholes=True),
    )  # fmt: skip
    h_n[:, 1] = c_n[:, 1] = 0  # of the empty sequence
    expected = [output.reshape(T, N, directions, H).transpose(0, 2, 1, 3), h_n, c_n]
    if layout == 1:
        for name in ("X", "initial_h", "initial_c"):
            arrays[name] = arrays[name].swapaxes(0, 1)
        expected = [expected[0].transpose(2, 0, 1, 3), h_n.swapaxes(0, 1), c_n.swapaxes(0, 1)]
    got = lstm_native.onnx.lstm(
        **arrays, sequence_lens=lengths, direction=direction, layout=layout, hidden_size=H,
        activations=functions, activation_alpha=[0.3] * directions, clip=0.4,
    )  # fmt: skip
    assert_same_bits(got, expected)


def test_what_may_be_left_out():
    arrays = drawn(1)
    zeros = {name: 0 * arrays[name] for name in ("B", "initial_h", "initial_c", "P")}
    least = {name: arrays[name] for name in ("X", "W", "R")}
    got = lstm_native.onnx.lstm(**least)
    whole = lstm_native.onnx.lstm(**least, **zeros)
    for ours, theirs in zip(got, whole, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=0, atol=1e-6)
    assert got[0].shape == (T, 1, N, H)


def test_coupled_gates():
    arrays = drawn(1)
    del arrays["P"]
    got = lstm_native.onnx.lstm(**arrays, input_forget=1)
    weights = in_our_order({**arrays, "P": np.zeros((1, 3 * H))})[:4]
    states = (arrays["initial_h"], arrays["initial_c"])
    cell = Cell(input_forget=True)
    output, h_n, c_n = lstm_native.lstm(
        arrays["X"], states, weights, 1, 0.0, False, False, cell=cell
    )
    assert_same_bits(got, (output[:, None], h_n, c_n))


def test_inputs_are_not_written_to():
    arrays = drawn(2)
    for array in arrays.values():
        array.flags.writeable = False
    lstm_native.onnx.lstm(**arrays, direction="bidirectional", sequence_lens=[0] * N)


def test_examples():
    result = doctest.testmod(lstm_native.onnx)
    assert result.attempted > 0
    assert result.failed == 0
