"""`lstm_native.torch.LSTM` with proj_size, in every way to call it (make parity)."""

import io

import numpy as np
import pytest

from tolerances import TOLERANCES
from torch_pairs import (
    INPUT_SIZE,
    LSTM,
    assert_close,
    assert_same_gradients,
    assert_same_results,
    draw,
    flat,
    gradients,
    make_pair,
    torch,
)

pytestmark = pytest.mark.parity

PROJ_SIZE = 3
FORMS = ({}, {"bias": False}, {"num_layers": 2, "bidirectional": True}, {"batch_first": True})


def pair_of(dtype=torch.float64, **options):
    return make_pair(dtype=dtype, proj_size=PROJ_SIZE, **options)


def inputs(module, dtype=torch.float64):
    shape = (3, 4, INPUT_SIZE) if module.batch_first else (4, 3, INPUT_SIZE)
    cells = module.num_layers * (2 if module.bidirectional else 1)
    x = draw(*shape, dtype=dtype, requires_grad=True)
    h_0 = draw(cells, 3, PROJ_SIZE, dtype=dtype, seed=5, requires_grad=True)
    c_0 = draw(cells, 3, module.hidden_size, dtype=dtype, seed=6, requires_grad=True)
    return x, h_0, c_0


@pytest.mark.parametrize("options", FORMS, ids=str)
def test_training(options):
    ours, theirs = pair_of(**options)
    x, *hx = inputs(ours)
    got, expected = ours(x, tuple(hx)), theirs(x, tuple(hx))
    assert_same_results(got, expected)
    assert_same_gradients(
        gradients(got, [x, *hx, *ours.parameters()]),
        gradients(expected, [x, *hx, *theirs.parameters()]),
    )


@pytest.mark.parametrize("options", FORMS, ids=str)
@torch.no_grad()
def test_evaluation(options):
    """With packed weights; states are zero."""
    ours, theirs = (module.eval() for module in pair_of(**options))
    x = inputs(ours)[0].detach()
    assert_same_results(ours(x), theirs(x))
    assert ours._inference.nbytes > 0


def test_a_packed_sequence_and_a_file():
    ours, theirs = pair_of()
    packed = torch.nn.utils.rnn.pack_padded_sequence(
        inputs(ours)[0].detach(), torch.tensor([4, 2, 1])
    )
    assert_same_results(ours(packed), theirs(packed))
    file = io.BytesIO()
    torch.save(ours.state_dict(), file)
    file.seek(0)
    theirs.load_state_dict(torch.load(file, weights_only=True))


def test_the_operator():
    """Compiled, exported, on fake tensors and under vmap."""
    ours, theirs = pair_of()
    x, *hx = inputs(ours)
    compiled = torch.compile(ours, fullgraph=True, backend="aot_eager")
    with torch._dynamo.config.patch(allow_rnn=True):
        got, expected = compiled(x, tuple(hx)), theirs(x, tuple(hx))
    assert_same_results(got, expected)
    assert_same_gradients(
        gradients(got, [x, *hx, *ours.parameters()]),
        gradients(expected, [x, *hx, *theirs.parameters()]),
    )
    program = torch.export.export(ours, (x.detach(), tuple(state.detach() for state in hx)))
    assert_same_results(program.module()(x.detach(), tuple(hx)), expected)
    arguments = (x, *hx, list(ours.parameters()), None, None, 1, False, False, 0.0, True)
    torch.library.opcheck(torch.ops.lstm_native.lstm.default, arguments)
    several = torch.stack([x, 2.0 * x]).detach()
    mapped = torch.func.vmap(lambda one: ours(one)[0])(several)
    for one, alone in zip(mapped, several, strict=True):
        assert_close(one.detach().numpy(), theirs(alone)[0].detach().numpy(), "peer")


def test_second_derivatives():
    ours, _ = pair_of()
    x, *hx = inputs(ours)
    assert torch.autograd.gradgradcheck(
        lambda x: flat(ours(x, tuple(hx)))[0].sum(), (x,), fast_mode=True
    )


def test_int8_in_evaluation():
    ours = LSTM(INPUT_SIZE, 7, proj_size=PROJ_SIZE, weight_dtype="int8").eval()
    x = draw(4, 3, INPUT_SIZE, dtype=torch.float32)
    with torch.no_grad():
        rounded = ours(x)[0].numpy()
    exact = ours(x)[0].detach().numpy()
    assert 0 < np.abs(rounded - exact).max() < TOLERANCES["int8 format"].of(np.float32)
