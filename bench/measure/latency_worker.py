"""The process in which one kind of call is timed again and again; prints the times' percentiles.

python -m bench.measure.latency_worker KIND IMPLEMENTATION THREADS SECONDS PAUSE_MS
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
# Calls that are not counted: they start threads, and bring the weights into the caches.
_WARM_UP = 50


@dataclass(frozen=True)
class Kind:
    """What is called: a step of a stream, a call forward, or a pullback."""

    shape: Shape
    way: str


KINDS = {
    "step, H = 64": Kind(Shape("step_h64", 1, 1, 64, 64), "step"),
    "step, H = 256, 2 layers": Kind(Shape("step_h256_l2", 1, 1, 256, 256, 2), "step"),
    "step, H = 1024": Kind(Shape("step_h1024", 1, 1, 1024, 1024), "step"),
    "100,1,256": Kind(Shape("forward_h256", 100, 1, 256, 256), "forward"),
    "25,16,512": Kind(Shape("forward_h512", 25, 16, 512, 512), "forward"),
    "25,16,256, backward": Kind(Shape("backward_h256", 25, 16, 256, 256), "backward"),
}


def call_of(kind: Kind, implementation: str, threads: int | None) -> Callable[[], object]:
    """``threads``: None leaves the number to the implementation of ours."""
    case = make_case(kind.shape)
    if implementation != OURS:
        return load_peer(implementation).prepare(case, threads or 1, 0).call
    if kind.way == "step":
        packed = lstm_native.pack_weights(case.all_weights, kind.shape.num_layers, False)
        stream = lstm_native.Stream(packed, 1, num_threads=threads)
        return lambda: stream.step(case.x[0])
    make = backward_call if kind.way == "backward" else packed_call
    return make(case, threads)


def times_of(call: Callable[[], object], count: int, pause_s: float) -> np.ndarray:
    """Seconds of each call, after a pause each."""
    times = np.empty(count)
    for k in range(-_WARM_UP, count):
        if pause_s > 0.0:
            time.sleep(pause_s)
        begin = time.perf_counter()
        call()
        times[max(k, 0)] = time.perf_counter() - begin
    return times


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("kind", choices=KINDS)
    parser.add_argument("implementation")
    parser.add_argument("threads", type=int, help="0: the default")
    parser.add_argument("seconds", type=float)
    parser.add_argument("pause_ms", type=float)
    given = parser.parse_args()
    call = call_of(KINDS[given.kind], given.implementation, given.threads or None)
    call()
    begin = time.perf_counter()
    call()
    each = time.perf_counter() - begin + given.pause_ms / 1e3
    count = int(np.clip(given.seconds / each, 20, 20_000))
    times = 1e6 * times_of(call, count, given.pause_ms / 1e3)
    print(json.dumps([float(value) for value in np.percentile(times, PERCENTILES)]))


if __name__ == "__main__":
    main()
