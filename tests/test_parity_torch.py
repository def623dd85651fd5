"""Results against torch.nn.LSTM itself, where it is installed (make parity)."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from calls import assert_same_bits, call_lstm, call_vjp
from drawn_shapes import drawn_shapes
from shapes import BENCH_SHAPES, TEST_SHAPES, Shape, make_case
from tolerances import assert_close

torch = pytest.importorskip("torch", reason="PyTorch is not installed: make parity runs these")
pytestmark = pytest.mark.parity


def torch_lstm(shape, weights, bias, **options):
    module = torch.nn.LSTM(
        shape.input_size,
        shape.hidden_size,
        shape.num_layers,
        bias=bias,
        bidirectional=shape.bidirectional,
        dtype=torch.float64 if weights[0].dtype == np.float64 else torch.float32,
        **options,
    )
    with torch.no_grad():
        for parameter, weight in zip(module.parameters(), weights, strict=True):
            parameter.copy_(torch.from_numpy(weight))
    return module


def states(case):
    return torch.from_numpy(case.h0), torch.from_numpy(case.c0)


def compare(case, x, **options):
    module = torch_lstm(case.shape, case.all_weights, case.has_ih_bias, **options)
    with torch.inference_mode():
        output, (h_n, c_n) = module(torch.from_numpy(np.ascontiguousarray(x)), states(case))
    got = call_lstm(case, input=x, **options)
    for mine, theirs in zip(got, (output, h_n, c_n), strict=True):
        assert_close(mine, theirs.numpy(), "peer")


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("shape", TEST_SHAPES, ids=lambda shape: shape.name)
def test_small_shapes(shape, dtype):
    case = make_case(shape, dtype, seed=11)
    compare(case, case.x)


@pytest.mark.parametrize("shape", BENCH_SHAPES, ids=lambda shape: shape.name)
def test_bench_shapes(shape):
    case = make_case(shape, np.float32, seed=12)
    compare(case, case.x)


shapes = drawn_shapes(seq_len=10, batch=(1, 20), input_size=30, hidden_size=40)
dtypes = st.sampled_from([np.float32, np.float64])


@given(shapes, dtypes, st.booleans(), st.booleans(), st.integers(0, 2**32 - 1))
def test_random_shapes(shape, dtype, bias, batch_first, seed):
    case = make_case(shape, dtype, seed, (bias, bias))
    compare(case, case.x.swapaxes(0, 1) if batch_first else case.x, batch_first=batch_first)


@given(
    shapes,
    dtypes,
    st.lists(st.integers(1, 12), min_size=1, max_size=10),
    st.integers(0, 2**32 - 1),
)
def test_packed(shape, dtype, lengths, seed):
    lengths = sorted(lengths, reverse=True)
    sizes = Shape(
        "packed", lengths[0], len(lengths), shape.input_size, shape.hidden_size, shape.num_layers,
        shape.bidirectional,
    )  # fmt: skip
    case = make_case(sizes, dtype, seed)
    packed = torch.nn.utils.rnn.pack_padded_sequence(torch.from_numpy(case.x), lengths)
    module = torch_lstm(sizes, case.all_weights, bias=True)
    with torch.inference_mode():
        output, (h_n, c_n) = module(packed, states(case))
    got = call_lstm(case, input=packed.data, batch_sizes=packed.batch_sizes)
    for mine, theirs in zip(got, (output.data, h_n, c_n), strict=True):
        assert_close(mine, theirs.numpy(), "peer")


def assert_same_gradients(got, expected):
    for mine, theirs in zip(got, expected, strict=True):
        assert np.abs(mine - theirs).max() <= 1e-11 * max(np.abs(theirs).max(), 1e-30)


@given(shapes, st.booleans(), st.booleans(), st.integers(0, 2**32 - 1))
def test_gradients(shape, bias, batch_first, seed):
    case = make_case(shape, np.float64, seed, (bias, bias))
    x = case.x.swapaxes(0, 1) if batch_first else case.x
    module = torch_lstm(shape, case.all_weights, bias, batch_first=batch_first)
    leaves = [
        torch.tensor(np.ascontiguousarray(a), requires_grad=True) for a in (x, case.h0, case.c0)
    ]
    output, (h_n, c_n) = module(leaves[0], tuple(leaves[1:]))
    rng = np.random.default_rng(seed)
    given_gradients = [rng.standard_normal(tuple(t.shape)) for t in (output, h_n, c_n)]
    torch.autograd.backward([output, h_n, c_n], [torch.from_numpy(g) for g in given_gradients])
    _, pullback = call_vjp(case, input=x, batch_first=batch_first)
    d_input, d_states, d_weights = pullback(*given_gradients)
    expected = [t.grad.numpy() for t in (*leaves, *module.parameters())]
    assert_same_gradients([d_input, *d_states, *d_weights], expected)


@given(shapes, st.lists(st.integers(1, 12), min_size=1, max_size=10), st.integers(0, 2**32 - 1))
def test_gradients_of_packed_sequences(shape, lengths, seed):
    lengths = sorted(lengths, reverse=True)
    sizes = Shape(
        "packed", lengths[0], len(lengths), shape.input_size, shape.hidden_size, shape.num_layers,
        shape.bidirectional,
    )  # fmt: skip
    case = make_case(sizes, np.float64, seed)
    packed = torch.nn.utils.rnn.pack_padded_sequence(torch.from_numpy(case.x), lengths)
    packed.data.requires_grad_()
    module = torch_lstm(sizes, case.all_weights, bias=True)
    leaves = [torch.tensor(a, requires_grad=True) for a in (case.h0, case.c0)]
    output, (h_n, c_n) = module(packed, tuple(leaves))
    rng = np.random.default_rng(seed)
    results = (output.data, h_n, c_n)
    given_gradients = [rng.standard_normal(tuple(t.shape)) for t in results]
    torch.autograd.backward(results, [torch.from_numpy(g) for g in given_gradients])
    rows = packed.data.detach().numpy()
    _, pullback = call_vjp(case, input=rows, batch_sizes=packed.batch_sizes)
    d_input, d_states, d_weights = pullback(*given_gradients)
    expected = [t.grad.numpy() for t in (packed.data, *leaves, *module.parameters())]
    assert_same_gradients([d_input, *d_states, *d_weights], expected)


def test_tensors_go_in_as_they_are():
    case = make_case(TEST_SHAPES[-2], np.float32, seed=13)
    tensors = [torch.from_numpy(w) for w in case.all_weights]
    got = call_lstm(
        case, input=torch.from_numpy(case.x), initial_states=states(case), all_weights=tensors
    )
    assert_same_bits(got, call_lstm(case))
