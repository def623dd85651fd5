"""Padded batches: each row is what its own sequence would be, whatever the padding holds."""

import array

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import lstm_native
from array_kinds import ArrayOnly, DlpackOnly, at_offset, backwards, read_only
from calls import DTYPES, THREADS, assert_same_bits, call_lstm, pack
from few_and_all import few_of
from ragged import fill_padding, padded_again, sorted_rows
from reference_dropout import drop_with
from reference_lstm import reference, reference_packed
from shapes import Shape, make_case
from tolerances import assert_close

SEQ_LEN = 7
LENGTHS = {
    "falling": [7, 5, 4, 1],
    "rising": [1, 2, 6, 7],
    "mixed": [3, 7, 1, 7, 2],
    "none full": [4, 2, 5],
    "zeros among them": [0, 5, 0, 7, 3, 0],
    "a zero first": [0, 7],
    "all zero": [0, 0, 0],
    "all full": [7, 7, 7],
    "one step each": [1, 1, 1, 1],
    "one row": [4],
    "one full row": [7],
    "one row of none": [0],
    "no rows": [],
    # Rests of row tiles at many steps, and more rows than a chunk of the projection takes.
    "many": [(5 * row) % 8 for row in range(75)],
}
STACKS = {
    "one layer": {},
    "bidirectional": {"bidirectional": True},
    "two layers": {"num_layers": 2},
    "three bidirectional layers": {"num_layers": 3, "bidirectional": True},
}

every_lengths = pytest.mark.parametrize("lengths", LENGTHS.values(), ids=LENGTHS.keys())
every_stack = few_of("stack", STACKS, ["three bidirectional layers"])
every_dtype = few_of("dtype", DTYPES, [np.float32])
plain_or_packed = pytest.mark.parametrize("packed", [False, True], ids=["plain", "packed"])


def make(lengths, dtype=np.float32, seed=1, seq_len=SEQ_LEN, inputs=6, hidden=9, **stack):
    """A case, with garbage in the padding that would show anywhere."""
    shape = Shape("padded", seq_len, len(lengths), inputs, hidden, **stack)
    case = make_case(shape, dtype, seed)
    fill_padding(case.x, lengths, np.nan)
    return case


def call(case, lengths, packed=False, **changes):
    weights = pack(case) if packed else case.all_weights
    return call_lstm(case, **{"all_weights": weights, "lengths": lengths, **changes})


def reference_by_row(case, lengths):
    """(output, h_n, c_n), each sequence run by itself."""
    shape = case.shape
    width = shape.num_directions * shape.hidden_size
    output = np.zeros((shape.seq_len, shape.batch, width))
    h_n, c_n = np.array(case.h0, np.float64), np.array(case.c0, np.float64)
    for row, length in enumerate(lengths):
        one = slice(row, row + 1)
        if length > 0:
            states = case.h0[:, one], case.c0[:, one]
            alone = reference(case.x[:length, one], *states, case.all_weights, shape.bidirectional)
            output[:length, one], h_n[:, one], c_n[:, one] = alone.output, alone.h_n, alone.c_n
    return output, h_n, c_n


def assert_padded(got, case, lengths):
    for ours, theirs in zip(got, reference_by_row(case, lengths), strict=True):
        assert ours.dtype == case.x.dtype
        assert_close(ours, theirs, "value")
    assert_exact_where_nothing_is_computed(got, case, lengths)


def assert_exact_where_nothing_is_computed(got, case, lengths):
    output, h_n, c_n = got
    for row, length in enumerate(lengths):
        padding = np.zeros_like(output[length:, row])
        assert_same_bits([output[length:, row]], [padding])  # 0.0, and not -0.0
        if length == 0:
            assert_same_bits([h_n[:, row], c_n[:, row]], [case.h0[:, row], case.c0[:, row]])


# --- results ----------------------------------------------------------------------------------


@every_dtype
@plain_or_packed
@every_stack
@every_lengths
def test_each_row_is_its_own_sequence(lengths, stack, packed, dtype):
    case = make(lengths, dtype, **STACKS[stack])
    assert_padded(call(case, lengths, packed), case, lengths)


