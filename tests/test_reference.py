"""The oracle itself, against numbers that others computed."""

import numpy as np
import pytest

from reference_backward import backward_packed
from reference_dropout import philox4x32_10
from reference_lstm import reference, reference_packed, rows_of_steps

# mindspore.ops.LSTM's documented example
DOCUMENTED_OUTPUT = np.array([0.9640267, 0.9950539, 0.99932843, 0.9999084, 0.9999869])


def test_documented_example():
    x = np.ones((5, 2, 10))
    state = np.ones((1, 2, 2))
    weights = (np.ones((8, 10)), np.ones((8, 2)), np.ones(8), np.ones(8))
    answer = reference(x, state, state, weights, bidirectional=False)
    expected = np.broadcast_to(DOCUMENTED_OUTPUT[:, None, None], (5, 2, 2))
    # The document prints float32 results; their last digit is rounded.
    np.testing.assert_allclose(answer.output, expected, rtol=0, atol=1e-7)


def test_one_step_by_hand():
    # One unit, no bias: pre-activations 1, 2, 3, 4.
    weights = (np.array([[1.0], [2.0], [3.0], [4.0]]), np.zeros((4, 1)))
    answer = reference(
        np.ones((1, 1, 1)),
        np.zeros((1, 1, 1)),
        np.full((1, 1, 1), 0.5),
        weights,
        bidirectional=False,
        biases=(False, False),
    )
    i, f, g, o = 0.7310585786300049, 0.8807970779778823, 0.9950547536867305, 0.9820137900379085
    c = f * 0.5 + i * g
    assert abs(answer.c_n.item() - c) < 1e-15
    assert abs(answer.h_n.item() - o * np.tanh(c)) < 1e-15


def test_reverse_is_forward_over_the_reversed_sequence():
    rng = np.random.default_rng(0)
    x = rng.standard_normal((6, 2, 3))
    state = rng.standard_normal((2, 2, 4))
    weights = [rng.standard_normal(size) for size in ((16, 3), (16, 4), (16,), (16,))]
    both = reference(x, state, state, [*weights, *weights], bidirectional=True)
    turned = reference(x[::-1], state[1:], state[1:], weights, bidirectional=False)
    np.testing.assert_array_equal(both.output[:, :, 4:], turned.output[::-1])
    np.testing.assert_array_equal(both.h_n[1], turned.h_n[0])


def test_rows_of_steps():
    assert rows_of_steps([3, 2, 1]) == [slice(0, 3), slice(3, 5), slice(5, 6)]


@pytest.mark.parametrize("reverse", [False, True])
def test_a_ragged_batch_is_its_sequences_alone(reverse):
    rng = np.random.default_rng(0)
    x, d_output = (rng.standard_normal((6, width)) for width in (3, 4))
    h_0, c_0, d_h_n, d_c_n = rng.standard_normal((4, 1, 3, 4))
    weights = [rng.standard_normal(size) for size in ((16, 3), (16, 4), (16,), (16,))]

    def of(rows, sequences, batch_sizes):
        given = (x[rows], h_0[:, sequences], c_0[:, sequences], weights, False, batch_sizes)
        derived = (d_output[rows], d_h_n[:, sequences], d_c_n[:, sequences])
        answer = reference_packed(*given, reverse=reverse)
        return answer, backward_packed(*given, *derived, reverse=reverse)

    answer, gradients = of(list(range(6)), [0, 1, 2], [3, 2, 1])
    total = [np.zeros(w.shape) for w in weights]
    for sequence, rows in enumerate([[0, 3, 5], [1, 4], [2]]):
        alone, back = of(rows, [sequence], [1] * len(rows))
        total = [sum_ + own for sum_, own in zip(total, back.weights, strict=True)]
        for whole, own in [
            (answer.output[rows], alone.output),
            (answer.h_n[:, [sequence]], alone.h_n),
            (answer.c_n[:, [sequence]], alone.c_n),
            (gradients.input[rows], back.input),
            (gradients.h_0[:, [sequence]], back.h_0),
            (gradients.c_0[:, [sequence]], back.c_0),
        ]:
            np.testing.assert_allclose(whole, own, rtol=0, atol=1e-14)
    for whole, own in zip(gradients.weights, total, strict=True):
        np.testing.assert_allclose(whole, own, rtol=0, atol=1e-13)


def test_philox_known_answers():
    # The published test vectors of the Random123 library.
    assert philox4x32_10([0] * 4, [0] * 2) == [0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8]
    assert philox4x32_10([0xFFFFFFFF] * 4, [0xFFFFFFFF] * 2) == [
        0x408F276D,
        0x41C83B0E,
        0xA20BC7C6,
        0x6D5451FD,
    ]
    assert philox4x32_10(
        [0x243F6A88, 0x85A308D3, 0x13198A2E, 0x03707344], [0xA4093822, 0x299F31D0]
    ) == [0xD16CFE09, 0x94FDCCEB, 0x5001E420, 0x24126EA1]
