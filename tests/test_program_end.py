"""Programs that end while calls run, or make some as they end."""

import pytest

from fresh_interpreter import ask


@pytest.mark.parametrize("threads", [pytest.param(1, marks=pytest.mark.thorough), 2])
@pytest.mark.parametrize("work", ["short", "long", "by BLAS", "gradients"])
def test_a_program_ends_while_daemon_threads_compute(work, threads):
    assert ask("daemons.py", work, threads) == (0, "", "")


@pytest.mark.parametrize("what", ["step", "checks"])
def test_a_finalizer_calls_us(what):
    assert ask("finalizer.py", what) == (0, "same", "")
