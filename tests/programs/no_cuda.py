"""A call on the CPU; it loads nothing of CUDA."""

import sys
from pathlib import Path

import numpy as np

from calls import call_lstm
from shapes import Shape, make_case

call_lstm(make_case(Shape("small", 1, 1, 1, 1), np.float32))
assert "lstm_native._cuda" not in sys.modules
assert "libcu" not in Path("/proc/self/maps").read_text()
