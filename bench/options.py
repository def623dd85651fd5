"""Reads the command line."""

from __future__ import annotations

import argparse
import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from bench.machine import usable_cores
from bench.peers import IMPLEMENTATIONS, OURS
from bench.rounds import Settings
from shapes import BENCH_SHAPES, Shape, shapes_by_name

QUICK = Settings(rounds=3, turn_ms=25.0, min_samples=1)


@dataclass(frozen=True)
class Options:
    """What to measure, how thoroughly, and where to leave the results."""

    threads: tuple[int, ...]
    shapes: tuple[Shape, ...]
    implementations: tuple[str, ...]
    settings: Settings
    out: Path

    @property
    def name_suffix(self) -> str:
        """Tells a run that leaves something out from a full one, lest it replace that one."""
        is_partial = (
            set(self.threads) < set(_default_threads())
            or set(self.shapes) < set(BENCH_SHAPES)
            or set(self.implementations) < set(IMPLEMENTATIONS)
        )
        is_quick = self.settings.turn_ms == QUICK.turn_ms
        return ("-quick" if is_quick else "") + ("-partial" if is_partial else "")


def parse(arguments: Sequence[str]) -> Options:
    given = _parser().parse_args(arguments)
    known = shapes_by_name(BENCH_SHAPES)
    settings = QUICK if given.quick else Settings()
    return Options(
        threads=tuple(given.threads),
        shapes=tuple(known[name] for name in given.shapes),
        implementations=tuple(n for n in IMPLEMENTATIONS if n in {OURS, *given.peers}),
        settings=dataclasses.replace(settings, rounds=given.rounds or settings.rounds),
        out=given.out,
    )


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m bench",
        description="Time lstm_native against its peers, after checking everyone's answers.",
    )
    names = [shape.name for shape in BENCH_SHAPES]
    # fmt: off
    parser.add_argument(
        "--threads", type=_positive, nargs="+", default=_default_threads(), metavar="N",
        help="numbers of threads, one table each (default: 1 and, where there are two cores, 2)",
    )
    parser.add_argument(
        "--shapes", nargs="+", choices=names, default=names, metavar="NAME",
        help=f"default: all of {', '.join(names)}",
    )
    parser.add_argument(
        "--peers", nargs="+", choices=IMPLEMENTATIONS, default=IMPLEMENTATIONS, metavar="NAME",
        help=f"default: all of {', '.join(IMPLEMENTATIONS)}; {OURS} always runs",
    )
    parser.add_argument(
        "--rounds", type=_positive, metavar="N",
        help=f"turns of each implementation (default: {Settings().rounds}, "
        f"with --quick {QUICK.rounds})",
    )
    parser.add_argument("--quick", action="store_true", help="few short rounds, for a first look")
    parser.add_argument(
        "--out", type=Path, default=Path("bench/results"), metavar="DIR",
        help="folder for <CPU>.json and <CPU>.md (default: %(default)s)",
    )
    # fmt: on
    return parser


def _default_threads() -> list[int]:
    return [1, 2] if usable_cores() > 1 else [1]


def _positive(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"{number} is not positive")
    return number
