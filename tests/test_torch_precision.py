"""`lstm_native.torch.LSTM` in 16 bits: parameters, and torch.autocast (make parity)."""

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
