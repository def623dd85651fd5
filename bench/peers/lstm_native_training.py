"""Runs lstm_native forward and backward."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

import lstm_native
from bench.peers.base import Answer, Prepared
from bench.peers.cases import batch_sizes_of, output_gradient, pack, unpack
from shapes import Case

Given = NDArray[np.floating]


def prepare_training(case: Case, threads: int, seed: int, variant: str) -> Prepared:
    """Weights are plain, since training changes them between two calls.

    All steps take their memory from one pool.
    """
    shape = case.shape
    is_ragged = variant == "packed training"
    d_output: Given = output_gradient(
        shape, seed, is_ragged=is_ragged, fades=variant == "fading gradient"
    )
    features: Given = case.x
    options: dict[str, Any] = {"num_threads": threads, "recompute": variant == "recompute"}
    if is_ragged:
        features, d_output = pack(features, shape), pack(d_output, shape)
        options["batch_sizes"] = batch_sizes_of(shape)

    def forward() -> Any:
        return lstm_native.lstm_vjp(
            *(features, (case.h0, case.c0), case.all_weights, shape.num_layers, 0.0, True),
            shape.bidirectional,
            **options,
        )

    pool = lstm_native.MemoryPool()

    def call() -> Any:
        with pool:
            answer, pullback = forward()
            return answer, pullback(d_output)

    def to_answer(returned: Any) -> Answer:
        (output, h_n, c_n), (d_input, d_states, d_weights) = returned
        if is_ragged:
            output, d_input = unpack(output, shape), unpack(d_input, shape)
        return (output, h_n, c_n, d_input, *d_states, *d_weights)

    return Prepared(call, to_answer, tape_bytes=forward()[1].nbytes)
