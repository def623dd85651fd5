"""A process that has made thousands of calls, wrong ones too, has no more memory than before."""

import pytest

from few_and_all import few_of
from fresh_interpreter import ask
from native_libraries import compiled


@few_of("kind", ["random", "new"], ["new"])
@pytest.mark.parametrize("count", [100, pytest.param(5000, marks=pytest.mark.slow)])
def test_many_calls_leave_nothing(kind, count, tmp_path):
    shim = str(compiled("allocations", tmp_path))
    code, output, error = ask("long_lives.py", kind, count, LD_PRELOAD=shim)
    assert code == 0, error
    core, python = map(int, output.split())
    assert core == 0
    assert python < 128 * count  # of the interpreter's own caches
