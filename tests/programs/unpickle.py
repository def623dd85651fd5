"""Reads packed weights from a pickle, and writes what they were made of: unpickle.py FILE."""

import pickle
import sys
from pathlib import Path

path = Path(sys.argv[1])
path.write_bytes(pickle.dumps(pickle.loads(path.read_bytes()).unpack()))
