"""Runs programs in an interpreter of their own."""

from __future__ import annotations

import os
import signal
import subprocess
import sys

# What a machine or its user may have set, and a test must decide itself.
_UNSET = (
    *("OMP_NUM_THREADS", "LSTM_NATIVE_NUM_THREADS", "OPENBLAS_NUM_THREADS"),
    "LSTM_NATIVE_FLUSH_SUBNORMALS",
)

# Whether the interpreter has the GIL, which no CPython before 3.13 can do without.
HAS_GIL = getattr(sys, "_is_gil_enabled", lambda: True)()


def ask(program: str, **environment: str) -> tuple[int, str, str]:
    """Return exit code, stripped stdout and stderr; a warning is an error."""
    inherited = {name: value for name, value in os.environ.items() if name not in _UNSET}
    process = subprocess.Popen(
        [sys.executable, "-W", "error", "-c", program],
        env={**inherited, **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    with process:
        try:
            output, error = process.communicate(timeout=120)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)  # its children, too
            raise
    return process.returncode, output.strip(), error
