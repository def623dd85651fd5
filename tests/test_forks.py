"""Processes that others make: forked, spawned, from any thread, while calls run."""

import pytest

from few_and_all import few_of
from fresh_interpreter import HAS_GIL, ask
from native_libraries import compiled


@pytest.fixture(scope="module")
def team(tmp_path_factory):
    return compiled("team", tmp_path_factory.mktemp("native"), "-fopenmp")


@few_of(
    "situation",
    [
        *("after a call", "before any call", "of a child", "inside a thread"),
        *("while others compute", "while another draws masks"),
        *("while another uses a stream", "has threads of its own"),
        # On the same OpenMP runtime, where the core was not linked with one of its own.
        *("after leading another's region", "inside another's region"),
    ],
    ["after a call", "inside a thread", "while others compute", "inside another's region"],
)
def test_fork(situation, team):
    code, _, error = ask("forks.py", situation, team, 3)
    assert code == 0, error


@few_of("count", [100, 500], [100])
@pytest.mark.skipif(not HAS_GIL, reason="CPython 3.13 forks while others have objects' locks")
def test_forks_while_other_threads_are_in_blas(team, count):
    # OpenBLAS's kernels for old CPUs lock most often.
    situation = "while others are in BLAS"
    code, _, error = ask("forks.py", situation, team, count, OPENBLAS_CORETYPE="Prescott")
    assert code == 0, error


def test_a_fork_where_openmp_believes_in_threads_that_an_earlier_fork_left_behind(team):
    code, output, error = ask("fork_before_import.py", team)
    assert (code, output) == (0, "True"), error


@few_of("method", ["fork", "forkserver", "spawn"], ["fork", "spawn"])
def test_multiprocessing(method):
    code, output, error = ask("worker_pool.py", method)
    assert (code, output) == (0, "True"), error
