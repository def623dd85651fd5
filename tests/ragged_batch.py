"""A ragged batch, padded with `lengths` and as a packed sequence."""

import numpy as np

from calls import assert_same_bits, call_vjp, draw_like
from shapes import Shape
from tolerances import assert_gradients_close

BATCH_SIZES = [9, 9, 6, 5, 1]
RAGGED = Shape("ragged", len(BATCH_SIZES), BATCH_SIZES[0], 6, 21, 2, True)


def packed_rows(case):
    return np.concatenate([case.x[t, :size] for t, size in enumerate(BATCH_SIZES)])


def assert_same_ragged_results(case, **options):
    """Compare both ways' results and gradients; options: of `lstm_vjp`."""
    lengths = [sum(row < size for size in BATCH_SIZES) for row in range(BATCH_SIZES[0])]
    packed, of_packed = call_vjp(case, input=packed_rows(case), batch_sizes=BATCH_SIZES, **options)
    padded, of_padded = call_vjp(case, lengths=lengths, **options)
    steps = [padded[0][t, :size] for t, size in enumerate(BATCH_SIZES)]
    assert_same_bits([np.concatenate(steps), *padded[1:]], packed)
    given = draw_like(padded)
    rows = np.concatenate([given[0][t, :size] for t, size in enumerate(BATCH_SIZES)])
    ours, theirs = of_padded(*given), of_packed(rows, *given[1:])
    d_rows = [ours[0][t, :size] for t, size in enumerate(BATCH_SIZES)]
    assert_same_bits([np.concatenate(d_rows), *ours[1]], [theirs[0], *theirs[1]])
    assert_gradients_close(ours[2], theirs[2])
