"""Measures how long single calls take, on a quiet machine and beside one busy process per core.

python -m bench.measure.latency [--quick] [--out FILE.md]

Steps of a stream and of sessions come at a pause of 1 ms, as in real time; calls come one after the
other. Exit status 1 where a bound is missed: see `JUDGED`.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from bench import ROOT
from bench.measure.forked_workers import throughput_ratio
from bench.measure.latency_worker import KINDS, PERCENTILES
from bench.measure.machine import cpu_slug, describe_machine
from bench.peers import OURS
from bench.report.markdown import format_time, table
from bench.report.verdict import exit_status, verdict

JUDGED = (
    "Judged are calls with the default number of threads beside the load: a step's 99th percentile "
    "is at most 3 times one thread's median there, and its 99.9th at most 1 ms; a call's 90th "
    "percentile is at most 1.5 times what one thread's could be in a second reading (three "
    "standard errors of its rank). Where one thread misses a step's bound, too, nothing that "
    "computes can hold it, for the system takes the core away from the calling thread: then the "
    "default is at most 1.5 times what one thread takes."
)
_PAUSE_MS = 1.0
_SECONDS = {"step": 3.0, "sessions": 3.0, "forward": 6.0, "backward": 6.0}
_PEERS = ("onnxruntime", "torch")
_OF_ONE_THREAD = "ours, 1"
_JUDGED_WAY = "ours, default"
_OUT_OF_REACH = "one thread misses it, too"

Times = list[float]


@contextlib.contextmanager
def busy_processes(count: int) -> Iterator[None]:
    """Run `count` processes that compute meanwhile."""
    processes = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(count)]
    try:
        yield
    finally:
        for process in processes:
            process.kill()
            process.wait()


def measure(kind: str, implementation: str, seconds: float) -> dict[str, Times]:
    """What `latency_worker.summary` says of each way to call; empty: not installed."""
    pause = _PAUSE_MS if KINDS[kind].in_real_time else 0.0
    done = subprocess.run(
        [sys.executable, "-m", "bench.measure.latency_worker",
         kind, implementation, str(seconds), str(pause)],
        cwd=ROOT, capture_output=True, text=True, check=False,
    )  # fmt: skip
    if done.returncode and "ModuleNotFoundError" in done.stderr:
        return {}
    if done.returncode:
        raise RuntimeError(done.stderr)
    times: dict[str, Times] = json.loads(done.stdout)
    return times


def judge(kind: str, times: Times, of_one_thread: Times) -> str:
    median, _, p99, p999, second_p90 = of_one_thread
    if not KINDS[kind].in_real_time:
        return verdict(times[1] <= 1.5 * second_p90)
    bounds = ((times[2], 3 * median, p99), (times[3], 1000.0, p999))
    if all(time <= bound for time, bound, _ in bounds):
        return verdict(True)
    within_reach = all(time <= max(bound, 1.5 * alone) for time, bound, alone in bounds)
    return _OUT_OF_REACH if within_reach else verdict(False)


def rows_of(kind: str, load: int, seconds: float) -> Iterator[list[str]]:
    where = f"{load} busy" if load else "quiet"
    times = measure(kind, OURS, seconds)
    for name, of in times.items():
        judged = load > 0 and name == _JUDGED_WAY
        said = judge(kind, of, times[_OF_ONE_THREAD]) if judged else ""
        yield [kind, where, name, *map(format_time, of[: len(PERCENTILES)]), said]
    if KINDS[kind].way != "backward":
        for peer in _PEERS:
            for name, of in measure(kind, peer, seconds).items():
                yield [kind, where, name, *map(format_time, of[: len(PERCENTILES)]), ""]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="a second for each row")
    parser.add_argument("--out", type=Path, help="else bench/results/CPU-latency.md")
    given = parser.parse_args()
    # Calls take longer than steps, and the judged percentile is one of few.
    seconds = {way: 1.0 if given.quick else of for way, of in _SECONDS.items()}
    cores = len(os.sched_getaffinity(0))
    rows = []
    for load in (0, cores):
        with busy_processes(load):
            for kind in KINDS:
                rows += rows_of(kind, load, seconds[KINDS[kind].way])
    ratio = throughput_ratio(cores, seconds["step"])
    workers = [[f"{cores} forked workers", f"{ratio:.2f}", verdict(ratio >= 0.9)]]
    header = ["call", "machine", "threads", *(f"p{p:g}" for p in PERCENTILES), ""]
    text = "\n\n".join(
        (
            f"# Latency\n\n{describe_machine()['cpu']}, {cores} cores, float32, packed weights.",
            JUDGED,
            table(header, rows, left=3),
            "Steps per second of workers with the default number of threads, of those with one "
            "thread each (at least 0.9):",
            table(["", "ratio", ""], workers),
        )
    )
    print(text)
    out = given.out or ROOT / "bench" / "results" / f"{cpu_slug()}-latency.md"
    out.write_text(text + "\n", encoding="utf-8")
    return exit_status([*rows, *workers])


if __name__ == "__main__":
    raise SystemExit(main())