@pytest.mark.parametrize("name", ["mixed", "zeros among them", "all zero", "one row", "no rows"])
def test_batch_first(name):
    lengths = LENGTHS[name]
    case = make(lengths, num_layers=2, bidirectional=True)
    x = np.ascontiguousarray(case.x.swapaxes(0, 1))
    output, h_n, c_n = call(case, lengths, True, input=x, batch_first=True)
    assert output.shape == (len(lengths), SEQ_LEN, 18)
    assert output.flags.c_contiguous
    time_major = call(case, lengths, True)
    assert_same_bits((output.swapaxes(0, 1), h_n, c_n), time_major)


random_stacks = st.fixed_dictionaries(
    {
        "inputs": st.integers(1, 20),
        "hidden": st.integers(1, 40),
        "num_layers": st.integers(1, 3),
        "bidirectional": st.booleans(),
    }
)


@plain_or_packed
@every_stack
def test_full_lengths_are_none(stack, packed):
    case = make([SEQ_LEN] * 5, **STACKS[stack])
    got = call(case, [SEQ_LEN] * 5, packed)
    without = call(case, None, packed)
    if packed:
        assert_same_bits(got, without)
    else:  # padded rows are not evenly spaced, so BLAS doesn't read them
        for ours, theirs in zip(got, without, strict=True):
            assert_close(ours, theirs, "layout")


@every_lengths
def test_negative_zeros_and_states_past_the_end(lengths):
    # States of all kinds come back untouched where nothing was computed.
    case = make(lengths, bidirectional=True)
    for array_of_states in (case.h0, case.c0):
        array_of_states[...] = np.resize([-0.0, np.inf, np.nan, 1e-45], array_of_states.shape)
    got = call(case, lengths, packed=True)
    assert_exact_where_nothing_is_computed(got, case, lengths)


@plain_or_packed
@every_stack
@pytest.mark.parametrize("name", ["mixed", "zeros among them", "all zero", "many"])
def test_padding_never_matters(name, stack, packed):
    lengths = LENGTHS[name]
    case = make(lengths, **STACKS[stack])
    expected = call(case, lengths, packed)
    for value in (0.0, -0.0, np.inf, -np.inf, 3e38, 1e-45):
        fill_padding(case.x, lengths, value)
        assert_same_bits(call(case, lengths, packed), expected)


@plain_or_packed
def test_a_bad_value_stays_in_its_own_row(packed):
    lengths = LENGTHS["mixed"]
    case = make(lengths, num_layers=2, bidirectional=True)
    clean = call(case, lengths, packed)
    case.x[1, 1] = np.nan
    spoilt = call(case, lengths, packed)
    others = np.arange(len(lengths)) != 1
    assert_same_bits([a[:, others] for a in spoilt], [a[:, others] for a in clean])
    assert np.isnan(spoilt[1][:, 1]).all()


@every_dtype
@every_stack
@pytest.mark.parametrize("name", ["mixed", "zeros among them", "many"])
def test_a_row_does_not_depend_on_the_other_rows(name, stack, dtype):
    lengths = LENGTHS[name]
    case = make(lengths, dtype, **STACKS[stack])
    packed = pack(case)
    whole = call(case, lengths, all_weights=packed)
    for row, length in enumerate(lengths):
        if length == 0:
            continue
        one = slice(row, row + 1)
        alone = call_lstm(
            case,
            input=case.x[:length, one],
            initial_states=(case.h0[:, one], case.c0[:, one]),
            all_weights=packed,
        )
        got = (whole[0][:length, one], whole[1][:, one], whole[2][:, one])
        assert_same_bits(alone, got)


# --- against a packed sequence ----------------------------------------------------------------


@every_dtype
@every_stack
@pytest.mark.parametrize("name", [name for name, listed in LENGTHS.items() if any(listed)])
def test_same_bits_as_the_packed_sequence(name, stack, dtype):
    lengths = LENGTHS[name]
    case = make(lengths, dtype, **STACKS[stack])
    weights = pack(case)
    x, states, sizes, _ = sorted_rows(case, lengths)
    options = {"dropout": 0.5, "train": True, "seed": 9} if case.shape.num_layers > 1 else {}
    for more in ({}, options):
        packed = call_lstm(
            case, input=x, initial_states=states, all_weights=weights, batch_sizes=sizes, **more
        )
        expected = padded_again(packed[0], packed[1:], (case.h0, case.c0), lengths, SEQ_LEN)
        assert_same_bits(call(case, lengths, all_weights=weights, **more), expected)


