"""The model, the data set, and what each worker does with a batch of it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
import numpy.typing as npt
from tqdm import tqdm

import lstm_native

Batch = dict[str, npt.NDArray[Any]]

STEPS, FEATURES, UNITS, LAYERS = 50, 32, 128, 2


def make_model() -> lstm_native.Model:
    """Return a model with random weights; yours comes from `lstm_native.load`."""
    rng = np.random.default_rng(1)
    weights: list[npt.NDArray[Any]] = []
    for inputs in (FEATURES, *[UNITS] * (LAYERS - 1)):
        for shape in ((4 * UNITS, inputs), (4 * UNITS, UNITS), (4 * UNITS,), (4 * UNITS,)):
            weights.append(rng.uniform(-0.1, 0.1, shape).astype(np.float32))
    return lstm_native.Model(weights, LAYERS, batch_first=True)


def make_sequences(count: int) -> npt.NDArray[np.float32]:
    """Return sequences (count, STEPS, FEATURES); yours come from files."""
    return np.random.default_rng(2).standard_normal((count, STEPS, FEATURES)).astype(np.float32)


def infer(batch: Batch, model: lstm_native.Model) -> Batch:
    """Return the last hidden state of each sequence, with the sequence's number.

    A worker is a process with a core by itself, so that one thread is right.
    """
    output, _ = model(batch["x"], num_threads=1)
    return {"number": batch["number"], "hidden": np.ascontiguousarray(output[:, -1])}


def collect(batches: Iterable[Batch], count: int) -> npt.NDArray[np.float32]:
    """Return all hidden states in the order of the sequences; show how many there are.

    Each sequence must come once, whatever has happened to the workers meanwhile.
    """
    hidden = np.empty((count, UNITS), np.float32)
    seen = np.zeros(count, int)
    with tqdm(total=count, unit=" sequences") as bar:
        for batch in batches:
            hidden[batch["number"]] = batch["hidden"]
            np.add.at(seen, batch["number"], 1)
            bar.update(len(batch["number"]))
    if not np.all(seen == 1):
        raise RuntimeError(
            f"expected each of {count} sequences once, got {np.sum(seen == 0)} of them never and "
            f"{np.sum(seen > 1)} several times"
        )
    return hidden
