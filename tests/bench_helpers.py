"""Made-up runs of the benchmark, and implementations that answer as told."""

import numpy as np

from bench.measure.results import (
    Bandwidth,
    Limits,
    Outcome,
    Report,
    ShapeResult,
    Status,
    StreamLatency,
)
from bench.measure.rounds import Settings
from bench.measure.timing import Turn
from bench.measure.workers import Crew
from bench.peers import OURS, PEERS, package_of
from bench.peers.cases import EVEN_TRAINING_SHAPES, RAGGED_SHAPES
from bench.peers.check import NAMES
from bench.peers.variants import (
    EVEN_TRAINING,
    FLOAT16,
    PLAIN,
    RAGGED,
    RAGGED_TRAINING,
    RECOMPUTE,
    TRAINING,
    isa_variant,
    why_left_out,
)
from shapes import BENCH_SHAPES, shapes_by_name

TINY = shapes_by_name()["bi_two_layers"]
KB, MB = 2**10, 2**20
NO_WAITING = Settings(rounds=2, turn_ms=0.0, min_samples=1, pause_ms=0.0)


def timed(*min_us: float) -> Outcome:
    turns = [Turn(min_us=time, median_us=2 * time, calls=3) for time in min_us]
    return Outcome(max_abs_error=1e-7, turns=turns)


def context(in_use: str = "avx2") -> dict:
    return {
        "date": "2026-01-02T03:04:05+00:00",
        "command": "python -m bench --quick",
        "commit": {"hash": "abc123", "dirty": True},
        "machine": {"cpu": "Made-Up CPU", "cores": 2, "caches": {"L2": "512K"}},
        "load_average_before": 0.125,
        "versions": {"torch": {"torch": "2.13.0"}},
        "config": {OURS: {"isa": {"supported": ["avx2", "baseline"], "in_use": in_use}}},
    }


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


def complete_report(**times: float) -> Report:
    """One thread; peers take 20 us, our variants 10 us, or the given time.

    The keywords are the implementations' names, with _ for blanks.
    """

    def results(shapes, names):
        return tuple(
            ShapeResult(shape, 1, {name: outcome(name, shape) for name in names})
            for shape in shapes
        )

    def outcome(name, shape):
        if why_left_out(name, shape):
            return Outcome(Status.LEFT_OUT, why_left_out(name, shape))
        if name == "ncnn" and shape.batch > 1:
            return Outcome(Status.UNSUPPORTED, "batch of one only")
        usual = 20.0 if package_of(name) != OURS else 10.0
        made_up = timed(times.get(name.replace(" ", "_"), usual))
        if name in (TRAINING, RECOMPUTE):
            made_up.tape_bytes = 400 if name == RECOMPUTE else 1000
        return made_up

    names = (OURS, PLAIN, FLOAT16, *PEERS, isa_variant("baseline"))
    return Report(
        context=context(),
        implementations=names,
        results=results(BENCH_SHAPES, names),
        ragged=results(RAGGED_SHAPES, RAGGED),
        training=results(EVEN_TRAINING_SHAPES, EVEN_TRAINING)
        + results(RAGGED_SHAPES, RAGGED_TRAINING),
        limits=(made_up_limits(),),
        streams=(StreamLatency(64, 1, 6.0, 5.0, 3.0, 4.0),),
        omissions={"narrower-isas": "left out by --quick"},
    )


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
