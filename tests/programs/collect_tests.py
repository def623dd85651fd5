"""Collects the tests of several pytest command lines: python collect_tests.py JSON.

Prints the exit status of each; 5 stands for no tests. In one process, which imports pytest once.
"""

import contextlib
import io
import json
import os
import sys
from pathlib import Path

import pytest

os.chdir(Path(__file__).parents[2])
with contextlib.redirect_stdout(io.StringIO()):
    codes = [
        int(pytest.main([*arguments, "--collect-only", "-qq", "-p", "no:cacheprovider"]))
        for arguments in json.loads(sys.argv[1])
    ]
print(codes)
