"""Programs that end while calls run, or make some as they end."""

import pytest

from few_and_all import few_of
from fresh_interpreter import ask


@few_of("threads", [1, 2], [2])
@pytest.mark.parametrize("work", ["short", "long", "by BLAS", "gradients"])
def test_a_program_ends_while_daemon_threads_compute(work, threads):
    assert ask("daemons.py", work, threads) == (0, "", "")


@pytest.mark.parametrize("what", ["step", "checks"])
def test_a_finalizer_calls_us(what):
    assert ask("finalizer.py", what) == (0, "same", "")
