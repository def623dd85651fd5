"""Calls use fewer threads while others use the cores; tried on made-up times and loads."""

import pytest

import lstm_native
from calls import assert_same_bits, call_lstm, call_vjp, pack
from fresh_interpreter import ask
from lstm_native._core import testing
from shapes import Shape, make_case

SECOND = 1_000_000  # times are in microseconds
IN_TIME = {"start": 1, "body_end": 100, "close": 101}


def sizer_of(cores=4):
    return testing.TeamSizer(cores)


def run(sizer, now, wanted=4, runnable=1, **times):
    """One call; returns the threads that it had."""
    threads = sizer.threads_for(wanted, now, runnable)
    if threads > 1:
        sizer.ended(threads, testing.Region(now, **{**IN_TIME, **times}))
    return threads


# --- the runnable tasks ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("runnable", "threads"), [(0, 4), (1, 4), (2, 3), (3, 2), (4, 1), (5, 1), (500, 1)]
)
def test_the_first_call_gets_the_free_cores(runnable, threads):
    assert run(sizer_of(), SECOND, runnable=runnable) == threads


def test_the_number_wanted_is_an_upper_bound():
    assert [sizer_of(cores=64).threads_for(wanted, SECOND, 1) for wanted in (1, 3)] == [1, 3]
    assert sizer_of(cores=2).threads_for(8, SECOND, 1) == 2


def test_a_single_thread_needs_no_look():
    sizer, before = sizer_of(), testing.looks()
    assert sizer.threads_for(1, SECOND, 1) == 1
    assert testing.looks() == before


def test_looks_are_rare():
    sizer, before = sizer_of(), testing.looks()
    for now in range(SECOND, 2 * SECOND, 100):
        run(sizer, now)
    quiet = testing.looks() - before
    for now in range(2 * SECOND, 3 * SECOND, 100):
        run(sizer, now, runnable=9)
    assert quiet == 100
    assert testing.looks() - before - quiet < 40


def test_others_count_only_if_they_are_still_there_at_the_next_call():
    sizer = sizer_of()
    assert run(sizer, SECOND) == 4
    assert run(sizer, SECOND + 100_000, runnable=3) == 4
    assert run(sizer, SECOND + 100_200, runnable=1) == 4
    assert run(sizer, SECOND + 200_000, runnable=3) == 4
    assert run(sizer, SECOND + 230_000, runnable=3) == 2


def test_threads_that_spin_after_a_call_are_its_own():
    sizer = sizer_of()
    assert run(sizer, SECOND) == 4
    for now in range(SECOND + 10_000, SECOND + 100_000, 5_000):
        assert run(sizer, now, runnable=4) == 4


def test_all_threads_are_back_when_the_others_are_gone():
    sizer = sizer_of()
    for now in range(SECOND, 3 * SECOND, 1000):
        assert run(sizer, now, runnable=5) == 1
    assert run(sizer, 3 * SECOND + 60_000, runnable=1) == 4


# --- late threads ---------------------------------------------------------------------------------

LATE = {
    "begun late": {"start": 15_000, "body_end": 50, "close": 15_100},
    "ended late": {"start": 1, "body_end": 50, "close": 15_050},
    "met late": {"start": 1, "body_end": 15_100, "close": 15_101, "barrier_waits": 15_000},
}


@pytest.mark.parametrize("times", LATE.values(), ids=LATE)
def test_a_late_call_is_followed_by_a_pause_of_ten_times_its_wait(times):
    sizer = sizer_of()
    run(sizer, 0)  # starts the threads
    assert run(sizer, SECOND, **times) == 4
    assert run(sizer, SECOND + 160_000) == 1
    assert run(sizer, SECOND + 170_000) == 4


@pytest.mark.parametrize(
    ("trials", "pause"),
    [(1, 150_000), (2, 300_000), (3, 600_000), (7, 9_600_000), (8, 10 * SECOND)],
)
def test_pauses_double_with_each_trial_that_fails_up_to_ten_seconds(trials, pause):
    sizer = sizer_of()
    run(sizer, 0)
    for trial in range(trials):
        begin = (1 + 11 * trial) * SECOND
        assert run(sizer, begin, start=15_000, body_end=50, close=15_000) == 4
    assert run(sizer, begin + 15_000 + pause - 1) == 1
    assert run(sizer, begin + 15_000 + pause) == 4


