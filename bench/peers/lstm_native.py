"""Runs lstm_native."""

from __future__ import annotations

from typing import Any

import lstm_native
from bench.peers import OURS
from bench.peers.base import Answer, Peer, Prepared
from bench.peers.cases import batch_sizes_of, lengths_of, pack, unpack
from bench.peers.lstm_native_training import prepare_training
from bench.peers.variants import ISAS, REDUCED, TRAINING_VARIANTS, base_isa
from shapes import Case


class Adapter(Peer):
    """Weights are packed beforehand, except in the variant that gives them plain at each call.

    That way keeps its working memory in a pool, as users would who have a reason not to pack.
    """

    variants = (
        *("plain", "float16", "padded", "packed sequence", "lengths", *ISAS),
        *(name.partition(" ")[2] for name in REDUCED),
        *TRAINING_VARIANTS,
    )

    def __init__(self, variant: str = "") -> None:
        super().__init__(variant)
        in_use = lstm_native.get_config()["isa"]["in_use"]
        if variant in ISAS and variant != base_isa(in_use):
            raise RuntimeError(f"{in_use} is in use, not {variant}")

    def prepare(self, case: Case, threads: int, seed: int) -> Prepared:
        if self.variant in TRAINING_VARIANTS:
            return prepare_training(case, threads, seed, self.variant)
        shape = case.shape
        weights = case.all_weights if self.variant == "plain" else self._pack_weights(case)
        features, raggedness = self._sequences(case)

        def call() -> Answer:
            answer: Answer = lstm_native.lstm(
                features,
                (case.h0, case.c0),
                weights,
                shape.num_layers,
                0.0,
                False,
                shape.bidirectional,
                num_threads=threads,
                **raggedness,
            )
            return answer

        pool = lstm_native.MemoryPool()

        def call_in_pool() -> Answer:
            with pool:
                return call()

        def to_answer(answer: Answer) -> Answer:
            output, h_n, c_n = answer
            return (unpack(output, shape) if "batch_sizes" in raggedness else output), h_n, c_n

        return Prepared(call_in_pool if self.variant == "plain" else call, to_answer)

    def versions(self) -> dict[str, str]:
        return {"lstm_native": lstm_native.__version__}

    def config(self) -> dict[str, Any]:
        return lstm_native.get_config()

    def _pack_weights(self, case: Case) -> Any:
        weight_dtype, compute = REDUCED.get(f"{OURS} {self.variant}", (None, None))
        if self.variant == "float16":
            weight_dtype = "float16"
        return lstm_native.pack_weights(
            case.all_weights,
            case.shape.num_layers,
            case.shape.bidirectional,
            weight_dtype=weight_dtype,
            compute=compute,
        )

    def _sequences(self, case: Case) -> tuple[Any, dict[str, Any]]:
        """The input with the arguments that tell its sequences' lengths."""
        if self.variant == "packed sequence":
            return pack(case.x, case.shape), {"batch_sizes": batch_sizes_of(case.shape)}
        if self.variant == "lengths":
            return case.x, {"lengths": lengths_of(case.shape)}
        return case.x, {}