@every_dtype
@every_stack
@pytest.mark.parametrize("name", ["mixed", "zeros among them", "many"])
def test_plain_weights_against_the_packed_sequence(name, stack, dtype):
    # There BLAS may read one of the two and not the other.
    lengths = LENGTHS[name]
    case = make(lengths, dtype, **STACKS[stack])
    x, states, sizes, _ = sorted_rows(case, lengths)
    packed = call_lstm(case, input=x, initial_states=states, batch_sizes=sizes)
    expected = padded_again(packed[0], packed[1:], (case.h0, case.c0), lengths, SEQ_LEN)
    for ours, theirs in zip(call(case, lengths), expected, strict=True):
        assert_close(ours, theirs, "layout")


# --- dropout ----------------------------------------------------------------------------------


@plain_or_packed
@pytest.mark.parametrize("bidirectional", [False, True])
@pytest.mark.parametrize("name", ["mixed", "zeros among them", "many"])
def test_dropout_by_the_reference(name, bidirectional, packed):
    # Masks belong to the steps that there are, counted as a packed sequence counts them.
    lengths = LENGTHS[name]
    case = make(lengths, num_layers=3, bidirectional=bidirectional)
    got = call(case, lengths, packed, dropout=0.4, train=True, seed=77)
    x, states, sizes, _ = sorted_rows(case, lengths)
    drop = drop_with(0.4, 77, 0)
    answer = reference_packed(x, *states, case.all_weights, bidirectional, sizes, drop=drop)
    states = (answer.h_n, answer.c_n)
    expected = padded_again(answer.output, states, (case.h0, case.c0), lengths, SEQ_LEN)
    for ours, theirs in zip(got, expected, strict=True):
        assert_close(ours, theirs, "value")
    assert_exact_where_nothing_is_computed(got, case, lengths)


@plain_or_packed
@pytest.mark.parametrize("name", ["mixed", "zeros among them", "all zero", "many"])
def test_dropout_is_the_same_each_time_and_for_any_number_of_threads(name, packed):
    lengths = LENGTHS[name]
    case = make(lengths, num_layers=3, bidirectional=True)
    options = {"dropout": 0.5, "train": True, "seed": 5}
    expected = call(case, lengths, packed, num_threads=1, **options)
    for threads in THREADS:
        assert_same_bits(call(case, lengths, packed, num_threads=threads, **options), expected)
    fill_padding(case.x, lengths, 0.0)
    assert_same_bits(call(case, lengths, packed, **options), expected)
    if name == "all zero":
        return
    other = call(case, lengths, packed, **{**options, "seed": 6})
    assert not np.array_equal(other[0], expected[0])


def test_dropout_takes_one_from_the_generator():
    lengths = LENGTHS["mixed"]
    case = make(lengths, num_layers=2)
    lstm_native.manual_seed(3)
    got = [call(case, lengths, dropout=0.5, train=True) for _ in range(2)]
    assert_same_bits(got[0], call(case, lengths, dropout=0.5, train=True, seed=3))
    assert not np.array_equal(got[0][0], got[1][0])
    lstm_native.manual_seed(3)
    assert_same_bits(call(case, lengths, dropout=0.5, train=True), got[0])
    assert_same_bits(call(case, lengths, dropout=0.5, train=True), got[1])


# --- threads ----------------------------------------------------------------------------------


# Rows of very unequal lengths, so that shares of the rows hold unequal numbers of them; one long
# row among empty ones, so that there are more threads than rows with anything to do.
UNEQUAL = {
    "one long row": ([30, *[1] * 39], {}),
    "one row of any length": ([0, 0, 30, 0, 0, 0, 0, 0], {}),
    "steep": ([max(0, 30 - 2 * row) for row in range(40)], {"bidirectional": True}),
    "two layers": ([(7 * row) % 31 for row in range(64)], {"num_layers": 2}),
    "wide": ([30, 3, 11], {"hidden": 264, "bidirectional": True}),
    "as many rows as threads": ([30, 20, 10, 5, 4, 3, 2, 1], {"hidden": 64}),
}