def test_a_call_in_time_ends_the_doubling():
    sizer = sizer_of()
    run(sizer, 0)
    for start in (1, 12, 23):
        run(sizer, start * SECOND, **LATE["ended late"])
    run(sizer, 40 * SECOND)
    run(sizer, 41 * SECOND, **LATE["ended late"])
    assert run(sizer, 41 * SECOND + 160_000) == 1
    assert run(sizer, 41 * SECOND + 170_000) == 4


def test_a_thread_that_wakes_up_is_late_once():
    sizer = sizer_of()
    awakening = {"start": 200, "body_end": 50, "close": 250}
    run(sizer, 0)
    assert run(sizer, SECOND, **awakening) == 4
    assert run(sizer, SECOND + 300) == 4
    assert run(sizer, 2 * SECOND, **awakening) == 4
    assert run(sizer, 2 * SECOND + 300, **awakening) == 4
    assert run(sizer, 2 * SECOND + 600) == 1


def test_a_wait_that_costs_less_than_the_threads_gain_is_not_late():
    sizer = sizer_of()
    run(sizer, 0)
    # Three quarters of the time with four threads is as long as without.
    assert run(sizer, SECOND, start=1, body_end=5_100, close=20_000) == 4
    assert run(sizer, SECOND + 30_000) == 4
    assert run(sizer, 2 * SECOND, start=1, body_end=4_900, close=20_000) == 4
    assert run(sizer, 2 * SECOND + 30_000) == 1


def test_a_call_that_starts_threads_is_not_judged():
    sizer = sizer_of()
    assert run(sizer, SECOND, **LATE["begun late"]) == 4
    assert run(sizer, SECOND + 20_000) == 4


# --- calls ----------------------------------------------------------------------------------------


@pytest.fixture
def runnable():
    """Sets how many runnable tasks a look finds."""
    yield testing.pretend_runnable_tasks
    testing.pretend_runnable_tasks(0)


CASE = make_case(Shape("split", 30, 4, 64, 192, 2))


def gradients(threads):
    outputs, pullback = call_vjp(CASE, num_threads=threads)
    d_input, states, weights = pullback(*outputs)
    return [d_input, *states, *weights]


WAYS = {
    "packed": lambda n: call_lstm(CASE, all_weights=pack(CASE), num_threads=n),
    "plain": lambda n: call_lstm(CASE, num_threads=n),
    "stream": lambda n: lstm_native.Stream(pack(CASE), 4, num_threads=n).run(CASE.x),
    "gradients": gradients,
}


@pytest.mark.parametrize("way", WAYS)
def test_a_call_among_others_computes_the_same_bits_on_one_thread(way, runnable):
    expected = WAYS[way](2)
    assert testing.last_threads() == 2
    lstm_native.set_adaptive_threads(True)
    runnable(1000)
    for _ in range(3):  # a look, the one that confirms it, and a call that needs none
        got = WAYS[way](2)
    assert testing.last_threads() == 1
    assert_same_bits([*got], [*expected])


def test_a_call_looks_at_the_system(runnable):
    lstm_native.set_adaptive_threads(True)
    runnable(0)
    for _ in range(3):
        assert_same_bits([*WAYS["packed"](2)], [*WAYS["packed"](1)])
        WAYS["packed"](2)
        assert testing.last_threads() in (1, 2)


@pytest.mark.parametrize(("value", "expected"), [("0", "False"), ("1", "True")])
def test_the_environment_decides_at_import(value, expected):
    code, output, error = ask("adaptive_threads.py", LSTM_NATIVE_ADAPTIVE_THREADS=value)
    assert (code, output) == (0, expected), error


def test_another_value_in_the_environment_is_an_error():
    code, _, error = ask("adaptive_threads.py", LSTM_NATIVE_ADAPTIVE_THREADS="yes")
    assert code == 1
    assert "LSTM_NATIVE_ADAPTIVE_THREADS: expected 0 or 1, got 'yes'" in error
