"""The same bits for any number of threads; nothing global is changed."""

import sys
import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

import lstm_native
from calls import assert_same_bits, call_lstm, flat_weight, operator_for
from fresh_interpreter import ask
from lstm_native import config
from shapes import Shape, make_case, shapes_by_name

THREADS = (1, 2, 3, 8)
SHAPES = [
    *(
        shapes_by_name()[n]
        for n in ("h130", "batch_33", "bi_three_layers_batch_33", "forecast_h32")
    ),
    Shape("wide", 20, 65, 40, 130, bidirectional=True, reason="several blocks of every kind"),
    Shape("one_row_bi", 60, 1, 300, 200, 2, True, reason="directions and column blocks"),
]


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("shape", SHAPES, ids=lambda shape: shape.name)
def test_same_bits(shape, dtype):
    case = make_case(shape, dtype, seed=1)
    net, w = operator_for(case), flat_weight(case)
    expected = call_lstm(case, num_threads=1)
    expected_reserve = net(case.x, case.h0, case.c0, w, num_threads=1)[3]
    for threads in THREADS[1:]:
        assert_same_bits(call_lstm(case, num_threads=threads), expected)
        reserve = net(case.x, case.h0, case.c0, w, num_threads=threads)[3]
        assert_same_bits([reserve], [expected_reserve])


def test_same_bits_packed():
    case = make_case(Shape("packed", 6, 70, 30, 40, 2, True), np.float32)
    sizes = [70, 60, 33, 32, 5, 1]
    rows = np.concatenate([case.x[t, :size] for t, size in enumerate(sizes)])
    results = [call_lstm(case, input=rows, batch_sizes=sizes, num_threads=n) for n in THREADS]
    for got in results[1:]:
        assert_same_bits(got, results[0])


def test_same_bits_scattered_input():
    case = make_case(SHAPES[-2], np.float32)
    turned = np.asfortranarray(case.x)
    results = [call_lstm(case, input=turned, num_threads=n) for n in THREADS]
    for got in results[1:]:
        assert_same_bits(got, results[0])


def test_many_python_threads_at_once():
    cases = [make_case(shape, np.float32, seed=k) for k, shape in enumerate(SHAPES)]
    expected = [call_lstm(case, num_threads=1) for case in cases]
    with ThreadPoolExecutor(6) as pool:
        jobs = [(k, pool.submit(call_lstm, cases[k], num_threads=2)) for k in [*range(6)] * 4]
        for k, job in jobs:
            assert_same_bits(job.result(timeout=60), expected[k])


def test_the_gil_is_released():
    case = make_case(Shape("long", 400, 64, 64, 128), np.float32)
    call_lstm(case, num_threads=1)
    progress = []
    done = threading.Event()

    def count():
        while not done.wait(0.0005):  # waiting gives the GIL back
            progress.append(None)

    counter = threading.Thread(target=count)
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1000)  # so that nothing but a release by the call lets the counter run
    try:
        counter.start()
        before = len(progress)
        call_lstm(case, num_threads=1)
        after = len(progress)
    finally:
        done.set()
        sys.setswitchinterval(interval)
        counter.join()
    assert after > before


def test_set_num_threads():
    default = lstm_native.get_num_threads()
    lstm_native.set_num_threads(3)
    assert lstm_native.get_num_threads() == 3
    lstm_native.set_num_threads(None)
    assert lstm_native.get_num_threads() == default


@pytest.mark.parametrize(
    ("environment", "expected"),
    [
        ({"LSTM_NATIVE_NUM_THREADS": "5", "OMP_NUM_THREADS": "3"}, 5),
        ({"OMP_NUM_THREADS": "3"}, 3),
        ({"OMP_NUM_THREADS": "4,2"}, 4),
        ({"OMP_NUM_THREADS": "nonsense"}, config.usable_cores()),
        ({"LSTM_NATIVE_NUM_THREADS": "", "OMP_NUM_THREADS": "2"}, 2),
        ({}, config.usable_cores()),
    ],
    ids=str,
)
def test_default_threads(environment, expected):
    program = "import lstm_native; print(lstm_native.get_num_threads())"
    code, output, error = ask(program, **environment)
    assert (code, output) == (0, str(expected)), error


@pytest.mark.parametrize("value", ["0", "-1", "many", "1.5", "100000"])
def test_a_wrong_environment_variable_is_named(value):
    code, _, error = ask("import lstm_native", LSTM_NATIVE_NUM_THREADS=value)
    assert code != 0
    expected = "environment variable LSTM_NATIVE_NUM_THREADS: expected an int from 1 to 128"
    assert f"{expected}, got {value!r}" in error


def test_affinity_is_respected():
    program = (
        "import os; os.sched_setaffinity(0, {min(os.sched_getaffinity(0))}); "
        "import lstm_native; print(lstm_native.get_num_threads())"
    )
    assert ask(program)[1] == "1"


