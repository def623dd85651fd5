"""What a call of `lstm` or `lstm_vjp` must do, by their documentation only.

It shares no code with the package: the oracles are the tests' float64 references.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from fuzz.arrays import plain
from reference_lstm import reference_packed
from reference_mask import reference_masked

MOST_LAYERS = 65536  # as docs/errors.md says


def is_int(value: Any, low: int, high: int) -> bool:
    whole = isinstance(value, (int, np.integer)) and not isinstance(value, (bool, np.bool_))
    return whole and low <= int(value) <= high


def is_flag(value: Any) -> bool:
    return isinstance(value, (bool, np.bool_))


def is_rate(value: Any, *, integers: bool) -> bool:
    kinds = (float, np.floating, int, np.integer) if integers else (float, np.floating)
    if isinstance(value, (bool, np.bool_)) or not isinstance(value, kinds):
        return False
    return bool(0 <= value <= 1)


def agree(arrays: Sequence[Any], shapes: Sequence[tuple[int, ...]]) -> bool:
    """Whether all are arrays of one dtype and have these shapes."""
    known = [plain(array) for array in arrays]
    if any(array is None for array in known):
        return False
    if len({array.dtype.newbyteorder("=") for array in known}) > 1:
        return False
    return [array.shape for array in known] == list(shapes)


def weight_shapes(
    features: int, hidden: int, layers: int, bidirectional: bool, flags: Sequence[bool]
) -> list[tuple[int, ...]]:
    """Return the shapes of `all_weights`."""
    transposed, *biases = flags
    shapes: list[tuple[int, ...]] = []
    for layer in range(layers):
        width = features if layer == 0 else hidden * (2 if bidirectional else 1)
        for _ in range(2 if bidirectional else 1):
            pairs = ((4 * hidden, width), (4 * hidden, hidden))
            shapes += [pair[::-1] if transposed else pair for pair in pairs]
            shapes += [(4 * hidden,)] * sum(map(bool, biases))
    return shapes


def listed_ints(value: Any) -> list[int] | None:
    """Return a sequence of ints as a list."""
    try:
        array = np.asarray(value)
    except (TypeError, ValueError):
        return None
    if array.ndim != 1 or (array.size and array.dtype.kind not in "iu"):
        return None
    return array.tolist()


def lengths_fit(call: dict[str, Any], steps: int, batch: int) -> bool:
    """Whether `lengths`, if there are any, are of such a batch."""
    if call.get("lengths") is None:
        return True
    lengths = listed_ints(call["lengths"])
    return lengths is not None and len(lengths) == batch and all(0 <= n <= steps for n in lengths)


def mask_fits(call: dict[str, Any], steps: int, batch: int) -> bool:
    """Whether `mask`, if there is one, is of such a batch without `lengths`."""
    if call.get("mask") is None:
        return call.get("masked_output") != "last"
    try:
        array = np.asarray(call["mask"])
    except (TypeError, ValueError):
        return False
    shape = (batch, steps) if call["batch_first"] else (steps, batch)
    right = array.shape == shape and (array.dtype == np.bool_ or not array.size)
    return right and call.get("lengths") is None


def valid_sizes(call: dict[str, Any]) -> tuple[int, int, int, int] | None:
    """Return (steps, batch, I, H) of a call whose arguments agree, None where they don't."""
    flags = [
        call[name]
        for name in ("weights_transposed", "has_ih_bias", "has_hh_bias", "train", "batch_first")
    ]
    if not (
        all(map(is_flag, (*flags, call["bidirectional"])))
        and is_int(call["num_layers"], 1, MOST_LAYERS)
        and is_rate(call["dropout"], integers=True)
        and (call["seed"] is None or is_int(call["seed"], 0, 2**64 - 1))
        and (call["num_threads"] is None or is_int(call["num_threads"], 1, 128))
    ):
        return None
    states, weights, x = call["initial_states"], call["all_weights"], plain(call["input"])
    if x is None or not (
        states is None or (isinstance(states, (tuple, list)) and len(states) == 2)
    ):
        return None
    if not isinstance(weights, (tuple, list)) or len(weights) < 2:
        return None
    w_hh = plain(weights[1])
    if w_hh is None or w_hh.ndim != 2 or not w_hh.size:
        return None
    hidden = min(w_hh.shape)
    packed = call.get("batch_sizes") is not None
    if packed:
        sizes = listed_ints(call["batch_sizes"])
        alone = call.get("lengths") is None and call.get("mask") is None
        if not alone or not sizes or x.ndim != 2 or len(x) != sum(sizes):
            return None
        if min(sizes) < 1 or sorted(sizes, reverse=True) != sizes:
            return None
        steps, batch = len(sizes), sizes[0]
    elif x.ndim != 3:
        return None
    else:
        steps, batch = x.shape[1::-1] if call["batch_first"] else x.shape[:2]
        if steps < 1 or not (lengths_fit(call, steps, batch) and mask_fits(call, steps, batch)):
            return None
    features = x.shape[-1]
    if features < 1 or call["num_layers"] > len(weights):
        return None
    shapes = weight_shapes(features, hidden, call["num_layers"], call["bidirectional"], flags[:3])
    cells = call["num_layers"] * (2 if call["bidirectional"] else 1)
    if len(shapes) != len(weights):
        return None
    given = [] if states is None else states
    arrays = [call["input"], *given, *weights]
    if not agree(arrays, [x.shape, *[(cells, batch, hidden)] * len(given), *shapes]):
        return None
    return steps, batch, features, hidden


