"""One of several processes that train a model by DistributedDataParallel.

python torch_ddp_worker.py rank processes rendezvous-file results.npz
"""

from __future__ import annotations

import gc
import sys

import numpy as np
import torch

from lstm_native.torch import LSTM

STEPS = 3
BATCH = 4


class Model(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.lstm = LSTM(3, 6, num_layers=2, bidirectional=True, batch_first=True)
        self.head = torch.nn.Linear(12, 1)

    def forward(self, x):
        return self.head(self.lstm(x)[0])


def batch_of(rank):
    generator = torch.Generator().manual_seed(100 + rank)
    x = torch.randn(BATCH, 10, 3, generator=generator)
    return x, x.cumsum(1).sum(-1, keepdim=True).tanh()


def train(model, x, target):
    """Take some steps; return the first step's gradients and the last step's parameters."""
    optimizer = torch.optim.SGD(model.parameters(), lr=0.5)
    first = None
    for _ in range(STEPS):
        optimizer.zero_grad()
        torch.nn.functional.mse_loss(model(x), target).backward()
        first = first or [parameter.grad.numpy().copy() for parameter in model.parameters()]
        optimizer.step()
    return first, [parameter.detach().numpy() for parameter in model.parameters()]


def new_model(seed):
    torch.manual_seed(seed)
    return Model()


def save(path, gradients, parameters):
    arrays = {f"gradient_{k:02}": array for k, array in enumerate(gradients)}
    arrays |= {f"parameter_{k:02}": array for k, array in enumerate(parameters)}
    np.savez(path, **arrays)


def main():
    rank, processes, rendezvous, path = int(sys.argv[1]), int(sys.argv[2]), *sys.argv[3:5]
    torch.distributed.init_process_group(
        "gloo", init_method=f"file://{rendezvous}", rank=rank, world_size=processes
    )
    # The others' parameters differ until DistributedDataParallel sends them those of the first.
    model = torch.nn.parallel.DistributedDataParallel(new_model(seed=rank))
    save(path, *train(model, *batch_of(rank)))
    # The model holds the group, whose threads must end before the interpreter does, or it aborts.
    del model
    gc.collect()
    torch.distributed.barrier()
    torch.distributed.destroy_process_group()


if __name__ == "__main__":
    main()
