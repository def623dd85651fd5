"""Defines the error that the command line reports in one line."""

from __future__ import annotations


class InputError(Exception):
    """What the user gave cannot be worked with; the message is one line for the terminal."""
