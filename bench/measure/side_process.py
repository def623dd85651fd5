"""Runs one of this package's other programs in a process of its own."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Sequence
from typing import Any

from bench import ROOT

_TIMEOUT_S = 300.0


class SideProcessError(Exception):
    """The program ended without its result."""


def run_program(module: str, arguments: Sequence[str]) -> list[dict[str, Any]]:
    """What ``python -m module arguments --json`` printed."""
    try:
        done = subprocess.run(
            [sys.executable, "-m", module, *arguments, "--json"],
            cwd=ROOT,
            capture_output=True,
            text=True,
            check=False,
            timeout=_TIMEOUT_S,
        )
    except subprocess.TimeoutExpired as error:
        raise SideProcessError(f"no result in {error.timeout:g} s") from None
    if done.returncode:
        lines = done.stderr.strip().splitlines() or [f"exit status {done.returncode}"]
        raise SideProcessError(lines[-1])
    result: list[dict[str, Any]] = json.loads(done.stdout)
    return result
