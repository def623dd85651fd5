"""Threads as told: no call changes a setting of OpenMP, BLAS or the floating-point unit."""

import ctypes
import os
import platform
import threading
import time
from pathlib import Path

import numpy as np
import pytest
import threadpoolctl

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
from fresh_interpreter import ask
from lstm_native._core import testing
from native_libraries import compiled
from public_calls import MULTIPLIED_BACK_BY_BLAS, PROJECTED_BY_BLAS, public_calls
from shapes import Shape, make_case

TESTS = str(Path(__file__).parent)

SINGLE_VALUES = (
    "omp_get_max_threads",
    "omp_get_dynamic",
    "omp_get_max_active_levels",
    "omp_get_thread_limit",
    "omp_get_proc_bind",
    "omp_get_cancellation",
    "omp_get_num_procs",
    "omp_in_parallel",
)
UPWARD = 0x400000 if platform.machine() == "aarch64" else 0x800  # FE_UPWARD


POOLS = threadpoolctl.ThreadpoolController()


def own_openmp():
    """The runtime that the core was linked with, which a wheel has under a name of its own."""
    maps = Path("/proc/self/maps").read_text().split()
    (path,) = {word for word in maps if "lstm_native.libs/libgomp" in word} or {"libgomp.so.1"}
    return ctypes.CDLL(path)


def settings():
    gomp = own_openmp()
    kind, chunk = ctypes.c_int(), ctypes.c_int()
    gomp.omp_get_schedule(ctypes.byref(kind), ctypes.byref(chunk))
    return {
        **{name: getattr(gomp, name)() for name in SINGLE_VALUES},
        "schedule": (kind.value, chunk.value),
        "pools": POOLS.info(),
        "own BLAS": lstm_native.get_config()["blas"]["threads"],
        "floating point": testing.float_control(),
        "rounding": ctypes.CDLL("libm.so.6").fegetround(),
        "NumPy's errors": np.geterr(),
        "affinity": os.sched_getaffinity(0),
        "environment": dict(os.environ),
    }


def in_a_thread(call):
    results = []
    thread = threading.Thread(target=lambda: results.append(call()))
    thread.start()
    thread.join()
    return results[0]


@pytest.mark.parametrize("threads", [1, 2, 5])
@pytest.mark.parametrize("where", [lambda call: call(), in_a_thread], ids=["here", "in_a_thread"])
def test_no_call_changes_a_setting(threads, where):
    def changed():
        calls = public_calls(threads).by_name
        names = {name.split(",")[0].split(".")[0] for name in calls}
        assert names == set(lstm_native.__all__) - {"__version__"}
        found = {}
        for name, call in calls.items():
            before = settings()
            call()
            after = settings()
            if after != before:
                found[name] = [key for key in before if before[key] != after[key]]
        return found

    assert where(changed) == {}


@pytest.mark.parametrize("name", ["lstm", "lstm, packed", "Pullback", "LSTM, called", "Stream"])
def test_the_first_call_of_a_process_changes_none(name):
    program = f"""if True:
        import sys; sys.path.insert(0, {TESTS!r})
        import numpy as np, lstm_native
        from calls import call_lstm, call_vjp, flat_weight, operator_for, pack
        from shapes import Shape, make_case
        from test_settings import settings
        case = make_case(Shape("first", 9, 5, 6, 20), np.float32)
        net, flat, n = operator_for(case), flat_weight(case), dict(num_threads=2)
        def trained():
            outputs, pullback = call_vjp(case, **n)
            pullback(*outputs)
        call = {{
            "lstm": lambda: call_lstm(case, **n),
            "lstm, packed": lambda: call_lstm(case, all_weights=pack(case), **n),
            "Pullback": trained,
            "LSTM, called": lambda: net(case.x, case.h0, case.c0, flat, **n),
            "Stream": lambda: lstm_native.Stream(pack(case), 5, **n).run(case.x),
        }}[{name!r}]
        before = settings()
        call()
        after = settings()
        print([key for key in before if before[key] != after[key]])
    """
    code, output, error = ask(program)
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
    libm = ctypes.CDLL("libm.so.6")
    net, flat = operator_for(case), flat_weight(case)

    def results(threads):
        n = {"num_threads": threads}
        outputs, pullback = call_vjp(case, **n)
        found = [*outputs, *pullback(*outputs)[2]]
        found += call_lstm(case, dropout=0.3, train=True, seed=1, **n)
        for weight_dtype in (None, "float16", "bfloat16"):
            packed = pack(one_way, weight_dtype=weight_dtype)
            found += call_lstm(one_way, all_weights=packed, **n)
            stream = lstm_native.Stream(packed, 8, **n)
            found += [stream.run(one_way.x), stream.step(one_way.x[0]), *packed.unpack()]
        called = net(case.x, case.h0, case.c0, flat, **n)
        given = gradient_arguments(case, flat, called)
        return [*found, *called[:3], *gradient_for(case)(*given, **n)]

    expected = results(1)
    for threads in (1, 2, 3):
        assert libm.fesetround(UPWARD) == 0
        try:
            before = testing.float_control()
            got = results(threads)
            assert testing.float_control() == before
        finally:
            libm.fesetround(0)
        assert_same_bits(got, expected)


