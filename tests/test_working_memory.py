"""The working memory of a call: what docs/reliability.md says, and explain() to the byte."""

import json
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import lstm_native
from fresh_interpreter import ask
from native_libraries import compiled

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


@pytest.mark.parametrize("steps", [1, 100])
def test_a_packed_call_of_one_row(steps):
    # What people meet most often, as a number.
    about = lstm_native.explain(seq_len=steps, batch=1, input_size=64, hidden_size=256)
    assert about.workspace_bytes < 600_000
