"""What `lstm_native.torch` consists of."""
