"""Fuzzing: calls made of arbitrary bytes, with what must come of each."""
