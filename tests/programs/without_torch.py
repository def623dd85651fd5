"""Prints what the import of the adapter says where PyTorch is not installed."""

import sys

import lstm_native

sys.modules["torch"] = None  # type: ignore[assignment]
try:
    import lstm_native.torch
except ImportError as error:
    print(error)
assert lstm_native.LSTM(1, 1, 1, True, False, 0.0).weight_size == 16
