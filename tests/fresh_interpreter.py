"""Runs the programs of tests/programs/, each in an interpreter of its own."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

TESTS = Path(__file__).parent
# What a machine or its user may have set, and a test must decide itself.
_UNSET = (
    *("OMP_NUM_THREADS", "LSTM_NATIVE_NUM_THREADS", "OPENBLAS_NUM_THREADS"),
    "LSTM_NATIVE_FLUSH_SUBNORMALS",
)
# A program that hangs ends after this many seconds; all others take far less beside any load.
_HANGING = 600

# Whether the interpreter has the GIL, which no CPython before 3.13 can do without.
HAS_GIL = getattr(sys, "_is_gil_enabled", lambda: True)()


def ask(program: str, *arguments: object, **environment: str) -> tuple[int, str, str]:
    """Return exit code, stripped stdout and stderr; a warning is an error.

    The program is one of tests/programs/, and may import the tests' helpers.
    """
    inherited = {name: value for name, value in os.environ.items() if name not in _UNSET}
    inherited["PYTHONPATH"] = str(TESTS)
    path = str(TESTS / "programs" / program)
    process = subprocess.Popen(
        [sys.executable, "-W", "error", path, *map(str, arguments)],
        env={**inherited, **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    with process:
        try:
            output, error = process.communicate(timeout=_HANGING)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)  # its children, too
            raise
    return process.returncode, output.strip(), error
