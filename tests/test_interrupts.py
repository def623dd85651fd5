"""A call can be cancelled wherever it checks for signals, checks often, and leaves nothing."""

import os
import signal
import threading
from collections import Counter
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

import lstm_native
from calls import (
    assert_same_bits,
    call_lstm,
    call_vjp,
    pack,
)
from cancellation import WAITING, CancelledError, cancel_at, checks, hook
from fresh_interpreter import ask
from own_threads import threads_left, threads_of_process
from public_calls import PROJECTED_BY_BLAS, arrays, public_calls
from shapes import Shape, make_case

# --- each check, on small shapes ------------------------------------------------------------------

# The core's functions that check. Lambdas have no name: here the one that packs for a call.
OF_ONE_THREAD = {
    *("pack_matrix", "unpack", "operator()", "walk", "begin_cells", "run_steps", "finish_hidden"),
    *("project_with_blas", "project_block_by_block", "run_between_polls"),
    *("gather_input", "pack_panels", "begin", "run_rows", "layer_backward"),
    *("gradient_products", "pack_factor", "multiply_panels", "multiply_weights", "input_gradient"),
    *("unpacked_gradient", "scatter_input_gradient", "clear_past_ends"),
    *("begin_masks", "mask_previous_hidden"),
}


def chosen(total, place, thorough):
    """Which of the checks in a place are tried."""
    if place in WAITING:  # how many there are depends on the other threads
        return [0]
    most = 300 if thorough else 3  # a thousand checks of one loop are alike
    return sorted(set(np.linspace(0, total - 1, min(total, most)).astype(int).tolist()))


def cancel_everywhere(threads, thorough):
    """Cancel each public call at its checks; return the places of these."""
    calls = public_calls(threads)
    places = set()
    for name, call in calls.by_name.items():
        calls.begin()
        expected = arrays(call())
        before = threads_of_process()
        calls.begin()
        for place, total in Counter(check.place for check in checks(call)).items():
            calls.begin()
            for number in chosen(total, place, thorough):
                try:
                    cancel_at(call, number, place)
                except CancelledError:
                    places.add(place)
                else:  # other threads have done what is shared with them
                    assert threads > 1, (name, place, number)
                    calls.begin()
            # No mask was drawn, no stream has moved, weights and tapes are as they were.
            assert_same_bits(arrays(call()), expected)
        assert threads_left(before) <= before, name
    return places


def test_a_call_of_one_thread_is_cancelled_at_each_check_and_leaves_nothing():
    assert cancel_everywhere(1, thorough=False) == OF_ONE_THREAD


def test_a_call_of_two_threads_is_cancelled_at_each_check_and_leaves_nothing():
    assert cancel_everywhere(2, thorough=False) >= OF_ONE_THREAD - {"project_block_by_block"}


@pytest.mark.thorough
@pytest.mark.parametrize("threads", [1, 3])
def test_every_check(threads):
    assert cancel_everywhere(threads, thorough=True)


# --- often, on shapes that are large enough -------------------------------------------------------

# What is large is one row or one step over and over, which the core does not know.


def forward(shape, packed=True, **options):
    sizes = (shape.input_size, shape.hidden_size, shape.num_layers, shape.bidirectional)
    case = make_case(Shape("part", 1, 1, *sizes), np.float32)
    state = np.broadcast_to(case.h0, (len(case.h0), shape.batch, shape.hidden_size))
    arguments = {
        "input": np.broadcast_to(case.x, (shape.seq_len, shape.batch, shape.input_size)),
        "initial_states": (state, state),
        "all_weights": pack(case) if packed else case.all_weights,
        "num_threads": 1,
    }
    return lambda: call_lstm(case, **{**arguments, **options})


def forward_few_rows():
    # Weights that are read in place.
    x, state = np.ones((1, 20, 60_000), np.float32), np.ones((1, 20, 256), np.float32)
    weights = [np.broadcast_to(np.float32(1e-5), (1, size)).copy() for size in (60_000, 256)]
    weights = [np.broadcast_to(row, (1024, row.size)) for row in weights]
    flags = {"has_ih_bias": False, "has_hh_bias": False, "num_threads": 1}
    return lambda: lstm_native.lstm(x, (state, state), weights, 1, 0.0, False, False, **flags)


def forward_by_blas():
    case = make_case(PROJECTED_BY_BLAS, np.float32)
    return lambda: call_lstm(case, num_threads=1)


def backward(shape, needs=("input", "states", "weights"), **options):
    case = make_case(shape, np.float32)
    outputs, pullback = call_vjp(case, num_threads=1, **options)
    return lambda: pullback(*outputs, needs=needs)


def backward_of_a_large_step(needs):
    # Its rows are gathered because of their lengths, and their gradients scattered.
    case = make_case(Shape("part", 1, 1, 512, 16), np.float32)
    x, state = np.broadcast_to(case.x, (1, 3000, 512)), np.broadcast_to(case.h0, (1, 3000, 16))
    arguments = (x, (state, state), case.all_weights, 1, 0.0, True, False)
    outputs, pullback = lstm_native.lstm_vjp(*arguments, lengths=[1] * 3000, num_threads=1)
    return lambda: pullback(*outputs, needs=needs)


