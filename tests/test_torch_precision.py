"""`lstm_native.torch.LSTM` in 16 bits: parameters, and torch.autocast (make parity)."""

import numpy as np
import pytest

from tolerances import assert_close
from torch_pairs import HIDDEN_SIZE, INPUT_SIZE, LSTM, draw, flat, make_pair, torch

pytestmark = pytest.mark.parity

HALVES = [torch.bfloat16, torch.float16]
QUANTITY = {torch.bfloat16: "bfloat16 results", torch.float16: "float16 results"}


def assert_rounded(got, exact, dtype):
    """Compare results that were rounded to 16 bits with those that were not."""
    for rounded, whole in zip(got, exact, strict=True):
        assert rounded.dtype == dtype
        scale = max(float(whole.detach().abs().max()), 1.0)
        assert_close(
            (rounded.detach().float() / scale).numpy(),
            (whole.detach().float() / scale).numpy(),
            QUANTITY[dtype],
        )


@pytest.mark.parametrize("dtype", HALVES)
@pytest.mark.parametrize("options", [{}, {"num_layers": 2, "bidirectional": True}], ids=str)
def test_parameters_in_16_bits(dtype, options):
    ours, theirs = make_pair(dtype=torch.float32, **options)
    ours.to(dtype)
    theirs.load_state_dict(ours.state_dict())  # what was rounded, in float32
    x = draw(9, 4, INPUT_SIZE, dtype=torch.float32).to(dtype)
    leaves = [x.clone().requires_grad_(), *ours.parameters()]
    exact_leaves = [x.float().requires_grad_(), *theirs.parameters()]
    result, exact = ours(leaves[0]), theirs(exact_leaves[0])
    assert_rounded(flat(result), flat(exact), dtype)
    loss, exact_loss = (sum(t.float().sum() for t in flat(r)) for r in (result, exact))
    assert_rounded(
        torch.autograd.grad(loss, leaves), torch.autograd.grad(exact_loss, exact_leaves), dtype
    )
    ours.eval()
    with torch.no_grad():
        assert_rounded(flat(ours(x)), flat(exact), dtype)
    hx = (flat(result)[1].detach(), flat(result)[2].detach())
    assert ours(x, hx)[0].dtype == dtype
    with pytest.raises(ValueError, match=f"input: expected dtype {dtype}, the same"):
        ours(x.float())


def test_a_module_in_16_bits_is_made_and_learns():
    module = LSTM(INPUT_SIZE, HIDDEN_SIZE, dtype=torch.bfloat16)
    x = draw(9, 4, INPUT_SIZE, dtype=torch.float32).bfloat16()
    optimizer = torch.optim.SGD(module.parameters(), lr=1.0)
    losses = []
    for _ in range(20):
        optimizer.zero_grad()
        loss = (module(x)[0] - 0.5).square().mean()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.5 * losses[0]


def autocast_results(module, dtype, *arguments):
    with torch.autocast("cpu", dtype=dtype):
        return flat(module(*arguments))


STATE = draw(2, 4, HIDDEN_SIZE, dtype=torch.float32, seed=5)
SIXTEEN = draw(9, 4, INPUT_SIZE, dtype=torch.float32).bfloat16()


@pytest.mark.parametrize("module_dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("x", [SIXTEEN, SIXTEEN.float()], ids=lambda t: str(t.dtype))
@pytest.mark.parametrize("hx", [None, (STATE, STATE)], ids=["zeros", "states"])
def test_autocast_has_their_dtypes(module_dtype, x, hx):
    ours, theirs = make_pair(dtype=module_dtype, num_layers=2)
    got, expected = (autocast_results(m, torch.bfloat16, x, hx) for m in (ours, theirs))
    assert [t.dtype for t in got] == [t.dtype for t in expected] == [torch.bfloat16] * 3
    exact = flat(ours.float()(x.float(), hx))
    assert_rounded(got, exact, torch.bfloat16)
    for result, their, whole in zip(got, expected, exact, strict=True):
        error, their_error = ((t.float() - whole).abs().max() for t in (result, their))
        assert error <= their_error + 1e-3
    ours.to(module_dtype).eval()
    with torch.no_grad():
        assert_rounded(autocast_results(ours, torch.bfloat16, x, hx), exact, torch.bfloat16)


def test_autocast_leaves_float64_and_packed_sequences_work():
    ours, theirs = make_pair()
    x = draw(9, 4, INPUT_SIZE)
    for mine, their in zip(
        *(autocast_results(m, torch.bfloat16, x) for m in (ours, theirs)), strict=True
    ):
        assert mine.dtype == their.dtype == torch.float64
    packed = torch.nn.utils.rnn.pack_sequence([x[:, 0].float(), x[:3, 1].float()])
    results = autocast_results(ours.float(), torch.bfloat16, packed)
    assert_rounded(results, flat(ours(packed)), torch.bfloat16)
    with torch.autocast("cpu", enabled=False):
        assert ours(x.float())[0].dtype == torch.float32


def losses_under_autocast(kind):
    torch.manual_seed(3)
    module, head = kind(2, 16), torch.nn.Linear(16, 1)
    optimizer = torch.optim.Adam([*module.parameters(), *head.parameters()], lr=0.02)
    x = draw(12, 16, 2, dtype=torch.float32)
    target = (x.prod(-1, keepdim=True) > 0).float()
    found = []
    for _ in range(60):
        optimizer.zero_grad()
        with torch.autocast("cpu", dtype=torch.bfloat16):
            loss = torch.nn.functional.mse_loss(head(module(x)[0]).float(), target)
        loss.backward()
        optimizer.step()
        found.append(loss.item())
    assert all(p.grad.dtype == torch.float32 for p in module.parameters())
    return found


def test_training_under_autocast_converges_as_theirs():
    ours, theirs = (losses_under_autocast(kind) for kind in (LSTM, torch.nn.LSTM))
    assert theirs[-1] < 0.8 * theirs[0]
    np.testing.assert_allclose(ours[-1], theirs[-1], rtol=0.1)
