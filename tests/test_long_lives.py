"""A process that has made thousands of calls, wrong ones too, is as large as after hundreds."""

import sys

import numpy as np
import pytest

import lstm_native
from calls import (
    call_lstm,
    call_vjp,
    flat_weight,
    gradient_arguments,
    gradient_for,
    operator_for,
    pack,
)
from fresh_interpreter import ask
from own_threads import resident_bytes, threads_of_process
from public_calls import MULTIPLIED_BACK_BY_BLAS, PROJECTED_BY_BLAS
from shapes import Shape, make_case
from validation_cases import MISTAKES

LIMIT = 2 << 20  # bytes
THREADS = (1, 2, 3)
POOL = lstm_native.MemoryPool()


def random_shape(rng):
    largest = (12, 24, 40, 70, 3)
    sizes = [int(rng.integers(1, top + 1)) for top in largest]
    return Shape("random", *sizes, bool(rng.integers(2)))


def largest_calls():
    """What random calls need at most, so that no later one is the first of its size."""
    case = make_case(Shape("largest", 12, 24, 40, 70, 3, True), np.float64)
    wide = make_case(Shape("wide", 40, 5, 300, 264), np.float32)
    by_blas = make_case(PROJECTED_BY_BLAS, np.float32)
    few = make_case(MULTIPLIED_BACK_BY_BLAS, np.float32)
    for threads in THREADS:
        for one in (case, wide, by_blas, few):
            outputs, pullback = call_vjp(one, num_threads=threads)
            pullback(*outputs)
            with POOL:
                outputs, pullback = call_vjp(one, num_threads=threads)
                pullback(*outputs)


def one_of_many_mistakes(_case, rng, **_):
    with pytest.raises((TypeError, ValueError, OverflowError)):
        MISTAKES[rng.integers(len(MISTAKES))].run()


def wrong_shape(case, _rng, **options):
    with pytest.raises(ValueError, match="input"):
        call_lstm(case, input=case.x[..., None], **options)


def with_lengths(case, rng, **options):
    lengths = rng.integers(0, case.shape.seq_len + 1, case.shape.batch).tolist()
    call_lstm(case, lengths=lengths, **options)


def trained(case, rng, **options):
    recompute = bool(rng.integers(2))
    outputs, pullback = call_vjp(case, recompute=recompute, dropout=0.5, **options)
    pullback(*outputs)


def trained_in_a_pool(case, rng, **options):
    with POOL:
        trained(case, rng, **options)
    if rng.integers(8) == 0:
        POOL.clear()


def trained_operator(case, _rng, **options):
    """The operator, its gradients at once and in halves."""
    flat = flat_weight(case)
    results = operator_for(case, 0.5)(case.x, case.h0, case.c0, flat, **options)
    gradient, given = gradient_for(case, 0.5), gradient_arguments(case, flat, results)
    *_, reserve, state = results
    gradient(*given, **options)
    workspace = gradient.data(*given, **options)[3]
    gradient.weights(case.x, reserve, workspace, state, **options)


def streamed(case, _rng, **options):
    if case.shape.bidirectional:
        return
    stream = lstm_native.Stream(pack(case), case.shape.batch, **options)
    for steps in (1, 3, case.shape.seq_len):
        stream.run(case.x[:steps])


KINDS = (
    one_of_many_mistakes,
    one_of_many_mistakes,
    wrong_shape,
    lambda case, _, **options: call_lstm(case, **options),
    lambda case, _, **options: call_lstm(case, all_weights=pack(case), **options),
    lambda case, _, **options: call_lstm(case, dropout=0.5, train=True, **options),
    lambda case, _, **options: operator_for(case)(
        case.x, case.h0, case.c0, flat_weight(case), **options
    ),
    with_lengths,
    trained,
    trained_in_a_pool,
    trained_operator,
    streamed,
)


def random_call(rng):
    """One right call, or a wrong one."""
    case = make_case(random_shape(rng), (np.float32, np.float64)[rng.integers(2)])
    KINDS[rng.integers(len(KINDS))](case, rng, num_threads=int(rng.choice(THREADS)))


def fill_the_table_of_names():
    """Let CPython double its table of interned names now: by a MB, at some time in any process."""
    for k in range(100_000):
        sys.intern(f"a name that nobody keeps, {k}")


def grown_after(settled, calls):
    rng = np.random.default_rng(1)
    largest_calls()
    fill_the_table_of_names()
    for _ in range(settled):
        random_call(rng)
    memory, threads = resident_but_for_the_pool(), threads_of_process()
    for _ in range(calls - settled):
        random_call(rng)
    assert threads_of_process() <= max(threads, *THREADS) + 1
    return resident_but_for_the_pool() - memory


def resident_but_for_the_pool():
    """What the pool holds follows what was in use of late (tests/test_memory_pool.py)."""
    POOL.clear()
    return resident_bytes()


# In a process of its own: what earlier tests left of the heap would be touched, and counted, again.
GROWN_AFTER = """if True:
    import sys, warnings
    sys.path.insert(0, {tests!r})
    warnings.filterwarnings("ignore", "dropout")
    from test_long_lives import grown_after
    print(grown_after({settled}, {calls}))
"""


def grown_by_itself(settled, calls, tests):
    code, output, error = ask(GROWN_AFTER.format(tests=tests, settled=settled, calls=calls))
    assert code == 0, error
    return int(output)


def test_a_thousand_calls(pytestconfig):
    assert grown_by_itself(300, 1000, str(pytestconfig.rootpath / "tests")) < LIMIT


@pytest.mark.slow
def test_ten_thousand_calls(pytestconfig):
    assert grown_by_itself(500, 10_000, str(pytestconfig.rootpath / "tests")) < LIMIT


def test_new_shapes_leave_nothing():
    # Each is seen once: a cache by shapes would show.
    sizes = [(batch, hidden) for batch in range(1, 41) for hidden in range(1, 41)]

    def call(batch, hidden):
        about = {"seq_len": 2, "batch": batch, "input_size": 3, "hidden_size": hidden}
        lstm_native.explain(**about)
        call_lstm(make_case(Shape("new", 2, batch, 3, hidden), np.float32), num_threads=2)

    for batch, hidden in sizes[::2]:
        call(batch, hidden)
    memory = resident_bytes()
    for batch, hidden in sizes[1::2]:
        call(batch, hidden)
    assert resident_bytes() - memory < LIMIT / 4
