"""Batch inference on a Ray cluster: an actor of each worker holds the model.

    pip install -r examples/requirements-clusters.txt
    python examples/infer_on_ray.py [--address ADDRESS] [--workers N] [--sequences N]

Without an address it starts a cluster on this machine. The weights go to each node's shared memory
once; an actor packs them once, for all of its batches. Where a worker dies, Ray starts another one,
and gives it the batches that the dead one has not returned.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import ray

import lstm_native
from clusters.inference import Batch, collect, infer, make_model, make_sequences

BATCH = 64


class Inference:
    """What a worker's actor does. `models` are references to one: Ray's shared memory has it."""

    def __init__(self, models: list[Any]) -> None:
        (self._model,) = ray.get(models)

    def __call__(self, batch: Batch) -> Batch:
        """Infer a batch."""
        return infer(batch, self._model)


def batches(
    sequences: Any, model: lstm_native.Model, workers: int, actor: type = Inference
) -> Iterator[Batch]:
    """Yield the batches of results as they come, in any order."""
    rows = [{"number": number, "x": x} for number, x in enumerate(sequences)]
    blocks = -(-len(rows) // BATCH)
    results = ray.data.from_items(rows, override_num_blocks=blocks).map_batches(
        actor,
        fn_constructor_args=([ray.put(model)],),
        batch_size=BATCH,
        concurrency=workers,
    )
    yield from results.iter_batches(batch_size=None, batch_format="numpy")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the example; return 0, or 1 where a bit differs from one process's."""
    parser = argparse.ArgumentParser(description="Batch inference on Ray.")
    parser.add_argument("--address", help="of a cluster (default: start one here)")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--sequences", type=int, default=2000)
    options = parser.parse_args(arguments)
    if options.address:
        ray.init(options.address)
    else:
        ray.init(num_cpus=options.workers + 1, include_dashboard=False)
    model, sequences = make_model(), make_sequences(options.sequences)
    hidden = collect(batches(sequences, model, options.workers), len(sequences))
    ray.shutdown()
    expected = infer({"number": np.arange(len(sequences)), "x": sequences}, model)["hidden"]
    same = np.array_equal(hidden, expected)
    print("the same bits as one process" if same else "other bits than one process")
    return 0 if same else 1


if __name__ == "__main__":
    sys.exit(main())