@every_dtype
@plain_or_packed
@pytest.mark.parametrize(("lengths", "options"), UNEQUAL.values(), ids=UNEQUAL.keys())
def test_same_bits_for_any_number_of_threads(lengths, options, packed, dtype):
    case = make(lengths, dtype, seq_len=30, **options)
    expected = call(case, lengths, packed, num_threads=1)
    for threads in THREADS[1:]:
        assert_same_bits(call(case, lengths, packed, num_threads=threads), expected)


@pytest.mark.parametrize("threads", THREADS[1:])
def test_threads_that_are_ahead_of_others_disturb_none(threads):
    # Many more rows than a projection takes at a time, in shares of very unequal lengths: a thread
    # reaches the next part of the sequence while another is still busy with the one before.
    lengths = [150] * 8 + [30] * 56
    case = make(lengths, seq_len=150, hidden=8)
    weights = pack(case)
    expected = call(case, lengths, all_weights=weights, num_threads=1)
    x, states, sizes, _ = sorted_rows(case, lengths)
    options = {"initial_states": states, "all_weights": weights, "batch_sizes": sizes}
    for _ in range(20):
        got = call(case, lengths, all_weights=weights, num_threads=threads)
        assert_same_bits(got, expected)
        rows = call_lstm(case, input=x, num_threads=threads, **options)
        again = padded_again(rows[0], rows[1:], (case.h0, case.c0), lengths, 150)
        assert_same_bits(again, expected)


@given(
    st.lists(st.integers(0, 12), min_size=1, max_size=40),
    random_stacks,
    st.booleans(),
    st.integers(0, 2**32 - 1),
)
def test_same_bits_for_random_lengths(lengths, stack, packed, seed):
    case = make(lengths, np.float32, seed, 12, **stack)
    expected = call(case, lengths, packed, num_threads=1)
    for threads in THREADS[1:]:
        assert_same_bits(call(case, lengths, packed, num_threads=threads), expected)


# --- the argument -----------------------------------------------------------------------------

MIXED = np.array(LENGTHS["mixed"])
OF_MANY_KINDS = {
    "tuple": tuple(MIXED.tolist()),
    "list of NumPy ints": list(MIXED),
    "range": range(1, 6),
    "uint8": MIXED.astype(np.uint8),
    "byte_swapped": MIXED.astype(">i4"),
    "every_other": np.repeat(MIXED, 2)[::2],
    "backwards": backwards(MIXED),
    "read_only": read_only(MIXED),
    "odd_offset": at_offset(MIXED, 1),
    "__array__": ArrayOnly(MIXED),
    "__dlpack__": DlpackOnly(MIXED),
    "memoryview": memoryview(MIXED),
    "array.array": array.array("q", MIXED.tolist()),
}


@pytest.mark.parametrize("kind", OF_MANY_KINDS)
def test_lengths_of_many_kinds(kind):
    given_lengths = OF_MANY_KINDS[kind]
    plain = list(range(1, 6)) if kind == "range" else MIXED.tolist()
    case = make(plain)
    kept = MIXED.copy()
    assert_same_bits(call(case, given_lengths), call(case, plain))
    np.testing.assert_array_equal(MIXED, kept)


def test_an_empty_batch_has_no_lengths():
    case = make([], num_layers=2, bidirectional=True)
    for none in ([], (), np.zeros(0, np.int64), np.zeros(0)):
        output, h_n, c_n = call(case, none)
        assert output.shape == (SEQ_LEN, 0, 18)
        assert h_n.shape == c_n.shape == (4, 0, 9)


@plain_or_packed
@pytest.mark.parametrize(
    "layout",
    [np.asfortranarray, backwards, lambda x: np.repeat(x, 2, axis=1)[:, ::2], read_only],
    ids=["fortran", "backwards", "every_other", "read_only"],
)
def test_input_of_any_layout(layout, packed):
    lengths = LENGTHS["zeros among them"]
    case = make(lengths)
    expected = call(case, lengths, packed)
    assert_same_bits(call(case, lengths, packed, input=layout(case.x)), expected)
