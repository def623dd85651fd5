"""Times a frame of many clients: a stream for each, and all in one call of `Sessions`.

The two take turns; what is printed is the median and the 99th percentile. Then the same by
`Sessions` with weights of fewer bits, and the memory of each.

python -m bench.measure.sessions [--rounds N]
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from functools import partial

import numpy as np

import lstm_native
from bench.report.markdown import format_bytes, format_time, table
from shapes import Shape, make_case

_LAYERS = Shape("voice", 1, 1, 128, 128, 2)
_CLIENTS = (1, 10, 50, 200, 500)
# weight_dtype, compute
_FORMATS = (
    (None, None),
    ("float16", None),
    ("bfloat16", "bfloat16"),
    ("int8", None),
    ("int8", "int8"),
)
_CLIENTS_OF_FORMATS = 200


def percentiles(calls: dict[str, Callable[[], object]], rounds: int) -> dict[str, list[float]]:
    """The 50th and the 99th, in microseconds."""
    times: dict[str, list[float]] = {name: [] for name in calls}
    for _ in range(rounds):
        for name, call in calls.items():
            begin = time.perf_counter()
            call()
            times[name].append(time.perf_counter() - begin)
    return {name: list(1e6 * np.percentile(of, (50, 99))) for name, of in times.items()}


def calls_of(clients: int) -> dict[str, Callable[[], object]]:
    case = make_case(_LAYERS, np.float32)
    packed = lstm_native.pack_weights(case.all_weights, _LAYERS.num_layers, False)
    streams = [lstm_native.Stream(packed) for _ in range(clients)]
    sessions = lstm_native.Sessions(packed, clients)
    ids = [sessions.open() for _ in range(clients)]
    frames = np.random.default_rng(0).standard_normal((clients, 1, 128)).astype(np.float32)
    together = frames[:, 0]

    def one_by_one() -> None:
        for stream, frame in zip(streams, frames, strict=True):
            stream.step(frame)

    return {"streams": one_by_one, "Sessions": lambda: sessions.step(ids, together)}


def by_formats(rounds: int) -> list[list[str]]:
    """Rows of a table: the weights' bits, a frame of all clients, the memory of both."""
    case = make_case(_LAYERS, np.float32)
    frames = np.random.default_rng(0).standard_normal((_CLIENTS_OF_FORMATS, 128))
    x = frames.astype(np.float32)
    calls, memory = {}, {}
    for stored, compute in _FORMATS:
        packed = lstm_native.pack_weights(
            case.all_weights, _LAYERS.num_layers, False, weight_dtype=stored, compute=compute
        )
        sessions = lstm_native.Sessions(packed, _CLIENTS_OF_FORMATS)
        ids = [sessions.open() for _ in range(_CLIENTS_OF_FORMATS)]
        name = (stored or "float32") + (f", products in {compute}" if compute else "")
        calls[name] = partial(sessions.step, ids, x)
        calls[name]()
        memory[name] = (packed.nbytes, sessions.nbytes)
    times = percentiles(calls, rounds)
    return [
        [name, *map(format_time, times[name]), *map(format_bytes, memory[name])] for name in calls
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=300)
    rounds = parser.parse_args().rounds
    rows = []
    for clients in _CLIENTS:
        times = percentiles(calls_of(clients), rounds)
        by_streams, together = times["streams"], times["Sessions"]
        ratio = by_streams[0] / together[0]
        cells = map(format_time, (*by_streams, *together))
        rows.append([str(clients), *cells, f"{ratio:.1f}"])
    print(f"A frame of each client, {_LAYERS.num_layers} layers of {_LAYERS.hidden_size} units:\n")
    header = ["clients", "streams, p50", "p99", "Sessions, p50", "p99", "ratio"]
    print(table(header, rows, left=0))
    print(f"\nThe weights in fewer bits, {_CLIENTS_OF_FORMATS} clients:\n")
    header = ["weights", "p50", "p99", "memory of weights", "of Sessions"]
    print(table(header, by_formats(rounds)))


if __name__ == "__main__":
    main()
