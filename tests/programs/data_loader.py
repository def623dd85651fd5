"""Calls in the workers of a DataLoader, which start by the method that is named."""

import sys
import warnings

import numpy as np
import torch

import lstm_native.torch
from calls import call_lstm, pack
from shapes import Shape, make_case

warnings.simplefilter("ignore", DeprecationWarning)  # of forks beside threads
CASE = make_case(Shape("loader", 20, 8, 24, 72, 2, True), np.float32)
PACKED = pack(CASE)
torch.manual_seed(0)
MODULE = lstm_native.torch.LSTM(24, 72, num_layers=2, bidirectional=True).eval()


class Sequences(torch.utils.data.Dataset[torch.Tensor]):
    def __len__(self) -> int:
        return 12

    def __getitem__(self, _index: int) -> torch.Tensor:
        with torch.inference_mode():
            by_module = MODULE(torch.from_numpy(CASE.x))[0]
        called = call_lstm(CASE, all_weights=PACKED, num_threads=2)[0]
        return torch.stack([torch.from_numpy(called), by_module.clone()])


if __name__ == "__main__":
    module = torch.nn.LSTM(24, 72)
    module(torch.from_numpy(CASE.x))  # torch's threads, and ours, before there are workers
    expected = Sequences()[0].numpy()
    loader = torch.utils.data.DataLoader(
        Sequences(), batch_size=3, num_workers=2, multiprocessing_context=sys.argv[1]
    )
    got = [item.numpy() for batch in loader for item in batch]
    print(len(got), all(item.tobytes() == expected.tobytes() for item in got))
