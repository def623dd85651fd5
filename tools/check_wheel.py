"""Builds the wheel, then measures what users get of it.

Its size; whether it computes in an environment that has only NumPy; how long importing it
takes beyond importing NumPy. Exits with 1 where a limit is passed.
"""

import subprocess
import sys
import tempfile
import venv
from pathlib import Path

PROJECT = Path(__file__).resolve().parents[1]
MOST_MEGABYTES = 12.0
MOST_IMPORT_MILLISECONDS = 100.0
IMPORTS = 15

IMPORT_TIME = """
import time, numpy
begin = time.perf_counter()
import lstm_native
print(1e3 * (time.perf_counter() - begin))
"""

FIRST_RUN = """
import numpy as np, lstm_native
net = lstm_native.LSTM(10, 2, 1, True, False, 0.0)
ones = lambda *shape: np.ones(shape, np.float32)
output = net(ones(5, 2, 10), ones(1, 2, 2), ones(1, 2, 2), ones(112))[0]
assert abs(output[-1, 0, 0] - 0.9999869) < 1e-6, output
"""


def run(*command: str | Path, cwd: Path) -> str:
    """Return what a command prints; its errors go to the terminal."""
    done = subprocess.run(command, cwd=cwd, check=True, stdout=subprocess.PIPE, text=True)
    return done.stdout


def main() -> int:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        pip = ("-m", "pip", "--disable-pip-version-check")
        run(
            sys.executable, *pip, "wheel", "--quiet", "--no-deps", "-w", folder, PROJECT, cwd=folder
        )
        (wheel,) = folder.glob("*.whl")
        megabytes = wheel.stat().st_size / 1e6
        venv.create(folder / "empty", with_pip=True)
        python = folder / "empty" / "bin" / "python"
        run(python, *pip, "install", "--quiet", wheel, cwd=folder)
        installed = run(python, *pip, "list", "--format=freeze", cwd=folder).split()
        run(python, "-c", FIRST_RUN, cwd=folder)
        times = [float(run(python, "-c", IMPORT_TIME, cwd=folder)) for _ in range(IMPORTS)]
    print(f"wheel:         {megabytes:.2f} MB (at most {MOST_MEGABYTES:.0f})")
    print(f"installed:     {', '.join(installed)}")
    print("computes:      the documented example's last value")
    print(
        f"import:        {min(times):.1f} ms beyond NumPy's, the least of {IMPORTS} "
        f"(at most {MOST_IMPORT_MILLISECONDS:.0f})"
    )
    return int(megabytes > MOST_MEGABYTES or min(times) > MOST_IMPORT_MILLISECONDS)


if __name__ == "__main__":
    sys.exit(main())
