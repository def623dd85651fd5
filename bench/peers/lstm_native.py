"""Runs lstm_native."""

from __future__ import annotations

from typing import Any

import lstm_native
from bench.peers.base import Answer, Peer, Prepared
from shapes import Case


class Adapter(Peer):
    def prepare(self, case: Case, threads: int) -> Prepared:
        shape = case.shape

        def call() -> Answer:
            answer: Answer = lstm_native.lstm(
                case.x,
                (case.h0, case.c0),
                case.all_weights,
                shape.num_layers,
                0.0,
                False,
                shape.bidirectional,
                has_ih_bias=case.has_ih_bias,
                has_hh_bias=case.has_hh_bias,
                num_threads=threads,
            )
            return answer

        return Prepared(call, lambda answer: answer)

    def versions(self) -> dict[str, str]:
        return {"lstm_native": lstm_native.__version__}

    def config(self) -> dict[str, Any]:
        return lstm_native.get_config()
