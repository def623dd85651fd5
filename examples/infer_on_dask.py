"""Batch inference on a Dask cluster: each worker holds the model.

    pip install -r examples/requirements-clusters.txt
    python examples/infer_on_dask.py [--address ADDRESS] [--workers N] [--sequences N]

Without an address it starts a cluster on this machine. The weights go to each worker once, and are
packed there once, for all of its batches. Where a worker dies, Dask gives its batches to others.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
from distributed import Client, LocalCluster, as_completed

import lstm_native
from clusters.inference import Batch, collect, infer, make_model, make_sequences

BATCH = 64


def batches(
    sequences: Any,
    model: lstm_native.Model,
    client: Client,
    function: Callable[[Batch, lstm_native.Model], Batch] = infer,
) -> Iterator[Batch]:
    """Yield the batches of results as they come, in any order."""
    numbers = np.arange(len(sequences))
    parts = [
        {"number": numbers[k : k + BATCH], "x": sequences[k : k + BATCH]}
        for k in range(0, len(sequences), BATCH)
    ]
    # On every worker, so that one that dies takes no copy with it that others need.
    (there,) = client.scatter([model], broadcast=True)
    futures = client.map(function, parts, model=there, pure=False)
    for _, result in as_completed(futures, with_results=True):
        yield result


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the example; return 0, or 1 where a bit differs from one process's."""
    parser = argparse.ArgumentParser(description="Batch inference on Dask.")
    parser.add_argument("--address", help="of a scheduler (default: start a cluster here)")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--sequences", type=int, default=2000)
    options = parser.parse_args(arguments)
    model, sequences = make_model(), make_sequences(options.sequences)
    cluster = options.address or LocalCluster(
        n_workers=options.workers, threads_per_worker=1, dashboard_address=None
    )
    with Client(cluster) as client:
        hidden = collect(batches(sequences, model, client), len(sequences))
    expected = infer({"number": np.arange(len(sequences)), "x": sequences}, model)["hidden"]
    same = np.array_equal(hidden, expected)
    print("the same bits as one process" if same else "other bits than one process")
    return 0 if same else 1


if __name__ == "__main__":
    sys.exit(main())