def packing(**options):
    flags = {"has_ih_bias": False, "has_hh_bias": False, **options}
    matrices = [np.broadcast_to(np.float32(1), (2000, 500))] * 2
    return lambda: lstm_native.pack_weights(matrices, 1, False, **flags)


STEPS = Shape("steps", 2000, 1, 16, 64)
LAYERS = Shape("layers", 1500, 1, 16, 16, 4)
ROWS = Shape("rows", 20, 64, 16, 64, 1, True)
ONE_STEP = Shape("one_step", 1, 1200, 2048, 128)
TRAINED = Shape("trained", 200, 4, 64, 64, 2)
WIDE = Shape("wide", 48, 1, 90_000, 64)
WIDE_BY_BLAS = Shape("wide_by_blas", 1, 20, 90_000, 64)

# How often a call of one thread checks where, at least: some 100,000 multiply-adds between two
# checks among small steps, 500,000,000 inside of a large one, one row between copies.
ENOUGH = {
    "steps": (lambda: forward(STEPS), {"run_steps": 200}),
    "steps, plain weights": (lambda: forward(STEPS, packed=False), {"run_steps": 200}),
    "lengths": (
        lambda: forward(ROWS, lengths=[20 - k % 20 for k in range(64)]),
        {"begin_cells": 128, "run_steps": 30, "finish_hidden": 128},
    ),
    "wavefront": (lambda: forward(LAYERS, num_threads=2), {"walk": 100}),
    "masks": (
        lambda: forward(LAYERS, dropout=0.5, train=True),
        {"run_between_polls": 3 * 1500 // 256},
    ),
    "one step": (lambda: forward(ONE_STEP), {"run_in_parts": 2}),
    "few rows of plain weights": (forward_few_rows, {"run_in_parts": 2}),
    "by BLAS": (forward_by_blas, {"project_with_blas": 6}),
    "backward": (
        lambda: backward(TRAINED),
        {"run_rows": 2 * 200, "gradient_products": 30, "multiply_panels": 30},
    ),
    "backward, recompute": (
        lambda: backward(TRAINED, recompute=True),
        {"walk": 2, "run_rows": 400},
    ),
    "backward, wide": (lambda: backward(WIDE, ["input"]), {"multiply_panels": 3}),
    "backward, wide, by BLAS": (
        lambda: backward(WIDE_BY_BLAS, ["input"]),
        {"multiply_weights": 1},
    ),
    "backward, one step": (
        lambda: backward_of_a_large_step(["input"]),
        {"scatter_input_gradient": 3000},
    ),
    "backward, one step, weights": (
        lambda: backward_of_a_large_step(["states", "weights"]),
        {"gather_input": 3000, "begin": 3000, "finish_hidden": 3000, "pack_factor": 150},
    ),
    "pack": (packing, {"pack_matrix": 2 * 500 // 16}),
    "pack to 16 bits": (lambda: packing(weight_dtype="float16"), {"pack_matrix": 2 * 500 // 16}),
    "unpack": (lambda: packing()().unpack, {"unpack": 2 * 4 * 500}),
}


@pytest.mark.parametrize("name", ENOUGH)
def test_a_call_checks_often_enough(name):
    make, least = ENOUGH[name]
    counted = Counter(check.place for check in checks(make()))
    assert {place: min(counted[place], enough) for place, enough in least.items()} == least


# --- beside other calls ---------------------------------------------------------------------------


def test_a_call_that_waits_for_threads_is_cancelled_and_one_inside_another_does_not_wait():
    code, output, error = ask("all_threads.py")
    assert (code, output) == (0, "cancelled cancelled cancelled True True"), error


def test_a_cancelled_call_gives_its_memory_back_to_a_pool():
    case = make_case(Shape("pool", 20, 8, 96, 128, 2), np.float32)
    pool = lstm_native.MemoryPool()

    def call():
        outputs, pullback = call_vjp(case, num_threads=1)
        pullback(*outputs)

    with pool:
        call()
        call()
        held = pool.nbytes
        for number in range(0, len(checks(call)), 50):
            with pytest.raises(CancelledError):
                cancel_at(call, number)
            assert pool.nbytes == held


# --- signals --------------------------------------------------------------------------------------


def test_signals_whose_handlers_return_or_call_us_or_raise():
    # In a program of its own, as Ctrl-C comes.
    code, output, error = ask("signals.py")
    assert (code, output) == (0, "KeyboardInterrupt"), error


def test_a_call_in_another_thread_goes_on():
    case = make_case(STEPS, np.float32)
    expected = call_lstm(case, num_threads=1)
    awaited, raised = threading.Event(), threading.Event()

    def send_one(*_):
        if not raised.is_set():
            os.kill(os.getpid(), signal.SIGUSR1)
            raised.wait()

    def call():
        awaited.wait()
        with hook(send_one):
            return call_lstm(case, num_threads=2)

    def await_result(job):
        awaited.set()  # not before: the signal would end what starts the thread
        job.result()

    def stop(*_):
        raise CancelledError

    before = signal.signal(signal.SIGUSR1, stop)
    try:
        with ThreadPoolExecutor(1) as pool:
            job = pool.submit(call)
            try:
                with pytest.raises(CancelledError):
                    await_result(job)
            finally:
                awaited.set()
                raised.set()
            assert_same_bits(job.result(), expected)
    finally:
        signal.signal(signal.SIGUSR1, before)
