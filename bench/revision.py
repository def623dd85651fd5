"""Reads which revision of the source is checked out."""

from __future__ import annotations

import subprocess
from typing import Any

from bench import ROOT


def describe_revision() -> dict[str, Any]:
    """The commit; ``dirty`` is None where git can't tell."""
    commit = _git("rev-parse", "HEAD")
    # Results of earlier runs don't change what is timed.
    changes = _git("status", "--porcelain", "--", ".", ":!bench/results")
    return {"hash": commit or "unknown", "dirty": None if changes is None else bool(changes)}


def _git(*arguments: str) -> str | None:
    try:
        done = subprocess.run(
            ["git", "--no-optional-locks", *arguments],
            cwd=ROOT,
            capture_output=True,
            text=True,
            check=True,
        )
    except (OSError, subprocess.CalledProcessError):
        return None
    return done.stdout.strip()
