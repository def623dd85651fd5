"""Runs torch.nn.LSTM forward and backward."""

from __future__ import annotations

from typing import Any

import torch

from bench.peers.base import Answer, Prepared
from bench.peers.cases import lengths_of, output_gradient, pack, unpack
from shapes import Case


def prepare_training(case: Case, module: torch.nn.LSTM, seed: int, *, is_ragged: bool) -> Prepared:
    shape = case.shape
    module.train()
    gradient: Any = output_gradient(shape, seed, is_ragged=is_ragged)
    d_output = torch.from_numpy(pack(gradient, shape) if is_ragged else gradient)
    x: Any = torch.from_numpy(case.x)
    if is_ragged:
        x = torch.nn.utils.rnn.pack_padded_sequence(x, torch.tensor(lengths_of(shape)))
    features = x.data if is_ragged else x
    features.requires_grad_()
    states = tuple(torch.from_numpy(array).requires_grad_() for array in (case.h0, case.c0))
    leaves = [features, *states, *module.parameters()]

    def call() -> Any:
        for leaf in leaves:
            leaf.grad = None
        output, ends = module(x, states)
        output = output.data if is_ragged else output
        output.backward(d_output)
        return output, *ends, *(leaf.grad for leaf in leaves)

    def to_answer(returned: Any) -> Answer:
        output, h_n, c_n, d_input, *others = (tensor.detach().numpy() for tensor in returned)
        if is_ragged:
            output, d_input = unpack(output, shape), unpack(d_input, shape)
        return (output, h_n, c_n, d_input, *others)

    return Prepared(call, to_answer)
