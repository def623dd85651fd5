"""Reads the command line."""

from __future__ import annotations

import argparse
import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from bench.measure.machine import default_threads
from bench.measure.rounds import Settings
from bench.peers import IMPLEMENTATIONS, OURS, PEERS
from bench.peers.variants import FLOAT16, PLAIN
from shapes import BENCH_SHAPES, Shape, shapes_by_name

QUICK = Settings(rounds=2, turn_ms=20.0, min_samples=1)

# What can be left out, besides threads, shapes and peers.
PARTS = ("limits", "streams", "plain", "float16", "narrower-isas", "ragged", "training")

# The baseline's vectors and PyTorch's training on packed sequences take a multiple of everyone
# else's time.
_QUICK_WITHOUT = ("narrower-isas", "training")


@dataclass(frozen=True)
class Options:
    """What to measure, how thoroughly, and where to leave the results."""

    threads: tuple[int, ...]
    shapes: tuple[Shape, ...]
    implementations: tuple[str, ...]
    omissions: Mapping[str, str]
    """The parts that are left out, each with the reason."""

    settings: Settings
    out: Path

    @property
    def _is_quick(self) -> bool:
        return self.settings.turn_ms == QUICK.turn_ms

    @property
    def name_suffix(self) -> str:
        """Tells a run that leaves something out from a full one, lest it replace that one."""
        is_partial = (
            set(self.threads) < set(default_threads())
            or set(self.shapes) < set(BENCH_SHAPES)
            or not set(IMPLEMENTATIONS) <= set(self.implementations)
            or set(self.omissions) > set(_QUICK_WITHOUT if self._is_quick else ())
        )
        return ("-quick" if self._is_quick else "") + ("-partial" if is_partial else "")


def parse(arguments: Sequence[str]) -> Options:
    given = _parser().parse_args(arguments)
    known = shapes_by_name(BENCH_SHAPES)
    settings = QUICK if given.quick else Settings()
    omissions = dict.fromkeys(_QUICK_WITHOUT if given.quick else (), "left out by --quick")
    omissions |= dict.fromkeys(given.without, "left out by --without")
    variants = [name for name in (PLAIN, FLOAT16) if name.split()[1] not in omissions]
    peers = [name for name in PEERS if name in given.peers]
    return Options(
        threads=tuple(given.threads),
        shapes=tuple(known[name] for name in given.shapes),
        implementations=(OURS, *variants, *peers),
        omissions=omissions,
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
        "--threads", type=_positive, nargs="+", default=default_threads(), metavar="N",
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
    parser.add_argument(
        "--without", nargs="+", choices=PARTS, default=(), metavar="PART",
        help=f"leave out: {', '.join(PARTS)}",
    )
    parser.add_argument(
        "--quick", action="store_true",
        help=f"few short rounds, for a first look, without {', '.join(_QUICK_WITHOUT)}",
    )
    parser.add_argument(
        "--out", type=Path, default=Path("bench/results"), metavar="DIR",
        help="folder for <CPU>.json, .md and .png (default: %(default)s)",
    )
    # fmt: on
    return parser


def _positive(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"{number} is not positive")
    return number
