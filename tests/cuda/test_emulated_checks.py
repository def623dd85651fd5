"""That the emulated machine finds what is wrong: faults on purpose, waits that are left out."""

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

import lstm_native
from calls import call_lstm, call_vjp, draw_like, flat_gradients
from comparison import assert_same, on_device
from shapes import Shape, make_case

INVALID_CONFIGURATION, INVALID_VALUE, INVALID_HANDLE = 9, 1, 400
ILLEGAL, TOO_MANY_AT_ONCE, NOT_WHILE_CAPTURING, UNJOINED = 700, 720, 900, 904
BLAS_INVALID, BLAS_FAILED = 7, 13

# The code that the call gives, and words of the reason.
FAULTS = {
    "thread_beyond_the_span": (ILLEGAL, "index out of range"),
    "thread_beyond_the_allocation": (ILLEGAL, "write out of bounds at byte 1200"),
    "block_too_large": (INVALID_CONFIGURATION, ""),
    "grid_too_high": (INVALID_CONFIGURATION, ""),
    "empty_grid": (INVALID_CONFIGURATION, ""),
    "use_after_free": (ILLEGAL, "that was freed"),
    "host_pointer": (ILLEGAL, "no device memory"),
    "copy_from_a_host_pointer": (INVALID_VALUE, "not of the side"),
    "read_of_what_was_never_written": (ILLEGAL, "never written"),
    "unordered_read": (ILLEGAL, "unordered read"),
    "unordered_write": (ILLEGAL, "unordered write"),
    "event_recorded_too_early": (ILLEGAL, "unordered read"),
    "freed_while_in_use": (ILLEGAL, "freed while"),
    "threads_that_write_one_place": (ILLEGAL, "threads of one launch"),
    "threads_that_read_each_others": (ILLEGAL, "threads of one launch"),
    "branch_that_is_not_joined": (UNJOINED, "not joined"),
    "allocation_while_capturing": (NOT_WHILE_CAPTURING, ""),
    "unordered_branches_of_a_graph": (ILLEGAL, "unordered read"),
    "destroyed_stream": (INVALID_HANDLE, ""),
    "product_beyond_the_allocation": (BLAS_FAILED, "out of bounds"),
    "product_onto_its_operand": (BLAS_FAILED, "threads of one launch"),
    "product_with_rows_that_overlap": (BLAS_INVALID, ""),
    "shared_memory_without_a_barrier": (ILLEGAL, "shared memory without a barrier"),
    "shared_memory_never_written": (ILLEGAL, "never written"),
    "shared_memory_beyond_the_launch": (ILLEGAL, "beyond what the launch asked for"),
    "more_shared_memory_than_allowed": (INVALID_VALUE, ""),
    "barrier_that_some_never_reach": (ILLEGAL, "wait for what never comes"),
    "barrier_in_an_ordinary_launch": (ILLEGAL, "a barrier in a launch"),
    "more_blocks_than_run_at_once": (TOO_MANY_AT_ONCE, ""),
    "blocks_that_do_not_wait": (ILLEGAL, "unordered read"),
}
# Calls beside them that must be let through.
RIGHT = ("ordered_by_an_event", "allocation_beside_a_capture", "blocks_that_wait")


@pytest.mark.parametrize("name", FAULTS)
def test_faults_are_found(machine, name):
    code, words = FAULTS[name]
    assert getattr(machine.faults, name)() == code
    assert words in machine.violation()


@pytest.mark.parametrize("name", RIGHT)
def test_what_is_right_is_let_through(machine, name):
    assert getattr(machine.faults, name)() == 0
    assert machine.violation() == ""


def test_every_fault_is_listed(machine):
    defined = {name for name in dir(machine.faults) if not name.startswith("_")}
    assert defined == {*FAULTS, *RIGHT}


@pytest.fixture
def launches(machine):
    """Steps are launches of their own, also where all of them could be one."""
    lstm_native._cuda_extension.load().set_step_loop("launches")


@pytest.fixture
def persistent(machine):
    """All steps of a layer are one launch."""
    lstm_native._cuda_extension.load().set_step_loop("persistent")


