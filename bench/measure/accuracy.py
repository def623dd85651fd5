"""Measures errors: of results against float64, and of the activations in units of the last place.

python -m bench.measure.accuracy
"""

from __future__ import annotations

import argparse

import numpy as np
from numpy.typing import DTypeLike

from bench.peers.oracle import batched_lstm
from lstm_native import get_config, lstm, pack_weights
from lstm_native._types import Compute, WeightDtype
from shapes import Shape, make_case
from ulp import worst_ulp

SEQ_LENS = (1, 10, 100)
HIDDEN_SIZES = (32, 128, 512)
SEEDS = 3
FORMATS: dict[str, tuple[WeightDtype, Compute | None]] = {
    "float16": ("float16", None),
    "bfloat16": ("bfloat16", None),
    "bfloat16 products": ("bfloat16", "bfloat16"),
    "int8": ("int8", None),
    "int8 products": ("int8", "int8"),
}
# Every 61st float32: 70 million of the 2^32, all exponents among them.
STRIDE = 61


def largest_error(seq_len: int, hidden_size: int, dtype: DTypeLike) -> float:
    """Largest difference from float64 (for float64: from itself in another order of summing)."""
    shape = Shape("accuracy", seq_len, 4, hidden_size, hidden_size)
    worst = 0.0
    for seed in range(SEEDS):
        case = make_case(shape, dtype, seed)
        got = lstm(case.x, (case.h0, case.c0), case.all_weights, 1, 0.0, False, False)
        expected = batched_lstm(case)
        worst = max(worst, *(np.abs(a - b).max() for a, b in zip(got, expected, strict=True)))
    return worst


def largest_rounded_error(
    seq_len: int, hidden_size: int, weight_dtype: WeightDtype, compute: Compute | None
) -> float:
    """Largest difference from float64 with the weights as they were before they lost bits."""
    shape = Shape("accuracy", seq_len, 4, hidden_size, hidden_size)
    worst = 0.0
    for seed in range(SEEDS):
        case = make_case(shape, np.float32, seed)
        packed = pack_weights(
            case.all_weights, 1, False, weight_dtype=weight_dtype, compute=compute
        )
        got = lstm(case.x, (case.h0, case.c0), packed, 1, 0.0, False, False)
        expected = batched_lstm(case)
        worst = max(worst, *(np.abs(a - b).max() for a, b in zip(got, expected, strict=True)))
    return worst


def largest_ulp(name: str, isa: str) -> int:
    """Largest distance from the correctly rounded float32, in units of the last place."""
    return max(
        worst_ulp(name, isa, np.arange(first, first + 2**26, STRIDE, np.uint32).view(np.float32))
        for first in range(0, 2**32, 2**26)
    )


def main() -> None:
    argparse.ArgumentParser(description=__doc__.splitlines()[0]).parse_args()
    print(f"Largest difference from the float64 reference, N = 4, I = H, {SEEDS} seeds")
    print(f"{'T':>5}{'H':>6}{'float32':>12}{'float64':>12}")
    for seq_len in SEQ_LENS:
        for hidden_size in HIDDEN_SIZES:
            errors = [largest_error(seq_len, hidden_size, t) for t in (np.float32, np.float64)]
            print(f"{seq_len:5}{hidden_size:6}{errors[0]:12.1e}{errors[1]:12.1e}")
    print("\nThe same with fewer bits, against float64 with all of them")
    print(f"{'T':>5}{'H':>6}" + "".join(f"{name:>19}" for name in FORMATS))
    for seq_len in SEQ_LENS:
        for hidden_size in HIDDEN_SIZES:
            errors = [largest_rounded_error(seq_len, hidden_size, *f) for f in FORMATS.values()]
            print(f"{seq_len:5}{hidden_size:6}" + "".join(f"{error:19.1e}" for error in errors))
    print(f"\nLargest distance from the correctly rounded float32, every {STRIDE}th input, ulp")
    for isa in get_config()["isa"]["supported"]:
        worst = {name: largest_ulp(name, isa) for name in ("sigmoid", "tanh")}
        print(f"{isa:>10}: sigmoid {worst['sigmoid']}, tanh {worst['tanh']}")


if __name__ == "__main__":
    main()
