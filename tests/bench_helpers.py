"""Made-up runs of the benchmark, and implementations that answer as told."""

import numpy as np

from bench import variants
from bench.check import NAMES
from bench.contract import judge
from bench.crew import Crew
from bench.peers import OURS, PEERS
from bench.ragged_batches import RAGGED_SHAPES
from bench.results import Outcome, Report, ShapeResult, Status
from bench.roofline import Bandwidth, Limits
from bench.rounds import Settings
from bench.stream_latency import StreamLatency
from bench.timing import Turn
from bench.training_cases import EVEN_TRAINING_SHAPES
from bench.variants import (
    EVEN_TRAINING,
    FLOAT16,
    PLAIN,
    RAGGED,
    RAGGED_TRAINING,
    RECOMPUTE,
    TRAINING,
    isa_variant,
)
from shapes import BENCH_SHAPES, shapes_by_name

TINY = shapes_by_name()["bi_two_layers"]
KB, MB = 2**10, 2**20
NO_WAITING = Settings(rounds=2, turn_ms=0.0, min_samples=1, pause_ms=0.0)


def timed(*min_us: float) -> Outcome:
    turns = [Turn(min_us=time, median_us=2 * time, calls=3) for time in min_us]
    return Outcome(max_abs_error=1e-7, turns=turns)


def made_up_report(*results: ShapeResult) -> Report:
    context = {
        "date": "2026-01-02T03:04:05+00:00",
        "command": "python -m bench --quick",
        "commit": {"hash": "abc123", "dirty": True},
        "machine": {"cpu": "Made-Up CPU", "cores": 2, "caches": {"L2": "512K"}},
        "load_average_before": 0.125,
        "versions": {"torch": {"torch": "2.13.0"}},
        "config": {
            OURS: {
                "isa": {"supported": ["avx2", "baseline"], "in_use": "avx2"},
                "blas": {"name": "OpenBLAS"},
            }
        },
    }
    return Report(context, ("lstm_native", "torch", "ncnn"), results)


def made_up_limits(threads: int = 1) -> Limits:
    """Whole numbers, the same at any number of threads."""
    return Limits(
        threads=threads,
        isa="avx2",
        gflops={"avx2": 100.0, "baseline": 25.0},
        bandwidths=(
            Bandwidth("L1", 16 * KB, 200.0),
            Bandwidth("L2", 256 * KB, 100.0),
            Bandwidth("1/4 of L3", 8 * MB, 50.0),
            Bandwidth("memory", 64 * MB, 10.0),
        ),
        caches={"L1d": 32 * KB, "L2": 512 * KB, "L3": 32 * MB},
    )


def complete_report(threads: tuple[int, ...] = (1,), **times: float) -> Report:
    """Everything was measured: peers take 20 us, all else 10 us, or what is told.

    Told times are those of names with _ for the blanks.
    """

    def results(shapes, names):
        return tuple(
            ShapeResult(shape, number, {name: outcome(name, shape) for name in names})
            for number in threads
            for shape in shapes
        )

    def outcome(name, shape):
        if variants.why_left_out(name, shape):
            return Outcome(Status.LEFT_OUT, variants.why_left_out(name, shape))
        if name == "ncnn" and shape.batch > 1:
            return Outcome(Status.UNSUPPORTED, "batch of one only")
        usual = 20.0 if variants.package_of(name) != OURS else 10.0
        told = timed(times.get(name.replace(" ", "_"), usual))
        if name in (TRAINING, RECOMPUTE):
            told.tape_bytes = 400 if name == RECOMPUTE else 1000
        return told

    names = (OURS, PLAIN, FLOAT16, *PEERS, isa_variant("baseline"))
    return Report(
        made_up_report().context,
        names,
        results(BENCH_SHAPES, names),
        results(RAGGED_SHAPES, RAGGED),
        tuple(made_up_limits(number) for number in threads),
        tuple(StreamLatency(64, number, 6.0, 5.0, 3.0, 4.0) for number in threads),
        {"narrower-isas": "left out by --quick"},
        results(EVEN_TRAINING_SHAPES, EVEN_TRAINING) + results(RAGGED_SHAPES, RAGGED_TRAINING),
    )


def row_of(report: Report, beginning: str, threads: int = 1):
    (row,) = (row for row in judge(report, threads) if row.what.startswith(beginning))
    return row


class FakeCrew(Crew):
    """Implementations that answer as told, without processes."""

    def __init__(self, **behaviours):
        super().__init__(tuple(behaviours))
        self.behaviours = behaviours
        self.times = []

    def request(self, name, op, **arguments):
        reply = self.behaviours[name](op)
        if op == "prepare":
            return reply or {"unsupported": ""}
        if op == "save_answer":
            values = [np.full(1, 0.0 if reply is None else reply)] * 3
            np.savez(arguments["path"], **dict(zip(NAMES, values, strict=True)))
        if op == "time":
            self.times.append(name)
        return {"min_us": 5.0, "median_us": 6.0, "calls": 7}


def behaving(**replies):
    """A behaviour that is right, but for the operations given."""
    return replies.get
