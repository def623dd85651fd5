"""Soaks the core of a server: threads that share `Sessions` open, step, move and close sessions.

python -m bench.measure.soak [--minutes M] [--threads N] [--pause-ms P] [--seed S]

Every answer is compared, bit for bit, with that of a lone stream; a part of the calls is wrong.
Exit status 1 where a bound is missed: see `BOUNDS`.
"""

from __future__ import annotations

import argparse
import ctypes
import gc
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

import lstm_native
from bench.measure.scheduling import Scheduling
from bench.measure.soak_clients import FORMATS, SLOW_S, Client, Tapes
from bench.report.verdict import exit_status, verdict

BOUNDS = (
    "No wrong bit; after a sixth of the time, in which malloc's arenas fill, no growth of more "
    "than 2 MB, neither of what is in use nor of what the process has; no step above 50 ms, beyond "
    "what the kernel's scheduling explains."
)
_MOST = 2 * 2**20
_ROUNDS = 12
_WARM_UP = 1 / 6
_LONGEST_ROUND_S = 60.0
# Until what happened last has been seen by the watching threads.
_AFTER_A_ROUND_S = 0.1


class _MallocInfo(ctypes.Structure):
    """glibc's mallinfo2: the bytes in use in arenas, and in mappings."""

    _fields_ = tuple(
        (name, ctypes.c_size_t)
        for name in (
            *("arena", "ordblks", "smblks", "hblks", "hblkhd"),
            *("usmblks", "fsmblks", "uordblks", "fordblks", "keepcost"),
        )
    )


class Memory(NamedTuple):
    """Bytes of blocks that are in use, and of the process's own pages."""

    in_use: int
    own: int


def memory_now() -> Memory:
    """Free blocks at the ends of arenas are returned before."""
    gc.collect()
    libc = ctypes.CDLL(None)
    libc.malloc_trim(0)
    libc.mallinfo2.restype = _MallocInfo
    info = libc.mallinfo2()
    return Memory(info.uordblks + info.hblkhd, own_bytes())


def own_bytes() -> int:
    for line in Path("/proc/self/smaps_rollup").read_text(encoding="ascii").splitlines():
        if line.startswith("Anonymous:"):
            return int(line.split()[1]) * 1024
    raise RuntimeError("/proc/self/smaps_rollup has no line 'Anonymous'")


def unexplained(clients: list[Client], scheduling: Scheduling) -> list[float]:
    """What the kernel does not explain of each slow step, where that is too long; in seconds."""
    beyond = [
        end - begin - scheduling.kept_waiting(begin, end)
        for client in clients
        for begin, end in client.counts.slow
    ]
    for client in clients:
        client.counts.slow.clear()
    return [seconds for seconds in beyond if seconds > SLOW_S]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--minutes", type=float, default=30.0)
    parser.add_argument("--threads", type=int, default=8)
    parser.add_argument("--pause-ms", type=float, default=2.0, help="mean, between two calls")
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    shared = {}
    for name in FORMATS:
        tapes = Tapes.stored_in(name)
        shared[name] = (lstm_native.Sessions(tapes.packed, 16 * given.threads), tapes)
    clients = [Client(shared, given.seed * 1000 + number) for number in range(given.threads)]
    sys.setswitchinterval(0.0005)  # as examples/serve.py, and as docs/serving.md advises
    seconds = 60.0 * given.minutes
    begin = time.perf_counter()
    memory: dict[float, Memory] = {}  # by when, in seconds
    slow, too_slow = 0, []
    print(BOUNDS, flush=True)
    with Scheduling() as scheduling, ThreadPoolExecutor(given.threads) as pool:
        while (passed := time.perf_counter() - begin) < seconds:
            last = min(passed + min(seconds / _ROUNDS, _LONGEST_ROUND_S), seconds)
            jobs = [
                pool.submit(client.work_until, begin + last, given.pause_ms / 1e3)
                for client in clients
            ]
            for job in jobs:
                job.result()
            time.sleep(_AFTER_A_ROUND_S)
            slow += sum(len(client.counts.slow) for client in clients)
            too_slow += unexplained(clients, scheduling)
            memory[last] = memory_now()
            counts = [client.counts for client in clients]
            print(
                f"{last / 60:5.1f} min: {sum(c.acts for c in counts):,} calls, "
                f"{sum(c.wrong_calls for c in counts):,} of them wrong, "
                f"{sum(c.steps for c in counts):,} steps of sessions; "
                f"{sum(c.wrong_answers for c in counts)} wrong answers; "
                f"longest call {1e3 * max(c.worst_s for c in counts):.1f} ms "
                f"(control: {1e3 * scheduling.latest_s:.1f} ms late), {slow} above 50 ms, "
                f"{len(too_slow)} unexplained; {memory[last].own / 2**10:.0f} KB, "
                f"{memory[last].in_use / 2**10:.0f} KB of them in use; "
                f"{threading.active_count()} threads",
                flush=True,
            )
    held = [size for when, size in memory.items() if when >= 0.99 * _WARM_UP * seconds]
    growths = {
        "in use": max(size.in_use for size in held) - held[0].in_use,
        "of the process": max(size.own for size in held) - held[0].own,
    }
    wrong = sum(client.counts.wrong_answers for client in clients)
    rows = [
        ["wrong answers", f"{wrong}", verdict(wrong == 0)],
        *(
            [f"growth of memory {name}", f"{growth / 2**10:.0f} KB", verdict(growth < _MOST)]
            for name, growth in growths.items()
        ),
        [
            "steps above 50 ms that scheduling does not explain",
            f"{len(too_slow)} of {slow} above 50 ms",
            verdict(not too_slow),
        ],
    ]
    for row in rows:
        print(": ".join((row[0], ", ".join(row[1:]))))
    return exit_status(rows)


if __name__ == "__main__":
    raise SystemExit(main())
