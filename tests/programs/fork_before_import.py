"""A fork that OpenMP does not survive, an import in the child, and a fork there."""

import ctypes
import os
import sys
import warnings
from collections.abc import Callable

warnings.simplefilter("ignore", DeprecationWarning)  # of forks beside threads
nothing = ctypes.CFUNCTYPE(None, ctypes.c_int)(lambda _: None)
ctypes.CDLL(sys.argv[1]).in_a_team(2, 2, nothing)


def ends_well(check: Callable[[], bool]) -> bool:
    child = os.fork()
    if child == 0:
        os._exit(0 if check() else 1)
    return os.waitpid(child, 0)[1] == 0


def check() -> bool:
    import lstm_native  # noqa: F401, PLC0415

    return ends_well(lambda: True)


print(ends_well(check))
