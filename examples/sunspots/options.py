"""Reads the command line."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from cli.errors import InputError
from cli.threads import thread_count
from sunspots.series import Series
from sunspots.windows import WINDOW_YEARS

# As Weigend, Huberman and Rumelhart (1990) and others after them divided the series.
LAST_LEARNT = 1920
LAST_YEAR = 2008


def parse_arguments(arguments: Sequence[str] | None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description="Train an LSTM to forecast next year's sunspot number."
    )
    parser.add_argument(
        "--learn-until",
        metavar="YEAR",
        type=int,
        default=LAST_LEARNT,
        help="the last year to learn from (default: %(default)s)",
    )
    parser.add_argument(
        "--until",
        metavar="YEAR",
        type=int,
        default=LAST_YEAR,
        help="the last year to forecast (default: %(default)s)",
    )
    parser.add_argument(
        "--seed",
        metavar="N",
        type=int,
        default=0,
        help="of the first weights and of the windows drawn (default: %(default)s)",
    )
    parser.add_argument(
        "--threads",
        metavar="N",
        type=thread_count,
        default=1,
        help="threads for lstm_native, the result is the same (default: %(default)s)",
    )
    parser.add_argument(
        "--out",
        metavar="PNG",
        type=Path,
        default=Path("forecast.png"),
        help="where to write the picture (default: %(default)s)",
    )
    return parser.parse_args(arguments)


def check_years(series: Series, options: argparse.Namespace) -> None:
    """Refuse years that leave nothing to learn from or to forecast."""
    first, last = int(series.years[0]), int(series.years[-1])
    earliest = first + WINDOW_YEARS
    if not earliest <= options.learn_until < options.until <= last:
        raise InputError(
            f"--learn-until {options.learn_until} --until {options.until}: expected "
            f"{earliest} <= learn-until < until <= {last}"
        )