def initial_states(call: dict[str, Any], batch: int, hidden: int) -> Sequence[Any]:
    """Return h_0 and c_0 of a valid call: zeros where it gives none."""
    if call["initial_states"] is not None:
        return call["initial_states"]
    cells = call["num_layers"] * (2 if call["bidirectional"] else 1)
    return [np.zeros((cells, batch, hidden), plain(call["input"]).dtype)] * 2


def answer(call: dict[str, Any], sizes: tuple[int, int, int, int], drop: Any = None) -> list[Any]:
    """Return output, h_outs and c_outs of a valid call, in float64."""
    steps, batch, _, hidden = sizes
    x = np.array(plain(call["input"]), np.float64)
    h_0, c_0 = (np.array(plain(a), np.float64) for a in initial_states(call, batch, hidden))
    weights = [np.array(plain(w), np.float64) for w in call["all_weights"]]
    if call["weights_transposed"]:
        weights = [w.T for w in weights]
    biases = (bool(call["has_ih_bias"]), bool(call["has_hh_bias"]))
    bidirectional = bool(call["bidirectional"])
    width = hidden * (2 if bidirectional else 1)
    if call.get("batch_sizes") is not None:
        listed = listed_ints(call["batch_sizes"])
        done = reference_packed(x, h_0, c_0, weights, bidirectional, listed, biases, drop)
        return [done.output, done.h_n, done.c_n]
    first = bool(call["batch_first"])
    x = x.swapaxes(0, 1) if first else x
    if call.get("mask") is not None:
        mask = np.asarray(call["mask"], np.bool_)
        given = (x, (h_0, c_0), weights, [False, True][: 1 + bidirectional])
        repeats = call["masked_output"] == "last"
        done = reference_masked(*given, mask.T if first else mask, repeats, biases)
        return [done[0].swapaxes(0, 1) if first else done[0], *done[1:]]
    lengths = [steps] * batch
    if call.get("lengths") is not None:
        lengths = listed_ints(call["lengths"])
    output, h_n, c_n = np.zeros((steps, batch, width)), h_0.copy(), c_0.copy()
    order = [n for n in sorted(range(batch), key=lambda n: -lengths[n]) if lengths[n]]
    if order:
        counts = [sum(lengths[n] > t for n in order) for t in range(lengths[order[0]])]
        rows = np.concatenate([x[t, order[:count]] for t, count in enumerate(counts)])
        given = (rows, h_0[:, order], c_0[:, order], weights, bidirectional, counts, biases, drop)
        done = reference_packed(*given)
        h_n[:, order], c_n[:, order] = done.h_n, done.c_n
        parts = np.split(done.output, np.cumsum(counts)[:-1])
        for t, (count, part) in enumerate(zip(counts, parts, strict=True)):
            output[t, order[:count]] = part
    return [output.swapaxes(0, 1) if first else output, h_n, c_n]