# --- other pools in the process -------------------------------------------------------------------


def busy_threads(call, seconds=0.6):
    """How many threads had a good part of the time while calls ran, and how many calls did."""
    tick = os.sysconf("SC_CLK_TCK")

    def used():
        times = {}
        for task in Path("/proc/self/task").iterdir():
            fields = (task / "stat").read_text().rsplit(")", 1)[1].split()
            times[task.name] = (int(fields[11]) + int(fields[12])) / tick
        return times

    before, start, calls = used(), time.perf_counter(), 0
    while time.perf_counter() - start < seconds:
        call()
        calls += 1
    deltas = [value - before.get(task, 0.0) for task, value in used().items()]
    return sum(delta > 0.1 * max(deltas) for delta in deltas), calls


@pytest.mark.parametrize("threads", [1, 2])
def test_no_more_threads_than_told_beside_numpys_blas(threads):
    case = make_case(Shape("wide", 100, 8, 300, 264), np.float32)
    by_blas = make_case(PROJECTED_BY_BLAS, np.float32)
    few = make_case(MULTIPLIED_BACK_BY_BLAS, np.float32)
    outputs, pullback = call_vjp(case, num_threads=threads)
    few_outputs, few_pullback = call_vjp(few, num_threads=threads)
    square = np.ones((1500, 1500))
    square @ square  # its threads are there
    time.sleep(0.3)  # and asleep
    packed = pack(case)
    for call in (
        lambda: call_lstm(case, num_threads=threads),
        lambda: call_lstm(case, all_weights=packed, num_threads=threads),
        lambda: pullback(*outputs),
        lambda: call_lstm(by_blas, num_threads=threads),
        lambda: few_pullback(*few_outputs),
    ):
        assert busy_threads(call)[0] <= threads


def test_a_limit_at_the_import_ends_when_it_is_taken_back():
    program = """if True:
        import sys, threadpoolctl, ctypes
        ctypes.CDLL("libgomp.so.1")  # so that there is a pool to limit
        with threadpoolctl.threadpool_limits(1):
            import lstm_native
            lstm_native.set_num_threads(7)
            print(lstm_native.get_num_threads(), end=" ")
        print(lstm_native.get_num_threads())
        print(sum(pool["user_api"] == "openmp" for pool in threadpoolctl.threadpool_info()))
    """
    code, output, error = ask(program, OMP_NUM_THREADS="4")
    inside, after, runtimes = output.split()
    # Where the core has a runtime of its own, as in a wheel, nobody had limited that.
    assert (code, inside) == (0, "1" if runtimes == "1" else "7"), error
    assert after == "7"


