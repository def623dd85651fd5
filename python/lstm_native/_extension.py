"""Imports the C++ core. The bundled BLAS starts with one thread.

OpenBLAS starts its thread pool while it is loaded, from environment variables; afterwards the pool
can be idled but not taken back. So the variable is set for the time of the loading only. NumPy is
imported first: its own BLAS must read the environment as the user left it. Nothing is set for a
system BLAS, which other code in the process may share.
"""

# ruff: noqa: E402 (before NumPy says in its own words that it can't be imported)
import importlib


def _refuse_sub_interpreters() -> None:
    for name in ("_interpreters", "_xxsubinterpreters"):  # CPython 3.13 and later; earlier ones
        try:
            interpreters = importlib.import_module(name)
        except ImportError:
            continue
        # An id; in later versions a tuple that begins with it.
        if interpreters.get_current() != interpreters.get_main():
            raise ImportError(
                "lstm_native: sub-interpreters are not supported, as NumPy does not support them; "
                "import it in the main interpreter, and use threads or processes"
            )
        return


_refuse_sub_interpreters()

import os
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec

import numpy as np  # noqa: F401


def _bundles_blas() -> bool:
    """Whether the core's folder holds OpenBLAS. An editable install has it apart from this file."""
    spec = find_spec("lstm_native._core")
    if spec is None or spec.origin is None:
        return False  # the import below says what is wrong
    folder = os.path.dirname(spec.origin)
    return os.path.exists(os.path.join(folder, "liblstm_native_openblas.so"))


@contextmanager
def _environment(variable: str, value: str) -> Iterator[None]:
    users_value = os.environ.get(variable)
    os.environ[variable] = value
    try:
        yield
    finally:
        if users_value is None:
            del os.environ[variable]
        else:
            os.environ[variable] = users_value


if _bundles_blas():
    with _environment("OPENBLAS_NUM_THREADS", "1"):
        from lstm_native import _core as core
else:
    from lstm_native import _core as core

__all__ = ["core"]
