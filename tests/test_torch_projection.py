"""Projections against torch.nn.LSTM with proj_size, in float64 (make parity)."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from calls import call_vjp
from drawn_shapes import drawn_shapes
from lstm_native import Cell
from projected_cases import projected_case
from shapes import Shape

torch = pytest.importorskip("torch", reason="PyTorch is not installed: make parity runs these")
pytestmark = pytest.mark.parity

WITHIN = 1e-11


def torch_lstm(case, **options):
    shape = case.shape
    module = torch.nn.LSTM(
        shape.input_size,
        shape.hidden_size,
        shape.num_layers,
        bias=case.has_ih_bias,
        bidirectional=shape.bidirectional,
        proj_size=case.h0.shape[2],
        dtype=torch.float64,
        **options,
    )
    with torch.no_grad():
        for parameter, weight in zip(module.parameters(), case.all_weights, strict=True):
            parameter.copy_(torch.from_numpy(weight))
    return module


def compare(case, x, theirs_of, **options):
    """Compare results and all gradients; theirs_of: PyTorch's module and its input, of a tensor."""
    leaves = [
        torch.tensor(np.ascontiguousarray(a), requires_grad=True) for a in (x, case.h0, case.c0)
    ]
    module, given_input = theirs_of(leaves[0])
    output, (h_n, c_n) = module(given_input, tuple(leaves[1:]))
    is_packed = isinstance(output, torch.nn.utils.rnn.PackedSequence)
    theirs = [output.data if is_packed else output, h_n, c_n]
    rng = np.random.default_rng(1)
    upstream = [rng.standard_normal(tuple(part.shape)) for part in theirs]
    torch.autograd.backward(theirs, [torch.from_numpy(part) for part in upstream])
    for recompute in (False, True):
        ours, pullback = call_vjp(
            case, input=x, cell=Cell(proj_size=case.h0.shape[2]), recompute=recompute, **options
        )
        for mine, other in zip(ours, theirs, strict=True):
            assert np.abs(mine - other.detach().numpy()).max() <= WITHIN
        d_input, d_states, d_weights = pullback(*upstream)
        expected = [leaf.grad.numpy() for leaf in (*leaves, *module.parameters())]
        for mine, other in zip([d_input, *d_states, *d_weights], expected, strict=True):
            assert mine.shape == other.shape
            assert np.abs(mine - other).max() <= WITHIN * max(np.abs(other).max(), 1.0)


shapes = drawn_shapes(seq_len=10, batch=(1, 20), input_size=30, hidden_size=40)
seeds = st.integers(0, 2**32 - 1)


def drawn_case(shape, part, seed, bias=True):
    """A projection to a part of the units, of two units at least."""
    units = max(shape.hidden_size, 2)
    sizes = Shape(
        "drawn", shape.seq_len, shape.batch, shape.input_size, units, shape.num_layers,
        shape.bidirectional,
    )  # fmt: skip
    return projected_case(sizes, 1 + int(part * (units - 2)), np.float64, seed, (bias, bias))


@given(shapes, st.floats(0, 1), st.booleans(), st.booleans(), seeds)
def test_padded(shape, part, bias, batch_first, seed):
    case = drawn_case(shape, part, seed, bias)
    x = case.x.swapaxes(0, 1) if batch_first else case.x
    module = torch_lstm(case, batch_first=batch_first)
    compare(case, np.ascontiguousarray(x), lambda leaf: (module, leaf), batch_first=batch_first)


@given(shapes, st.floats(0, 1), st.lists(st.integers(1, 12), min_size=1, max_size=10), seeds)
def test_packed(shape, part, lengths, seed):
    lengths = sorted(lengths, reverse=True)
    sizes = Shape(
        "packed", lengths[0], len(lengths), shape.input_size, shape.hidden_size, shape.num_layers,
        shape.bidirectional,
    )  # fmt: skip
    case = drawn_case(sizes, part, seed)
    packed = torch.nn.utils.rnn.pack_padded_sequence(torch.from_numpy(case.x), lengths)
    module = torch_lstm(case)
    compare(
        case,
        packed.data.numpy(),
        lambda leaf: (module, packed._replace(data=leaf)),
        batch_sizes=packed.batch_sizes,
    )


@pytest.mark.parametrize(
    ("shape", "proj_size"),
    [
        (Shape("many_rows", 30, 20, 300, 320, 2, True), 256),
        (Shape("one_row", 40, 1, 64, 512), 128),
        (Shape("one_step", 1, 1, 64, 512, 2), 130),
    ],
    ids=lambda value: getattr(value, "name", str(value)),
)
def test_large_shapes(shape, proj_size):
    case = projected_case(shape, proj_size, np.float64, seed=3)
    module = torch_lstm(case)
    compare(case, case.x, lambda leaf: (module, leaf))
