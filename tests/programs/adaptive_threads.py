"""Prints whether calls use fewer threads while others use the cores."""

import lstm_native

print(lstm_native.get_config()["adaptive_threads"])
