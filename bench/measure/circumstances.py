"""Describes the circumstances of a run."""

from __future__ import annotations

import dataclasses
import datetime
import os
import shlex
import subprocess
from collections.abc import Mapping, Sequence
from contextlib import closing
from typing import Any

from bench import ROOT
from bench.measure.machine import describe_machine
from bench.measure.rounds import Settings
from bench.measure.workers import Crew, NotInstalledError, RequestFailedError, WorkerCrashedError
from bench.peers.variants import TORCH_TRAINING, TRAINING, gradient_tolerance_of, tolerance_of

# Variables with these beginnings change how many threads run, or which code they run.
_TELLING_VARIABLES = ("OMP_", "GOMP_", "KMP_", "MKL_", "OPENBLAS_", "ONEDNN_", "LSTM_NATIVE_")


def describe_run(
    arguments: Sequence[str], settings: Settings, implementations: Sequence[str]
) -> dict[str, Any]:
    """What is needed to judge the results or to get them again."""
    descriptions = _describe_implementations(implementations)
    return {
        "date": datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds"),
        "command": shlex.join(["python", "-m", "bench", *arguments]),
        "commit": _describe_revision(),
        "machine": describe_machine(),
        # Other programs' work on the same cores spoils above all the times of several threads.
        "load_average_before": os.getloadavg()[0] if hasattr(os, "getloadavg") else None,
        "environment": _telling(os.environ),
        "settings": dataclasses.asdict(settings),
        "tolerances": {name: tolerance_of(name) for name in implementations},
        "gradient_tolerances": {
            name: gradient_tolerance_of(name) for name in (TRAINING, TORCH_TRAINING)
        },
        "versions": {name: d["versions"] for name, d in descriptions.items()},
        "config": {name: d["config"] for name, d in descriptions.items() if d["config"]},
    }


def _describe_implementations(names: Sequence[str]) -> dict[str, dict[str, Any]]:
    """Versions by implementation; one that can't tell will say why when it is measured."""
    descriptions: dict[str, dict[str, Any]] = {}
    with closing(Crew(names)) as crew:
        for name in names:
            try:
                descriptions[name] = crew.request(name, "describe")
            except (NotInstalledError, RequestFailedError, WorkerCrashedError):
                descriptions[name] = {"versions": {}, "config": {}}
    return descriptions


def _telling(environment: Mapping[str, str]) -> dict[str, str]:
    return {
        name: value
        for name, value in sorted(environment.items())
        if name.startswith(_TELLING_VARIABLES)
    }


def _describe_revision() -> dict[str, Any]:
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
