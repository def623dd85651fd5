"""Times `import lstm_native` beside NumPy's own import, in interpreters that take turns.

What is quoted is the median. Exit status 1 where importing the package after NumPy takes longer
than the bound.

python -m bench.measure.import_time [--rounds N]
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import time
from statistics import median

from bench.report.markdown import table

BOUND_MS = 15.0
# What an interpreter runs, by what its time is called.
_TIMED = "import time\nbegin = time.perf_counter()\nimport {}\nprint(time.perf_counter() - begin)"
_EVERY_NAME = "\n[getattr(lstm_native, name) for name in lstm_native.__all__]"
PROGRAMS = {
    "NumPy": _TIMED.format("numpy"),
    "lstm_native after NumPy": "import numpy\n" + _TIMED.format("lstm_native"),
    "the same, then every public name": "import numpy\n"
    + _TIMED.format("lstm_native" + _EVERY_NAME),
}


def milliseconds(program: str) -> tuple[float, float]:
    """What the program prints, and its interpreter from start to end."""
    begin = time.perf_counter()
    done = subprocess.run(
        [sys.executable, "-c", program], check=True, capture_output=True, text=True
    )
    return 1e3 * float(done.stdout), 1e3 * (time.perf_counter() - begin)


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rounds", type=int, default=40)
    rounds = parser.parse_args().rounds
    times: dict[str, list[tuple[float, float]]] = {name: [] for name in PROGRAMS}
    for _ in range(rounds):
        for name, program in PROGRAMS.items():
            times[name].append(milliseconds(program))
    medians = {name: [median(of) for of in zip(*each, strict=True)] for name, each in times.items()}
    rows = [(name, *(f"{of:.1f}" for of in both)) for name, both in medians.items()]
    print(table(("import of", "ms", "interpreter, ms"), rows))
    took = medians["lstm_native after NumPy"][0]
    print(f"\nimport lstm_native after NumPy: {took:.1f} ms, bound {BOUND_MS:.0f} ms")
    return int(took > BOUND_MS)


if __name__ == "__main__":
    sys.exit(main())