@pytest.mark.parametrize("calls_before", [0, 1, 2], ids=["at once", "captured", "launched again"])
@pytest.mark.parametrize(
    ("shape", "options"),
    [
        (Shape("wavefront", 40, 2, 3, 4, num_layers=3), {}),
        (Shape("lanes used twice", 33, 2, 3, 4, num_layers=5), {}),
        (Shape("two lanes", 5, 3, 3, 4, 2, True), {"lengths": [5, 3, 2]}),
        (Shape("one lane", 5, 2, 3, 4, 2), {}),
    ],
    ids=lambda value: value.name if isinstance(value, Shape) else "",
)
def test_every_wait_is_needed(launches, machine, shape, options, calls_before):
    """With any one of them left out, the emulated machine finds the race that a device might show.

    Two streams take turns, and nothing waits for the host, so that calls of one plan meet, too.
    """
    case = make_case(shape, np.float32, seed=1)
    streams = [machine.new_stream(False), machine.new_stream(False)]

    def call(turn):
        device = lstm_native.cuda.Device(stream=streams[turn % 2])
        x, h0, c0 = [lstm_native.cuda.to_device(a, device) for a in (case.x, case.h0, case.c0)]
        weights = [lstm_native.cuda.to_device(w, device) for w in case.all_weights]
        arrays = {"input": x, "initial_states": (h0, c0), "all_weights": weights}
        given = [lstm_native.cuda.to_device(a, device) for a in GIVEN]
        machine.reset()

        def run():
            _, pullback = call_vjp(case, device=device, **arrays, **options)
            pullback(*given)

        return run

    GIVEN = draw_like(call_lstm(case, **options))

    def waits(left_out):
        lstm_native.cuda.clear_plans()
        runs = [call(turn) for turn in range(calls_before + 1)]
        for run in runs[:-1]:
            run()
        machine.reset()
        if left_out is not None:
            machine.skip_wait(left_out)
            with pytest.raises(RuntimeError, match=r"unordered|not joined|uncaptured"):
                runs[-1]()
        else:
            runs[-1]()
        count = machine.counts()["waits"]
        machine.reset()
        return count

    total = waits(None)
    assert total >= (2 if calls_before == 2 else 1)
    for k in range(total):
        waits(k)


def test_the_step_loop_becomes_a_graph_that_is_used_again(launches, machine):
    case = make_case(Shape("graph", 12, 2, 3, 4, 2), np.float32)
    launches = []
    for run in range(4):
        machine.reset()
        call_lstm(case, device="cuda")
        counts = machine.counts()
        launches.append(counts["launches"])
        assert counts["graph_launches"] == (1 if run else 0)
    assert len(set(launches)) == 1


def test_launches_are_as_many_as_steps_say(launches, machine):
    def launches(**sizes):
        lstm_native.cuda.clear_plans()
        case = make_case(Shape("count", 10, 2, 3, 4, **sizes), np.float32)
        machine.reset()
        call_lstm(case, device="cuda")
        counts = machine.counts()
        return counts["launches"], counts["products"]

    # Per call: the call's words, all arrays in, all arrays out; of a deep stack the former are
    # too many for one launch. Per layer and step one kernel, both directions in it.
    assert launches() == (3 + 10, 1 + 10)
    assert launches(bidirectional=True) == (3 + 10, 1 + 10)
    assert launches(num_layers=2, bidirectional=True) == (3 + 20, 2 + 20)
    assert launches(num_layers=3, bidirectional=True) == (4 + 30, 3 + 30)


RACES = r"without a barrier|unordered|threads of one launch|never written"
SHARED_ROWS = Shape("shared rows", 3, 2, 4, 130)
OWN_ROWS = Shape("own rows", 3, 2, 4, 8, bidirectional=True)


@pytest.mark.parametrize("backward", [False, True], ids=["forward", "backward"])
@pytest.mark.parametrize("shape", [SHARED_ROWS, OWN_ROWS], ids=lambda shape: shape.name)
@pytest.mark.parametrize("lengths", [None, [3, 1]], ids=["even", "ragged"])
def test_every_barrier_of_a_layer_is_needed(persistent, machine, shape, lengths, backward):
    """With any one of them left out, the emulated machine finds the race that a device might show.

    Of those between blocks, too: a block has some units of a row, and needs all of them.
    """
    case = make_case(shape, np.float32, seed=1)
    outputs, pullback = call_vjp(case, device="cuda", lengths=lengths)
    _, pullback_here = call_vjp(case, lengths=lengths)
    given = draw_like(outputs)

    def call():
        lstm_native.cuda.clear_plans()
        if backward:
            return flat_gradients(pullback(*given))
        return call_lstm(case, device="cuda", lengths=lengths)

    machine.reset()
    call()
    counts = machine.counts()
    assert counts["barriers"] >= 2 * shape.seq_len
    # Backward, the initial states' gradients wait for the first step's.
    waits = shape.seq_len - 1 + backward
    assert counts["block_waits"] == (waits if shape is SHARED_ROWS else 0)
    for skip, count in (("skip_barrier", "barriers"), ("skip_block_wait", "block_waits")):
        for k in range(counts[count]):
            machine.reset()
            getattr(machine, skip)(k)
            with pytest.raises(RuntimeError, match=RACES):
                call()
    machine.reset()
    assert_same(
        call(),
        flat_gradients(pullback_here(*given)) if backward else call_lstm(case, lengths=lengths),
    )


def test_a_layer_is_one_launch_where_it_fits(persistent, machine):
    """Otherwise its steps are launches, as many as the test above says."""

    def launches(hidden, **sizes):
        lstm_native.cuda.clear_plans()
        case = make_case(Shape("count", 10, 2, 3, hidden, **sizes), np.float32)
        machine.reset()
        call_lstm(case, device="cuda")
        counts = machine.counts()
        return counts["launches"], counts["products"]

    assert launches(4) == (3 + 1, 1)
    assert launches(4, num_layers=2, bidirectional=True) == (3 + 2, 2)
    assert launches(300) == (3 + 10, 1 + 10)


