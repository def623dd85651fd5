"""Threads as told: no call changes a setting of OpenMP, BLAS or the floating-point unit."""

import threading

import numpy as np
import pytest

import lstm_native
from calls import (
    assert_same_bits,
    call_lstm,
    call_vjp,
    flat_weight,
    gradient_arguments,
    gradient_for,
    operator_for,
    pack,
)
from few_and_all import few_of
from fresh_interpreter import ask
from lstm_native._core import testing
from native_libraries import compiled
from own_threads import threads_that_run
from process_settings import round_upward, settings
from public_calls import MULTIPLIED_BACK_BY_BLAS, PROJECTED_BY_BLAS, public_calls
from shapes import Shape, make_case


def in_a_thread(call):
    results = []
    thread = threading.Thread(target=lambda: results.append(call()))
    thread.start()
    thread.join()
    return results[0]


@few_of("threads", [1, 2, 5], [2])
@pytest.mark.parametrize("where", [lambda call: call(), in_a_thread], ids=["here", "in_a_thread"])
def test_no_call_changes_a_setting(threads, where):
    def changed():
        calls = public_calls(threads).by_name
        names = {name.split(",")[0].split(".")[0] for name in calls}
        # load() reads files by packages that are not there.
        not_called = {"__version__", "ArrayLike", "Weights", "load"}
        assert names == set(lstm_native.__all__) - not_called
        found = {}
        for name, call in calls.items():
            before = settings()
            call()
            after = settings()
            if after != before:
                found[name] = [key for key in before if before[key] != after[key]]
        return found

    assert where(changed) == {}


@few_of(
    "name",
    ["lstm", "lstm, packed", "Pullback", "LSTM, called", "Stream"],
    ["lstm, packed", "Pullback"],
)
def test_the_first_call_of_a_process_changes_none(name):
    code, output, error = ask("first_call.py", name)
    assert (code, output) == (0, "[]"), error


@pytest.mark.parametrize("threads", [1, 2])
def test_a_failing_call_changes_none(threads):
    case = make_case(Shape("small", 9, 5, 6, 20), np.float32)
    before = settings()
    with pytest.raises(ValueError, match="input"):
        call_lstm(case, input=case.x[:, :, :3], num_threads=threads)
    assert settings() == before


def test_whatever_the_caller_rounds_to():
    case = make_case(Shape("rounding", 20, 8, 24, 70, 2), np.float32)
    one_way = make_case(Shape("one_way", 20, 8, 24, 70, 2), np.float32)
    net, flat = operator_for(case), flat_weight(case)

    def results(threads):
        n = {"num_threads": threads}
        outputs, pullback = call_vjp(case, **n)
        found = [*outputs, *pullback(*outputs)[2]]
        found += call_lstm(case, dropout=0.3, train=True, seed=1, **n)
        for weight_dtype, compute in (
            *((None, None), ("float16", None), ("bfloat16", None), ("bfloat16", "bfloat16")),
            *(("int8", None), ("int8", "int8")),
        ):
            packed = pack(one_way, weight_dtype=weight_dtype, compute=compute)
            found += call_lstm(one_way, all_weights=packed, **n)
            stream = lstm_native.Stream(packed, 8, **n)
            found += [stream.run(one_way.x), stream.step(one_way.x[0]), *packed.unpack()]
        called = net(case.x, case.h0, case.c0, flat, **n)
        given = gradient_arguments(case, flat, called)
        return [*found, *called[:3], *gradient_for(case)(*given, **n)]

    expected = results(1)
    for threads in (1, 2, 3):
        round_upward()
        try:
            before = testing.float_control()
            got = results(threads)
            assert testing.float_control() == before
        finally:
            round_upward(False)
        assert_same_bits(got, expected)


# --- other pools in the process -------------------------------------------------------------------


@few_of("threads", [1, 2], [2])
def test_no_more_threads_than_told_beside_numpys_blas(threads):
    case = make_case(Shape("wide", 100, 8, 300, 264), np.float32)
    by_blas = make_case(PROJECTED_BY_BLAS, np.float32)
    few = make_case(MULTIPLIED_BACK_BY_BLAS, np.float32)
    outputs, pullback = call_vjp(case, num_threads=threads)
    few_outputs, few_pullback = call_vjp(few, num_threads=threads)
    square = np.ones((500, 500))
    square @ square  # its threads are there
    packed = pack(case)
    for call in (
        lambda: call_lstm(case, num_threads=threads),
        lambda: call_lstm(case, all_weights=packed, num_threads=threads),
        lambda: pullback(*outputs),
        lambda: call_lstm(by_blas, num_threads=threads),
        lambda: few_pullback(*few_outputs),
    ):
        assert threads_that_run(call) <= threads


def test_a_limit_at_the_import_ends_when_it_is_taken_back():
    code, output, error = ask("limit_at_import.py", OMP_NUM_THREADS="4")
    assert code == 0, error
    inside, after, runtimes = output.split()
    # Where the core has a runtime of its own, as in a wheel, that was not limited.
    assert (inside, after) == ("1" if runtimes == "1" else "7", "7")


def test_threadpoolctl_sees_the_pool_and_its_limit_holds():
    code, _, error = ask("limits_hold.py", OMP_NUM_THREADS="4")
    assert code == 0, error


@pytest.mark.parametrize("levels", ["1", "3"])
def test_in_the_parallel_region_of_another_library(levels, tmp_path):
    library = compiled("team", tmp_path, "-fopenmp")
    code, output, error = ask("in_a_region.py", library, OMP_MAX_ACTIVE_LEVELS=levels)
    assert (code, output) == (0, "32 True"), error


def test_in_a_pool_of_threads():
    case = make_case(Shape("pool", 30, 8, 24, 72), np.float32)
    expected = call_lstm(case, num_threads=1)
    results = [in_a_thread(lambda: call_lstm(case, num_threads=3)) for _ in range(50)]
    for got in results:
        assert_same_bits(got, expected)
