"""Feeds calls made of bytes to the package until one goes wrong: `python -m fuzz [options]`.

The options are libFuzzer's, for example -max_total_time=60, -runs=1000, or a file with the bytes of
a call that went wrong, to repeat it. Where the module was built for it (`make fuzz`), the C++ core
tells which of its code each call reached, and AddressSanitizer watches; else the Python layer does.
"""

from __future__ import annotations

import sys
from pathlib import Path

PROJECT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(PROJECT), str(PROJECT / "tests")]

import atheris  # noqa: E402

with atheris.instrument_imports(include=["lstm_native"]):
    import lstm_native  # noqa: F401

from fuzz.call import run  # noqa: E402

if __name__ == "__main__":
    atheris.Setup(sys.argv, run)
    atheris.Fuzz()
