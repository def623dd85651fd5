"""Compiles the small libraries of tests/native/."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

_SOURCES = Path(__file__).parent / "native"


def compiled(name: str, folder: Path, *flags: str) -> Path:
    """The library made of native/<name>.cpp; skips where there is no compiler."""
    compiler = shutil.which(os.environ.get("CXX", "c++"))
    if compiler is None:
        pytest.skip("no C++ compiler: name one by CXX")
    library = folder / f"{name}.so"
    command = [compiler, "-std=c++17", "-O1", "-fPIC", "-shared", *flags]
    done = subprocess.run(
        [*command, str(_SOURCES / f"{name}.cpp"), "-o", str(library), "-ldl"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return library
