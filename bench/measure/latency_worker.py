"""The process in which one kind of call is timed again and again; prints what `summary` says.

python -m bench.measure.latency_worker KIND IMPLEMENTATION SECONDS PAUSE_MS

Ours is called in several ways, which take turns, so that all of them meet the same machine.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

import lstm_native
from bench.measure.calls import backward_call, packed_call
from bench.peers import OURS, load_peer
from shapes import Shape, make_case

PERCENTILES = (50, 90, 99, 99.9)
# Of each way before its first turn, not counted: they start threads, and fill the caches.
_WARM_UP = 50
# Calls of a turn of each kind. Those before them are not counted: threads may have slept in others'
# turns.
_TURN = {"step": 50, "sessions": 50, "forward": 15, "backward": 15}
_FIRST = 3
# Another run's reading of a percentile is taken to be within this number of standard errors.
_ERRORS = 3.0


@dataclass(frozen=True)
class Kind:
    """What is called: a step of a stream or of sessions, a call forward, or a pullback."""

    shape: Shape
    way: str

    @property
    def in_real_time(self) -> bool:
        """Whether calls come at a pause, and one may not be late."""
        return self.way in ("step", "sessions")


KINDS = {
    "step, H = 64": Kind(Shape("step_h64", 1, 1, 64, 64), "step"),
    "step, H = 256, 2 layers": Kind(Shape("step_h256_l2", 1, 1, 256, 256, 2), "step"),
    "step, H = 1024": Kind(Shape("step_h1024", 1, 1, 1024, 1024), "step"),
    "20 sessions, H = 128, 2 layers": Kind(Shape("sessions_h128", 1, 20, 128, 128, 2), "sessions"),
    "100,1,256": Kind(Shape("forward_h256", 100, 1, 256, 256), "forward"),
    "25,16,512": Kind(Shape("forward_h512", 25, 16, 512, 512), "forward"),
    "25,16,256, backward": Kind(Shape("backward_h256", 25, 16, 256, 256), "backward"),
}


@dataclass(frozen=True)
class Way:
    """How many threads a call may use, and whether it uses fewer while others use the cores."""

    threads: int | None
    adaptive: bool = True


OWN_WAYS = {
    "ours, 1": Way(1),
    "ours, 2": Way(2),
    "ours, 2, not adaptive": Way(2, adaptive=False),
    "ours, default": Way(None),
}


def own_call(kind: Kind, way: Way) -> Callable[[], object]:
    case = make_case(kind.shape)
    if kind.way == "step":
        packed = lstm_native.pack_weights(case.all_weights, kind.shape.num_layers, False)
        stream = lstm_native.Stream(packed, 1, num_threads=way.threads)
        return lambda: stream.step(case.x[0])
    if kind.way == "sessions":
        packed = lstm_native.pack_weights(case.all_weights, kind.shape.num_layers, False)
        sessions = lstm_native.Sessions(packed, kind.shape.batch, num_threads=way.threads)
        ids = [sessions.open() for _ in range(kind.shape.batch)]
        return lambda: sessions.step(ids, case.x[0])
    make = backward_call if kind.way == "backward" else packed_call
    return make(case, way.threads)


def times_of_turn(call: Callable[[], object], count: int, pause_s: float) -> list[float]:
    """Seconds of each call, after a pause each, but for the first ones'."""
    times = []
    for _ in range(_FIRST + count):
        if pause_s > 0.0:
            time.sleep(pause_s)
        begin = time.perf_counter()
        call()
        times.append(time.perf_counter() - begin)
    return times[_FIRST:]


def turns_of(
    calls: dict[str, tuple[Callable[[], object], bool]], count: int, seconds: float, pause_s: float
) -> dict[str, list[list[float]]]:
    """The times of each turn of each call, while the turns take ``seconds`` per call in all."""
    turns: dict[str, list[list[float]]] = {name: [] for name in calls}
    for call, adaptive in calls.values():
        lstm_native.set_adaptive_threads(adaptive)
        times_of_turn(call, _WARM_UP, pause_s)
    end = time.perf_counter() + seconds * len(calls)
    while time.perf_counter() < end:
        for name, (call, adaptive) in calls.items():
            lstm_native.set_adaptive_threads(adaptive)
            turns[name].append(times_of_turn(call, count, pause_s))
    return turns


def summary(turns: list[list[float]]) -> list[float]:
    """Microseconds: `PERCENTILES`, and what a second reading of the 90th could come to.

    Where the system takes the core away from about a tenth of the calls, the 90th percentile is one
    of two very different times, and chance decides which. How far the share of slow calls varies
    from turn to turn tells which percentiles a second reading can give.
    """
    times = np.array(turns) * 1e6
    percentiles = np.percentile(times, PERCENTILES)
    shares = np.mean(times > percentiles[1], axis=1)
    # Of the difference of two readings, in percent.
    error = 100.0 * np.sqrt(2.0 / len(turns)) * np.std(shares)
    return [*percentiles, np.percentile(times, min(90.0 + _ERRORS * error, 100.0))]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("kind", choices=KINDS)
    parser.add_argument("implementation")
    parser.add_argument("seconds", type=float, help="of each way to call")
    parser.add_argument("pause_ms", type=float)
    given = parser.parse_args()
    kind = KINDS[given.kind]
    if given.implementation == OURS:
        calls = {name: (own_call(kind, way), way.adaptive) for name, way in OWN_WAYS.items()}
    else:
        peer = load_peer(given.implementation).prepare(make_case(kind.shape), 2, 0)
        calls = {f"{given.implementation}, 2": (peer.call, True)}
    turns = turns_of(calls, _TURN[kind.way], given.seconds, given.pause_ms / 1e3)
    print(json.dumps({name: summary(of) for name, of in turns.items()}))


if __name__ == "__main__":
    main()
