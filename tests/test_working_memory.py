"""The working memory of a call: what docs/reliability.md says, and explain() to the byte."""

import json
import tracemalloc
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import lstm_native
from calls import call_lstm, pack
from fresh_interpreter import ask
from native_libraries import compiled
from shapes import Shape, make_case

LINE = 64  # bytes: each part begins on a cache line
POINTERS = {"forward": 7, "backward": 11}  # per row of a step and thread, of 8 bytes each


def rounded_up(number, to):
    return -(-number // to) * to


def forward_bytes(T, N, I, H, L, D, lengths, element, threads, about, plain):  # noqa: E741
    """The page's formula."""
    R = sum(lengths) if lengths else T * N
    units = rounded_up(H, about.lanes)
    chunk = max(128 + N, 4 * N if lengths else 0, 8 * N if about.wavefront else 0)
    layers = L if about.wavefront else D
    elements = layers * (chunk * 4 * units + about.lanes)
    elements += (L - 1 if about.wavefront else min(L - 1, 2)) * R * D * H
    if plain:
        elements += D * 4 * units * (max(I, D * H if L > 1 else 0) + H + 1)
    parts = 12 + L
    return elements * element + threads * chunk * POINTERS["forward"] * 8 + parts * LINE


sizes = st.fixed_dictionaries(
    {
        "seq_len": st.integers(1, 300),
        "batch": st.integers(1, 300),
        "input_size": st.integers(1, 300),
        "hidden_size": st.integers(1, 300),
        "num_layers": st.integers(1, 6),
        "bidirectional": st.booleans(),
    }
)


@given(
    sizes,
    st.sampled_from(["float32", "float64"]),
    st.booleans(),
    st.booleans(),
    st.integers(1, 8),
    st.integers(0, 2**32 - 1),
)
def test_forward_is_within_the_formula(shape, dtype, packed, ragged, threads, seed):
    lengths = None
    if ragged:
        rng = np.random.default_rng(seed)
        lengths = rng.integers(0, shape["seq_len"] + 1, shape["batch"]).tolist()
    about = lstm_native.explain(
        **shape, dtype=dtype, packed=packed, lengths=lengths, num_threads=threads
    )
    numbers = (shape[n] for n in ("seq_len", "batch", "input_size", "hidden_size", "num_layers"))
    bound = forward_bytes(
        *numbers,
        2 if shape["bidirectional"] else 1,
        lengths,
        np.dtype(dtype).itemsize,
        threads,
        about,
        not packed,
    )
    assert about.workspace_bytes <= bound


def backward_bytes(lanes, call, T, N, I, H, L, D):  # noqa: E741
    """The page's formula."""
    lengths, threads, element = call.get("lengths"), call["num_threads"], call["element"]
    R = sum(lengths) if lengths else T * N
    units = rounded_up(H, 2 * lanes)
    widest = rounded_up(max(I, D * H if L > 1 else 0), 2 * lanes)
    # Gradients of gates, W_hh or W_ih, h before.
    elements = D * 4 * H * (R + max(units, widest)) + D * R * H
    if R >= 128 and max(H, widest) >= 256:
        elements += (min(R, 1024) + 32) * (5 * D * units + widest)
    elements += 2 * R * D * H if L > 1 else 0
    elements += 2 * R * I if lengths or call.get("batch_first") else 0
    elements += D * N * (H + units)
    parts = 16
    total = elements * element + threads * N * POINTERS["backward"] * 8 + parts * LINE
    if call["recompute"]:
        about = SimpleNamespace(lanes=lanes, wavefront=False)
        total += forward_bytes(T, N, I, H, L, D, lengths, element, threads, about, plain=True)
    return total


@pytest.mark.thorough
def test_what_calls_take_is_what_is_said(tmp_path):
    shim = str(compiled("allocations", tmp_path))
    code, output, error = ask("working_memory.py", LD_PRELOAD=shim)
    assert code == 0, error
    rows = json.loads(output)
    assert len(rows) == 3 * 24 + 2 * 4 + 1 + 2 + 2
    for way, used, said, call, shape in rows:
        seq_len, batch, _, _, layers, directions = shape
        # The plan, views of weights, what threads meet at; and lists, where lengths differ.
        bookkeeping = 4096 + 1024 * layers * directions + 128 * call["num_threads"]
        if call.get("lengths"):
            bookkeeping += 8 * (seq_len + 4 * batch + 1)
        if way == "copied":
            assert abs(said - used) < bookkeeping + 64 * 1024, (call, shape)  # and the results
        elif way == "forward":
            assert said <= used <= said + bookkeeping, (call, shape)
        else:
            assert used <= backward_bytes(said, call, *shape) + bookkeeping, (call, shape)


def most_traced_bytes(call):
    """What a call takes at most of the memory that Python and NumPy count, and its results."""
    call()
    tracemalloc.start()
    try:
        results = call()
        return tracemalloc.get_traced_memory()[1], sum(array.nbytes for array in results)
    finally:
        tracemalloc.stop()


def assert_counted(case, weights, **options):
    """What NumPy takes is at most what explain() says, and not much less.

    The core's part is not traced.
    """
    options = {"input": case.x, **options}
    taken, results = most_traced_bytes(lambda: call_lstm(case, all_weights=weights, **options))
    arguments = (options.pop("input"), (case.h0, case.c0), weights)
    said = lstm_native.explain(*arguments, **options).workspace_bytes
    x, batch_first = np.ascontiguousarray(arguments[0]), options.get("batch_first", False)
    of_core = lstm_native.explain(x, *arguments[1:], batch_first=batch_first).workspace_bytes
    bookkeeping = 32 * 1024  # Python's objects
    assert taken - results <= said + bookkeeping
    assert said <= 1.05 * taken + of_core  # indices as if no step were masked


@pytest.mark.parametrize("arranged", [np.ascontiguousarray, np.asfortranarray])
@pytest.mark.parametrize("widths", [(64, 16), (8, 64), (1, 1)])
@pytest.mark.parametrize(
    ("bidirectional", "masked_output", "batch_first"),
    [(False, "zero", False), (False, "last", True), (True, "last", False), (True, "zero", True)],
)
def test_copies_for_a_mask(bidirectional, masked_output, batch_first, widths, arranged):
    case = make_case(Shape("masked", 400, 32, *widths, bidirectional=bidirectional), np.float32)
    x, mask = case.x, np.random.default_rng(1).random((400, 32)) < 0.9
    if batch_first:
        x, mask = x.swapaxes(0, 1), np.ascontiguousarray(mask.T)
    options = {"mask": mask, "masked_output": masked_output, "batch_first": batch_first}
    assert_counted(case, pack(case), input=arranged(x), **options)


def test_copies_of_gaps_and_for_narrow_results():
    case = make_case(Shape("copied", 400, 32, 64, 64), np.float32)
    assert_counted(case, pack(case), input=np.asfortranarray(case.x))
    narrow = pack(case, weight_dtype="float16")
    assert_counted(case, narrow, out_dtype="float16")
    mask = np.random.default_rng(1).random((400, 32)) < 0.9
    assert_counted(case, narrow, out_dtype="float16", mask=mask)


@pytest.mark.parametrize("steps", [1, 100])
def test_a_packed_call_of_one_row(steps):
    # What people meet most often, as a number.
    about = lstm_native.explain(seq_len=steps, batch=1, input_size=64, hidden_size=256)
    assert about.workspace_bytes < 600_000
