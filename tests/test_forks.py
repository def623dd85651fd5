"""Processes that others make: forked, spawned, from any thread, while calls run. Each in 120 s."""

import subprocess
import sys
from pathlib import Path

import pytest

from fresh_interpreter import HAS_GIL, ask
from native_libraries import compiled

# Python itself warns of forks where there are threads, from 3.12 on.
TESTS = str(Path(__file__).parent)

PREPARE = f"""if True:
    import hashlib, os, sys, threading, time, warnings
    warnings.simplefilter("ignore", DeprecationWarning)
    sys.path.insert(0, {TESTS!r})
    import numpy as np, lstm_native
    from calls import call_lstm, call_vjp, flat_weight, gradient_arguments, gradient_for
    from calls import operator_for, pack
    from shapes import Shape, make_case
    case = make_case(Shape("forked", 20, 8, 24, 72, 2, True), np.float32)
    wave = make_case(Shape("wave", 40, 1, 32, 32, 4), np.float32)
    packed, packed_wave = pack(case), pack(wave)
    stream = lstm_native.Stream(packed_wave, num_threads=2)
    net, flat = operator_for(case, 0.5), flat_weight(case)
    gradient = gradient_for(case, 0.5)
    def run():
        stream.reset()
        lstm_native.manual_seed(3)
        outputs, pullback = call_vjp(case, num_threads=3)
        results = [*outputs, *pullback(*outputs)[2]]
        results += call_lstm(case, all_weights=packed, num_threads=2)
        results += call_lstm(wave, all_weights=packed_wave, num_threads=4)
        called = net(case.x, case.h0, case.c0, flat, num_threads=2)
        results += called
        results += gradient(*gradient_arguments(case, flat, called), num_threads=3)
        results += pack(case).unpack()
        results += [stream.run(wave.x), stream.step(wave.x[0])]
        whole = b"".join(np.ascontiguousarray(a).tobytes() for a in results)
        return hashlib.sha256(whole).digest()
    def in_a_child(check):
        child = os.fork()
        if child == 0:
            code = 1
            try:
                code = 0 if check() else 2
            finally:
                os._exit(code)
        return os.waitpid(child, 0)[1]
"""

PROGRAMS = {
    "after a call": """
    expected = run()
    assert in_a_child(lambda: run() == expected) == 0
    assert run() == expected
    """,
    "before any call": """
    received, sent = os.pipe()
    def check():
        with os.fdopen(sent, "wb") as pipe:
            pipe.write(run())
        return True
    assert in_a_child(check) == 0
    os.close(sent)
    with os.fdopen(received, "rb") as pipe:
        assert pipe.read() == run()
    """,
    "a child's child": """
    expected = run()
    assert in_a_child(lambda: in_a_child(lambda: run() == expected) == 0) == 0
    """,
    "inside a thread": """
    expected = run()
    codes = []
    def fork():
        run()
        codes.append(in_a_child(lambda: run() == expected))
    forker = threading.Thread(target=fork)
    forker.start()
    forker.join()
    assert codes == [0]
    assert run() == expected
    """,
    "while another thread computes": """
    expected = run()
    done = []
    def compute():
        while not done:
            call_lstm(case, num_threads=2)
            call_lstm(case, dropout=0.5, train=True, num_threads=3)
    threads = [threading.Thread(target=compute) for _ in range(2)]
    for thread in threads: thread.start()
    codes = [in_a_child(lambda: run() == expected) for _ in range(20)]
    done.append(True)
    for thread in threads: thread.join()
    assert codes == [0] * 20
    assert run() == expected
    """,
    "while another thread draws masks": """
    from lstm_native.random import generator
    expected = run()
    held, leave = threading.Event(), threading.Event()
    def hold():
        with generator._lock:
            held.set()
            leave.wait()
    holder = threading.Thread(target=hold)
    holder.start()
    held.wait()
    assert in_a_child(lambda: run() == expected) == 0
    leave.set()
    holder.join()
    """,
}
# A stream that another thread was using at the fork is in the middle of a step for ever.
PROGRAMS["while another thread uses a stream"] = """
    x = np.broadcast_to(wave.x[:1], (500_000, 1, 32))
    user = threading.Thread(target=lambda: stream.run(x))
    user.start()
    while user.is_alive():
        try:
            stream.nbytes
        except RuntimeError:
            break
    def check():
        try:
            stream.step(wave.x[0])
        except RuntimeError as error:
            return "in use by another thread" in str(error)
    assert in_a_child(check) == 0
    user.join()
    """


