"""Reads a number of threads."""

from __future__ import annotations

import argparse
import os


def thread_count(text: str) -> int:
    """Read a number of threads that this computer has processors for."""
    available = os.cpu_count() or 1
    if not (text.isdecimal() and 1 <= int(text) <= available):
        raise argparse.ArgumentTypeError(f"{text!r} is no number from 1 to {available}")
    return int(text)
