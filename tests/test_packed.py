"""Packed sequences: the semantics of torch's pack_padded_sequence, by the float64 reference."""

import numpy as np
import pytest

from calls import DTYPES, assert_same_bits, call_lstm
from reference_lstm import reference_packed
from shapes import Shape, make_case
from tolerances import assert_close


def packed_case(batch_sizes, dtype, seed=0, input_size=6, hidden_size=9, **options):
    shape = Shape("packed", len(batch_sizes), batch_sizes[0], input_size, hidden_size, **options)
    case = make_case(shape, dtype, seed)
    rows = np.concatenate([case.x[t, :size] for t, size in enumerate(batch_sizes)])
    return case, rows


def assert_packed(batch_sizes, dtype, seed=0, **options):
    case, rows = packed_case(batch_sizes, dtype, seed, **options)
    got = call_lstm(case, input=rows, batch_sizes=batch_sizes)
    expected = reference_packed(
        rows, case.h0, case.c0, case.all_weights, case.shape.bidirectional, batch_sizes
    )
    for ours, theirs in zip(got, (expected.output, expected.h_n, expected.c_n), strict=True):
        assert ours.dtype == dtype
        assert_close(ours, theirs, "value")


@pytest.mark.parametrize(
    "batch_sizes",
    [[1], [1, 1, 1], [3, 3, 3], [4, 3, 1], [40, 33, 17, 16, 9, 1], [9, 1, 1, 1, 1]],
    ids=str,
)
def test_batch_sizes(batch_sizes):
    for dtype in DTYPES:
        assert_packed(batch_sizes, dtype, num_layers=2, bidirectional=True)


def test_each_sequence_is_what_it_would_be_alone():
    batch_sizes = [3, 2, 2, 1]
    case, rows = packed_case(batch_sizes, np.float64, bidirectional=True)
    _, h_n, c_n = call_lstm(case, input=rows, batch_sizes=batch_sizes)
    for n, length in enumerate((4, 3, 1)):
        alone = call_lstm(
            case,
            input=case.x[:length, n : n + 1],
            initial_states=(case.h0[:, n : n + 1], case.c0[:, n : n + 1]),
        )
        assert_close(h_n[:, n : n + 1], alone[1], "layout")
        assert_close(c_n[:, n : n + 1], alone[2], "layout")


def test_batch_first_has_no_effect_on_a_packed_sequence():
    case, rows = packed_case([3, 2, 1], np.float32)
    plain = call_lstm(case, input=rows, batch_sizes=[3, 2, 1])
    assert_same_bits(call_lstm(case, input=rows, batch_sizes=[3, 2, 1], batch_first=True), plain)


@pytest.mark.parametrize("make", [tuple, np.array, lambda s: np.array(s, np.uint8), memoryview])
def test_batch_sizes_of_many_kinds(make):
    case, rows = packed_case([3, 2, 1], np.float32)
    plain = call_lstm(case, input=rows, batch_sizes=[3, 2, 1])
    sizes = make(np.array([3, 2, 1])) if make is memoryview else make([3, 2, 1])
    assert_same_bits(call_lstm(case, input=rows, batch_sizes=sizes), plain)


def test_scattered_rows():
    case, rows = packed_case([5, 3, 1], np.float32)
    plain = call_lstm(case, input=rows, batch_sizes=[5, 3, 1])
    for scattered in (np.asfortranarray(rows), np.repeat(rows, 2, 0)[::2], rows[::-1].copy()[::-1]):
        assert_same_bits(call_lstm(case, input=scattered, batch_sizes=[5, 3, 1]), plain)
