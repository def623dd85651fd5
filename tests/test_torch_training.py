"""Models that train with `lstm_native.torch.LSTM` in place of torch.nn.LSTM (make parity)."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from tolerances import assert_close
from torch_pairs import INPUT_SIZE, LSTM, draw, flat, gradients, make_pair, torch

pytestmark = pytest.mark.parity

TESTS = Path(__file__).parent
DDP_TIME_LIMIT = 240  # seconds; most of it is the import of PyTorch on a busy machine


@pytest.fixture(autouse=True)
def _one_thread():
    """On a machine that others use, PyTorch's threads wait for each other at every step."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


class Model(torch.nn.Module):
    def __init__(self, kind, dtype):
        super().__init__()
        self.before = torch.nn.Linear(2, 8, dtype=dtype)
        self.lstm = kind(8, 16, num_layers=2, bidirectional=True, dtype=dtype)
        self.after = torch.nn.Linear(32, 1, dtype=dtype)

    def forward(self, x, lengths=None):
        x = self.before(x).tanh()
        if lengths is None:
            return self.after(self.lstm(x)[0])
        packed = torch.nn.utils.rnn.pack_padded_sequence(x, lengths, enforce_sorted=False)
        output, _ = torch.nn.utils.rnn.pad_packed_sequence(self.lstm(packed)[0])
        return self.after(output)


def losses(kind, dtype, lengths, steps=25):
    """Of a model that learns to mark where a product changes its sign."""
    torch.manual_seed(8)
    model = Model(kind, dtype)
    optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
    x = draw(12, 16, 2, dtype=dtype)
    target = (x.prod(-1, keepdim=True) > 0).to(dtype)
    found = []
    for _ in range(steps):
        optimizer.zero_grad()
        loss = torch.nn.functional.mse_loss(model(x, lengths), target)
        loss.backward()
        optimizer.step()
        found.append(loss.item())
    return found


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("lengths", [None, torch.tensor([12] + [3, 7, 11] * 5)])
def test_a_model_trains_to_the_same_losses(dtype, lengths):
    ours, theirs = (losses(kind, dtype, lengths) for kind in (LSTM, torch.nn.LSTM))
    assert theirs[-1] < 0.7 * theirs[0]  # or there would be little to compare
    numpy_dtype = np.float32 if dtype == torch.float32 else np.float64
    assert_close(ours, theirs, "peer losses", numpy_dtype)


def test_a_seed_replays_dropout():
    ours, _ = make_pair(num_layers=3, dropout=0.5)
    x = draw(4, 3, INPUT_SIZE)

    def step():
        result = ours(x)
        return [*flat(result), *gradients(result, list(ours.parameters()))]

    torch.manual_seed(9)
    first, second = step(), step()
    torch.manual_seed(9)
    replayed = step()
    assert all(map(torch.equal, first, replayed))
    assert not torch.equal(first[0], second[0])
    ours.eval()
    before = torch.get_rng_state()
    assert torch.equal(ours(x)[0], ours(x)[0])
    assert torch.equal(before, torch.get_rng_state())


def test_dropout_drops_and_scales_between_layers():
    rate = 0.25
    ours, theirs = make_pair(num_layers=2, dropout=rate, hidden_size=50)
    x = draw(40, 10, INPUT_SIZE)
    # A second layer whose cell candidate sums its inputs, and whose forget gate is open.
    with torch.no_grad():
        for name in ("weight_ih_l1", "weight_hh_l1", "bias_ih_l1", "bias_hh_l1"):
            getattr(ours, name).zero_()
        ours.bias_ih_l1[:50] = 50.0
        ours.bias_ih_l1[50:100] = -50.0
        ours.bias_ih_l1[150:] = 50.0
        ours.weight_ih_l1[100:150] = 1e-3 * torch.eye(50)
        dropped = torch.atanh(torch.atanh(ours(x)[0])) * 1e3
        first = torch.nn.LSTM(INPUT_SIZE, 50, dtype=torch.float64)
        first.load_state_dict({n: w for n, w in theirs.state_dict().items() if "l0" in n})
        whole = first(x)[0]
    kept = dropped.abs() > 1e-6
    assert abs(float(kept.double().mean()) - (1 - rate)) < 0.02  # 20,000 draws: 6 deviations
    assert_close(dropped[kept].numpy(), (whole / (1 - rate))[kept].numpy(), "dropout by inversion")


def test_dropout_of_everything():
    ours, theirs = make_pair(num_layers=2, dropout=1.0)
    x = draw(4, 3, INPUT_SIZE)
    assert_close(ours(x)[0].detach().numpy(), theirs(x)[0].detach().numpy(), "peer")


@pytest.mark.filterwarnings("ignore:The .grad attribute of a Tensor:UserWarning")
def test_compiled_models_compute_the_same_in_several_graphs():
    """PyTorch ends a graph at each recurrent module unless allow_rnn is set."""
    torch._dynamo.reset()
    torch.manual_seed(8)
    model = Model(LSTM, torch.float32)
    graphs = []

    def backend(graph, _):
        graphs.append(graph)
        return graph.forward

    x = draw(12, 4, 2, dtype=torch.float32)
    results = []
    for each in (model, torch.compile(model, backend=backend)):
        model.zero_grad()
        output = each(x)
        output.square().mean().backward()
        results.append([output, *(parameter.grad for parameter in model.parameters())])
    assert all(map(torch.equal, *results))
    assert len(graphs) > 1


def run_processes(count, tmp_path):
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "GLOO_SOCKET_IFNAME": "lo"}
    results = [tmp_path / f"rank{rank}.npz" for rank in range(count)]
    running = [
        subprocess.Popen(
            [
                *(sys.executable, str(TESTS / "torch_ddp_worker.py")),
                *(str(rank), str(count), str(tmp_path / "rendezvous"), str(results[rank])),
            ],
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        for rank in range(count)
    ]
    try:
        for process in running:
            said, _ = process.communicate(timeout=DDP_TIME_LIMIT)
            assert process.returncode == 0, said
    finally:
        for process in running:
            process.kill()
            process.wait()
    return [dict(np.load(path)) for path in results]


def test_two_processes_have_the_gradients_of_one_with_both_batches(tmp_path):
    from torch_ddp_worker import batch_of, new_model, save, train  # noqa: PLC0415

    first, second = run_processes(2, tmp_path)
    batches = [batch_of(rank) for rank in range(2)]
    x, target = (torch.cat(parts) for parts in zip(*batches, strict=True))
    save(tmp_path / "one.npz", *train(new_model(seed=0), x, target))
    one = dict(np.load(tmp_path / "one.npz"))
    assert first.keys() == second.keys() == one.keys()
    for name, expected in one.items():
        np.testing.assert_array_equal(first[name], second[name])
        scale = np.abs(expected).max()
        assert scale > 0
        assert_close(first[name] / scale, expected / scale, "peer gradient")
