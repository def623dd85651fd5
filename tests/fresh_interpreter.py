"""Runs programs in an interpreter of their own."""

from __future__ import annotations

import os
import subprocess
import sys

# What a machine or its user may have set, and a test must decide itself.
_UNSET = (
    *("OMP_NUM_THREADS", "LSTM_NATIVE_NUM_THREADS", "OPENBLAS_NUM_THREADS"),
    "LSTM_NATIVE_FLUSH_SUBNORMALS",
)


def ask(program: str, **environment: str) -> tuple[int, str, str]:
    """Return exit code, stripped stdout and stderr; a warning is an error."""
    inherited = {name: value for name, value in os.environ.items() if name not in _UNSET}
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", program],
        env={**inherited, **environment},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    return done.returncode, done.stdout.strip(), done.stderr
