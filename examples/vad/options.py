"""Reads the command line."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from cli.threads import thread_count

DEFAULT_RECORDING = Path(__file__).parents[1] / "data" / "sense_and_sensibility.wav"


def parse_arguments(arguments: Sequence[str] | None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description="Find the speech in a recording.")
    parser.add_argument(
        "audio",
        metavar="AUDIO.wav",
        nargs="?",
        type=Path,
        default=DEFAULT_RECORDING,
        help="WAV file of 8, 16, 24 or 32-bit integers, any rate (default: a LibriVox reading)",
    )
    parser.add_argument(
        "--out",
        metavar="PNG",
        type=Path,
        default=Path("voice_activity.png"),
        help="where to write the picture (default: %(default)s)",
    )
    parser.add_argument(
        "--threads",
        metavar="N",
        type=thread_count,
        default=1,
        help="threads for lstm_native and for onnxruntime (default: %(default)s)",
    )
    return parser.parse_args(arguments)
