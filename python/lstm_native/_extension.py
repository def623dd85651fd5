"""Imports the C++ core, with the bundled BLAS held at one thread from its first moment.

OpenBLAS starts its thread pool while it is loaded, from environment variables; afterwards the pool
can be idled but not taken back. So the variable is set for the time of the loading only. NumPy is
imported first: its own BLAS must read the environment as the user left it.
"""

import os

import numpy as np  # noqa: F401

_VARIABLE = "OPENBLAS_NUM_THREADS"

_users_value = os.environ.get(_VARIABLE)
os.environ[_VARIABLE] = "1"
try:
    from lstm_native import _core as core
finally:
    if _users_value is None:
        del os.environ[_VARIABLE]
    else:
        os.environ[_VARIABLE] = _users_value

__all__ = ["core"]
