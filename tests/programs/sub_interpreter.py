"""Prints what an import in a sub-interpreter says, before and after the main one's import."""

import os
from typing import Any

try:
    import _interpreters as interpreters  # type: ignore[import-not-found] # CPython 3.13

    run: Any = interpreters.exec
except ImportError:
    import _xxsubinterpreters as interpreters  # type: ignore[import-not-found]

    run = interpreters.run_string

PROGRAM = """
import os
try:
    import lstm_native
except ImportError as error:
    text = str(error)
else:
    text = "imported"
os.write({pipe}, text.encode())
"""

received, sent = os.pipe()
for imported in (False, True):
    if imported:
        import lstm_native  # noqa: F401
    run(interpreters.create(), PROGRAM.format(pipe=sent))
    print(os.read(received, 1000).decode(), flush=True)
os._exit(0)  # NumPy, where it was half imported, does not survive an orderly end