def test_threadpoolctl_sees_the_pool_and_its_limit_holds():
    program = f"""if True:
        import sys; sys.path.insert(0, {TESTS!r})
        from concurrent.futures import ThreadPoolExecutor
        import numpy as np, threadpoolctl, lstm_native
        from resident import threads_of_process
        from shapes import Shape, make_case
        from calls import call_lstm, call_vjp, flat_weight, operator_for, pack
        from calls import gradient_arguments, gradient_for
        case = make_case(Shape("wide", 50, 64, 64, 64), np.float32)
        packed, net, flat = pack(case), operator_for(case), flat_weight(case)
        assert "openmp" in {{pool["user_api"] for pool in threadpoolctl.threadpool_info()}}
        default = lstm_native.get_num_threads()
        assert default == 4
        gradient = gradient_for(case)
        stream = lstm_native.Stream(packed, 64)
        outputs, pullback = call_vjp(case)
        called = net(case.x, case.h0, case.c0, flat)
        def limited():
            start = threads_of_process()
            with threadpoolctl.threadpool_limits(1):
                assert lstm_native.get_num_threads() == 1
                for weights in (case.all_weights, packed):
                    call_lstm(case, all_weights=weights)
                for one in (pullback, call_vjp(case)[1]):
                    one(*outputs)
                streams = (stream, lstm_native.Stream(packed, 64))
                for results in zip(*([one.run(case.x), one.step(case.x[0])] for one in streams)):
                    assert results[0].tobytes() == results[1].tobytes()
                net(case.x, case.h0, case.c0, flat)
                gradient(*gradient_arguments(case, flat, called))
                assert threads_of_process() == start
                call_lstm(case, num_threads=3)  # as told
                assert threads_of_process() == start + 2
        with ThreadPoolExecutor(1) as pool:  # a thread that OpenMP has given no others yet
            pool.submit(limited).result()
        assert lstm_native.get_num_threads() == default
        with threadpoolctl.threadpool_limits(4, user_api="blas"):
            assert lstm_native.get_config()["blas"]["threads"] == 1
        lstm_native.set_num_threads(7)  # OpenMP's own number at first is no limit
        assert lstm_native.get_num_threads() == 7
        for limit in (1, 2, 5, 6):
            with threadpoolctl.threadpool_limits(limit):
                assert lstm_native.get_num_threads() == limit
        with threadpoolctl.threadpool_limits(8):
            assert lstm_native.get_num_threads() == 7
    """
    code, _, error = ask(program, OMP_NUM_THREADS="4")
    assert code == 0, error


@pytest.mark.parametrize("levels", ["1", "3"])
def test_in_somebody_elses_parallel_region(levels, tmp_path):
    library = compiled("team", tmp_path, "-fopenmp")
    program = f"""if True:
        import ctypes, sys; sys.path.insert(0, {TESTS!r})
        import numpy as np
        from shapes import Shape, make_case
        from calls import call_lstm, call_vjp, pack
        case = make_case(Shape("nested", 30, 8, 24, 72, 2, True), np.float32)
        packed = pack(case)
        outputs, pullback = call_vjp(case, num_threads=1)
        wanted = [a.tobytes() for a in (*outputs, *pullback(*outputs)[2])]
        wanted_of_packed = [
            a.tobytes() for a in call_lstm(case, all_weights=packed, num_threads=1)]
        def body(_):
            outputs, pullback = call_vjp(case, num_threads=2)
            got = [a.tobytes() for a in (*outputs, *pullback(*outputs)[2])]
            same.append(got == wanted)
            got = [a.tobytes() for a in call_lstm(case, all_weights=packed, num_threads=2)]
            same.append(got == wanted_of_packed)
        same = []
        callback = ctypes.CFUNCTYPE(None, ctypes.c_int)(body)
        body(0)  # with threads of its own first
        for _ in range(5):
            ctypes.CDLL({str(library)!r}).in_a_team(3, 6, callback)
        body(0)
        print(len(same), all(same))
    """
    code, output, error = ask(program, OMP_MAX_ACTIVE_LEVELS=levels)
    assert (code, output) == (0, "64 True"), error


def test_in_a_pool_of_threads():
    case = make_case(Shape("pool", 30, 8, 24, 72), np.float32)
    expected = call_lstm(case, num_threads=1)
    results = [in_a_thread(lambda: call_lstm(case, num_threads=3)) for _ in range(50)]
    for got in results:
        assert_same_bits(got, expected)