# Small products, of which OpenBLAS's lock is a good part, at least with its kernels for old CPUs.
PROGRAMS["while other threads are in BLAS"] = """
    many = make_case(Shape("many", 1, 2, 8, 8, 400), np.float32)
    outputs, pullback = call_vjp(many, num_threads=1)
    def gradient():
        return pullback(*outputs, needs=["input"])[0].tobytes()
    expected, done = gradient(), []
    def compute():
        while not done: gradient()
    threads = [threading.Thread(target=compute) for _ in range(2)]
    for thread in threads: thread.start()
    codes = [in_a_child(lambda: gradient() == expected) for _ in range(1000)]
    done.append(True)
    for thread in threads: thread.join()
    assert codes == [0] * 1000
    assert gradient() == expected
    """
# A child gets the threads that it asks for: libgomp's own, which would hang there, end at the fork.
PROGRAMS["a child has threads of its own"] = """
    from resident import threads_of_process
    call_lstm(case, num_threads=3)
    def check():
        assert threads_of_process() == 1
        call_lstm(case, num_threads=3)
        return threads_of_process() == 3
    assert [in_a_child(check) for _ in range(3)] == [0, 0, 0]
    assert in_a_child(lambda: in_a_child(check) == 0) == 0  # of a child
    assert run() == run()
    """


@pytest.mark.parametrize("name", PROGRAMS)
def test_fork(name):
    if name == "while other threads are in BLAS" and not HAS_GIL:
        pytest.skip("CPython 3.13 without the GIL forks while other threads have objects' locks")
    code, _, error = ask(PREPARE + PROGRAMS[name], OPENBLAS_CORETYPE="Prescott")
    assert code == 0, error


@pytest.mark.parametrize("where", ["after", "inside"])
def test_fork_by_a_thread_that_led_somebody_elses_region(where, tmp_path):
    # On the same OpenMP runtime, where the core was not linked with one of its own.
    library = compiled("team", tmp_path, "-fopenmp")
    program = f"""
    import ctypes
    team = ctypes.CDLL({str(library)!r}).in_a_team
    received, sent = os.pipe()
    codes = []
    def check():
        os.write(sent, run())
        return True
    def fork(index=0):
        if index == 0: codes.append(in_a_child(check))
    def nothing(index): pass
    in_python = ctypes.CFUNCTYPE(None, ctypes.c_int)
    if {where!r} == "after":
        team(2, 2, in_python(nothing))
        fork()
    else:
        team(2, 2, in_python(fork))
    assert codes == [0]
    assert os.read(received, 100) == run()
    """
    code, _, error = ask(PREPARE + program)
    assert code == 0, error


def test_a_fork_where_openmp_believes_in_threads_that_an_earlier_fork_left_behind(tmp_path):
    library = compiled("team", tmp_path, "-fopenmp")
    program = f"""if True:
        import ctypes, os, warnings
        warnings.simplefilter("ignore", DeprecationWarning)
        nothing = ctypes.CFUNCTYPE(None, ctypes.c_int)(lambda index: None)
        ctypes.CDLL({str(library)!r}).in_a_team(2, 2, nothing)
        def ends_well(check):
            child = os.fork()
            if child == 0:
                os._exit(0 if check() else 1)
            return os.waitpid(child, 0)[1] == 0
        def check():
            import lstm_native
            return ends_well(lambda: True)
        print(ends_well(check))
    """
    code, output, error = ask(program)
    assert (code, output) == (0, "True"), error


POOL = """
import multiprocessing, sys, warnings
warnings.simplefilter("ignore", DeprecationWarning)
sys.path.insert(0, {tests!r})
import numpy as np
import lstm_native
from calls import call_lstm, call_vjp, pack
from shapes import Shape, make_case

CASE = make_case(Shape("pool", 20, 8, 24, 72, 2, True), np.float32)

def work(weights):
    given = CASE.all_weights if weights is None else weights
    outputs = call_lstm(CASE, all_weights=given, num_threads=2)
    results, pullback = call_vjp(CASE, num_threads=3)
    return [a.tobytes() for a in (*outputs, *results, *pullback(*results)[2])]

if __name__ == "__main__":
    packed = pack(CASE)  # pickled, and packed again for the CPU that reads it
    expected = [work(None), work(packed)]
    context = multiprocessing.get_context({method!r})
    with context.Pool(3) as pool:
        got = pool.map(work, [None, packed] * 6, chunksize=1)
    print(got == expected * 6)
"""


@pytest.mark.parametrize("method", ["fork", "forkserver", "spawn"])
def test_multiprocessing(method, tmp_path):
    program = tmp_path / "program.py"
    program.write_text(POOL.format(tests=TESTS, method=method))
    done = subprocess.run(
        [sys.executable, str(program)], capture_output=True, text=True, check=False, timeout=120
    )
    assert (done.returncode, done.stdout.strip()) == (0, "True"), done.stderr
