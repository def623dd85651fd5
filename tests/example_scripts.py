"""Imports the examples as their own processes see them."""

import importlib
import sys
from contextlib import contextmanager

import pytest


@contextmanager
def imported(script, package, *parts):
    """Give the script as a module, with these modules imported beside it; it needs NumPy only.

    The script's folder is searched as when Python runs the script, and the modules found there are
    forgotten at the end: the script, the package of its parts, and what the examples share.
    """
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(script.parent)
        module = importlib.import_module(script.stem)
        for part in parts:
            importlib.import_module(f"{package}.{part}")
    yield module
    for name in list(sys.modules):
        if name.partition(".")[0] in (script.stem, package, "cli"):
            del sys.modules[name]