@pytest.mark.parametrize(
    ("files", "limit"),
    [
        ({"cpu.max": "150000 100000\n"}, 1.5),
        ({"cpu.max": "max 100000\n"}, None),
        ({"cpu/cpu.cfs_quota_us": "200000\n", "cpu/cpu.cfs_period_us": "100000\n"}, 2.0),
        ({"cpu/cpu.cfs_quota_us": "-1\n", "cpu/cpu.cfs_period_us": "100000\n"}, None),
        ({"cpu.max": "garbage"}, None),
        ({}, None),
    ],
    ids=str,
)
def test_cgroup_limit(tmp_path, files, limit):
    for name, text in files.items():
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
    assert config._cgroup_limit(tmp_path) == limit


STATUS = """if True:
    def threads():
        lines = open("/proc/self/status").read().splitlines()
        return next(int(line.split()[1]) for line in lines if line.startswith("Threads:"))
"""


def test_importing_starts_no_threads_and_leaves_the_environment():
    program = STATUS + (
        "    import numpy, os; before = threads(), dict(os.environ)\n"
        "    import lstm_native; print((threads(), dict(os.environ)) == before)"
    )
    for environment in ({}, {"OPENBLAS_NUM_THREADS": "3"}):
        assert ask(program, **environment)[1] == "True"


def test_one_thread_means_one_thread():
    program = STATUS + (
        "    import lstm_native, numpy as np; before = threads()\n"
        "    x = np.ones((50, 64, 64), 'f'); s = np.ones((1, 64, 64), 'f')\n"
        "    w = [np.ones((256, 64), 'f')] * 2 + [np.ones(256, 'f')] * 2\n"
        "    lstm_native.lstm(x, (s, s), w, 1, 0.0, False, False, num_threads=1)\n"
        "    print(threads() - before)"
    )
    assert ask(program)[1] == "0"


@pytest.mark.parametrize(
    "call",
    [
        "lstm_native.lstm(x, (s, s), w, 1, 0.0, False, False, num_threads=3)",
        "net(x, s, s, flat, num_threads=3)",
        "lstm_native.set_num_threads(3); net(x, s, s, flat)",
        "lstm_native.set_num_threads(3); lstm_native.lstm(x, (s, s), w, 1, 0.0, False, False)",
    ],
)
def test_three_threads_means_three_threads(call):
    program = STATUS + (
        "    import lstm_native, numpy as np; before = threads()\n"
        "    x = np.ones((50, 64, 64), 'f'); s = np.ones((1, 64, 64), 'f')\n"
        "    w = [np.ones((256, 64), 'f')] * 2 + [np.ones(256, 'f')] * 2\n"
        "    net = lstm_native.LSTM(64, 64, 1, True, False, 0.0)\n"
        "    flat = np.ones(net.weight_size, 'f')\n"
        f"    {call}\n"
        "    print(threads() - before)"
    )
    code, output, error = ask(program, LSTM_NATIVE_NUM_THREADS="1")
    assert (code, output) == (0, "2"), error


FORK = """if True:
    import os, sys, lstm_native, numpy as np
    x = np.ones((50, 64, 64), "f"); s = np.ones((1, 64, 64), "f")
    w = [np.ones((256, 64), "f")] * 2 + [np.ones(256, "f")] * 2
    def run():
        return lstm_native.lstm(x, (s, s), w, 1, 0.0, False, False, num_threads=2)[0].tobytes()
    expected = run()
    child = os.fork()
    if child == 0:
        os._exit(0 if run() == expected else 1)
    assert os.waitpid(child, 0)[1] == 0
    assert run() == expected
"""


def test_a_forked_child_computes_the_same_and_never_hangs():
    code, _, error = ask(FORK)
    assert code == 0, error


def test_more_threads_at_once_than_blas_has_memory_for():
    # Unlimited, OpenBLAS warns on stderr, then corrupts memory.
    program = """if True:
        import lstm_native, numpy as np
        from concurrent.futures import ThreadPoolExecutor
        x = np.ones((3, 4000, 8), "f"); s = np.ones((1, 4000, 8), "f")
        w = [np.ones((32, 8), "f")] * 2 + [np.ones(32, "f")] * 2
        def run(_):
            return lstm_native.lstm(x, (s, s), w, 1, 0.0, False, False, num_threads=64)[0].tobytes()
        with ThreadPoolExecutor(12) as pool:
            print(len(set(pool.map(run, range(36)))))
    """
    code, output, error = ask(program)
    assert (code, output, error) == (0, "1", "")


def test_openmp_and_blas_settings_survive_calls():
    # libgomp's own view of its settings, and the bundled BLAS's pool, before and after.
    program = """if True:
        import ctypes, lstm_native, numpy as np
        names = ["omp_get_max_threads", "omp_get_dynamic", "omp_get_max_active_levels"]
        def settings():
            own = lstm_native.get_config()["blas"]["threads"]
            return [getattr(gomp, n)() for n in names] + [own]
        gomp = ctypes.CDLL("libgomp.so.1")
        before = settings()
        x = np.ones((50, 64, 64), "f"); s = np.ones((1, 64, 64), "f")
        w = [np.ones((256, 64), "f")] * 2 + [np.ones(256, "f")] * 2
        for threads in (1, 2, 5):
            lstm_native.lstm(x, (s, s), w, 1, 0.0, False, False, num_threads=threads)
        print(settings() == before, before[-1])
    """
    code, output, error = ask(program)
    assert (code, output) == (0, "True 1"), error
