"""Runs torch.nn.LSTM."""

from __future__ import annotations

from typing import Any

import torch

from bench.peers.base import Answer, Peer, Prepared
from bench.peers.cases import lengths_of
from bench.peers.torch_training import prepare_training
from shapes import Case


class Adapter(Peer):
    variants = ("packed sequence", "training", "packed training")

    def prepare(self, case: Case, threads: int, seed: int) -> Prepared:
        torch.set_num_threads(threads)
        module = _module(case)
        if self.variant in ("training", "packed training"):
            return prepare_training(case, module, seed, is_ragged=self.variant == "packed training")
        x: Any = torch.from_numpy(case.x)
        if self.variant:
            lengths = torch.tensor(lengths_of(case.shape))
            x = torch.nn.utils.rnn.pack_padded_sequence(x, lengths)
        state = (torch.from_numpy(case.h0), torch.from_numpy(case.c0))

        def call() -> Any:
            with torch.inference_mode():
                return module(x, state)

        return Prepared(call, _to_answer)

    def versions(self) -> dict[str, str]:
        return {"torch": torch.__version__}

    def config(self) -> dict[str, Any]:
        return {"build": torch.__config__.show()}


def _module(case: Case) -> torch.nn.LSTM:
    shape = case.shape
    module = torch.nn.LSTM(
        shape.input_size,
        shape.hidden_size,
        shape.num_layers,
        bidirectional=shape.bidirectional,
        dtype=torch.from_numpy(case.x).dtype,
    ).eval()
    # torch registers its parameters in the order of all_weights.
    with torch.no_grad():
        for parameter, weight in zip(module.parameters(), case.all_weights, strict=True):
            parameter.copy_(torch.from_numpy(weight))
    return module


def _to_answer(returned: Any) -> Answer:
    output, (h_n, c_n) = returned
    if isinstance(output, torch.nn.utils.rnn.PackedSequence):
        output, _ = torch.nn.utils.rnn.pad_packed_sequence(output)
    return output.numpy(), h_n.numpy(), c_n.numpy()