def test_an_unknown_step_loop_is_refused():
    with pytest.raises(ValueError, match="expected 'automatic', 'launches' or 'persistent', got"):
        lstm_native._cuda_extension.load().set_step_loop("fast")


def test_arrays_on_the_device_stay_there(machine):
    case = make_case(Shape("device", 6, 3, 4, 5, 2, True), np.float64)
    x, h0, c0, *weights = on_device(case.x, case.h0, case.c0, *case.all_weights)
    outputs = call_lstm(case)
    given = on_device(*draw_like(outputs))
    machine.reset()
    got, pullback = call_vjp(
        case, input=x, initial_states=(h0, c0), all_weights=weights, device="cuda"
    )
    d_input, d_states, d_weights = pullback(*given)
    counts = machine.counts()
    assert counts["bytes_to_host"] == 0
    # A plan's table of active rows, forward and backward.
    assert counts["bytes_to_device"] == 2 * 8 * (6 + 1 + 3)
    arrays = (*got, d_input, *d_states, *d_weights)
    assert all(type(a) is lstm_native.cuda.DeviceArray for a in arrays)
    assert_same([a.to_host() for a in got], outputs)


@pytest.mark.parametrize("recompute", [False, True])
@pytest.mark.parametrize(
    "shape",
    [Shape("1", 40, 8, 5, 6), Shape("3", 40, 8, 5, 6, 3), Shape("bi", 40, 8, 5, 6, 2, True)],
    ids=lambda shape: shape.name,
)
def test_plans_take_what_the_page_says(launches, machine, shape, recompute):
    case = make_case(shape, np.float64)
    rows = shape.seq_len * shape.batch
    i, h, layers, d = shape.input_size, shape.hidden_size, shape.num_layers, shape.num_directions
    cells = layers * d
    weights = sum(w.size for w in case.all_weights)
    states = cells * shape.batch * h
    forward = rows * (i + (5 if layers == 1 else 10) * d * h)
    backward = rows * (2 * i + (6 * layers + 1) * d * h + 1 + 5 * cells * h * recompute)
    outputs, pullback = call_vjp(case, device="cuda", recompute=recompute)
    count, forward_bytes = lstm_native._cuda_extension.load().plans()
    assert count == 1
    pullback(*outputs)
    count, all_bytes = lstm_native._cuda_extension.load().plans()
    assert count == 2
    # The rest: headers of tapes, offsets of steps, and the places' alignment.
    rest = 8 * (2 * 32 + shape.seq_len + 1 + shape.batch + 3) + 20 * 256
    most = 8 * (forward + weights + 2 * states) + rest
    assert 0.5 * most < forward_bytes <= most
    most = 8 * (backward + weights + 4 * states) + rest
    assert 0.5 * most < all_bytes - forward_bytes <= most


def test_memory_is_given_back(machine):
    lstm_native.cuda.clear_plans()
    before = machine.live_bytes()
    for hidden in range(1, 12):
        case = make_case(Shape("memory", 20, 2, 3, hidden, 2), np.float32)
        outputs, pullback = call_vjp(case, device="cuda")
        pullback(*outputs)
    del outputs, pullback
    lstm_native.cuda.clear_plans()
    assert machine.live_bytes() == before


@pytest.mark.parametrize("shape", [Shape("w", 20, 2, 3, 4, 2), Shape("bi", 3, 2, 3, 4, 2, True)])
def test_an_allocation_that_fails(machine, shape):
    """Whichever it is, MemoryError, nothing is lost, and the next call works."""
    case = make_case(shape, np.float32)

    def call():
        outputs, pullback = call_vjp(case, device="cuda", lengths=[shape.seq_len, 2])
        pullback(*outputs)
        return outputs

    def found_memory(k):
        lstm_native.cuda.clear_plans()
        machine.fail_allocation(k)
        try:
            call()
        except MemoryError:
            return False
        return True

    before = machine.live_bytes()
    failed = 0
    while not found_memory(failed):
        failed += 1
        lstm_native.cuda.clear_plans()
        assert machine.live_bytes() == before
    machine.reset()
    assert failed > 10
    assert_same(call(), call_lstm(case, lengths=[shape.seq_len, 2]))


def test_threads_that_call_at_once():
    case = make_case(Shape("threads", 20, 2, 3, 4, 2), np.float32)
    expected = call_lstm(case)
    with ThreadPoolExecutor(4) as pool:
        for got in pool.map(lambda _: call_lstm(case, device="cuda"), range(24)):
            assert_same(got, expected)


def test_tf32_only_where_it_is_asked_for():
    case = make_case(Shape("tf32", 5, 4, 64, 64), np.float32, seed=9)
    expected = call_lstm(case)
    rounded = call_lstm(case, device=lstm_native.cuda.Device(tf32=True))
    difference = max(np.abs(a - b).max() for a, b in zip(rounded, expected, strict=True))
    assert 1e-5 < difference < 1e-2
    assert_same(call_lstm(case, device="cuda"), expected)
    case = make_case(Shape("tf32", 5, 4, 64, 64), np.float64, seed=9)
    assert_same(call_lstm(case, device=lstm_native.cuda.Device(tf32=True)), call_lstm(case))
