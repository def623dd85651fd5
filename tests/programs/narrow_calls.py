"""Makes the calls in a pickle, with weights in 16 bits, and writes the results: FILE."""

import pickle
import sys
from pathlib import Path

import lstm_native

path = Path(sys.argv[1])
results = []
for x, states, weights, weight_dtype in pickle.loads(path.read_bytes()):
    packed = lstm_native.pack_weights(
        weights, 1, False, False, False, False, weight_dtype=weight_dtype
    )
    results.append(lstm_native.lstm(x, states, packed, 1, 0.0, False, False))
path.write_bytes(pickle.dumps(results))
