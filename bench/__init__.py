"""Times lstm_native against other LSTM implementations.

The named shapes are those of the tests, so that what is timed is also what is tested. They are
imported the way pytest imports them, from the tests' own folder: a package called ``tests`` could
be shadowed by one that some dependency installs by mistake.
"""

import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent

if str(ROOT / "tests") not in sys.path:
    sys.path.insert(0, str(ROOT / "tests"))
