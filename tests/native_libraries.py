"""Compiles the small libraries of tests/native/."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

_SOURCES = Path(__file__).parent / "native"


def compile_with(*arguments: str) -> None:
    """Run the compiler and assert that it succeeds; skip the test where there is none."""
    compiler = shutil.which(os.environ.get("CXX", "c++"))
    if compiler is None:
        pytest.skip("no C++ compiler: name one by CXX")
    command = [compiler, "-std=c++17", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def compiled(name: str, folder: Path, *flags: str) -> Path:
    """The library made of native/<name>.cpp."""
    library = folder / f"{name}.so"
    source = str(_SOURCES / f"{name}.cpp")
    compile_with("-O1", "-fPIC", "-shared", *flags, source, "-o", str(library), "-ldl")
    return library
