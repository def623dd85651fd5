"""Our module for PyTorch beside torch.nn.LSTM, with the same weights.

Who imports this is skipped where PyTorch is not installed.
"""

from __future__ import annotations

import pytest

from tolerances import assert_close

torch = pytest.importorskip("torch", reason="PyTorch is not installed: make parity runs these")

from lstm_native.torch import LSTM  # noqa: E402

INPUT_SIZE = 5
HIDDEN_SIZE = 7


def make_pair(input_size=INPUT_SIZE, hidden_size=HIDDEN_SIZE, dtype=torch.float64, **options):
    """Return ours and theirs, both drawn from the same seed."""
    modules = []
    for kind in (LSTM, torch.nn.LSTM):
        torch.manual_seed(1)
        modules.append(kind(input_size, hidden_size, dtype=dtype, **options))
    return modules


def draw(*shape, dtype=torch.float64, seed=2, requires_grad=False):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(shape, generator=generator, dtype=dtype, requires_grad=requires_grad)


def flat(result):
    """Return output, h_n, c_n as tensors, of a packed sequence its rows."""
    output, (h_n, c_n) = result
    is_packed = isinstance(output, torch.nn.utils.rnn.PackedSequence)
    return output.data if is_packed else output, h_n, c_n


def assert_same_results(got, expected):
    for mine, theirs in zip(flat(got), flat(expected), strict=True):
        assert mine.shape == theirs.shape
        assert mine.dtype == theirs.dtype
        assert_close(mine.detach().numpy(), theirs.detach().numpy(), "peer")


def gradients(result, leaves, upstream_seed=3):
    """Return what a random gradient of each result gives each leaf."""
    results = flat(result)
    upstream = [
        draw(*part.shape, dtype=part.dtype, seed=upstream_seed + k)
        for k, part in enumerate(results)
    ]
    return torch.autograd.grad(results, leaves, upstream, allow_unused=True)


def assert_same_gradients(got, expected):
    """Compare, in units of each gradient's largest element."""
    for mine, theirs in zip(got, expected, strict=True):
        assert mine.shape == theirs.shape
        scale = max(float(theirs.abs().max()), 1e-30) if theirs.numel() else 1.0
        assert_close((mine / scale).numpy(), (theirs / scale).numpy(), "peer gradient")
