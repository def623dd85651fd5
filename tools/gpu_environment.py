"""Print what a CUDA check runs on, a fact a line: `name: value`.

Exit status 1 where the CUDA target finds no device.
"""

from __future__ import annotations

import platform
import shutil
import subprocess
import sys
from importlib import metadata

import lstm_native
from lstm_native import _cuda_extension

QUERY = "name,driver_version,memory.total,compute_cap,clocks.max.sm,power.limit"


def first_line_of(command: list[str], where: str = "") -> str:
    """Return the first line that holds `where` of what a command prints."""
    if shutil.which(command[0]) is None:
        return f"not here: {command[0]} is not on the PATH"
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    lines = [line for line in (done.stdout + done.stderr).splitlines() if where in line]
    return lines[0].strip() if lines else f"{' '.join(command)}: exit status {done.returncode}"


def version_of(package: str) -> str:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return "not here"


def main() -> int:
    module = _cuda_extension.load()
    compiler, runtime, driver = module.versions()
    missing = lstm_native.cuda.why_unavailable()
    facts = {
        "device": first_line_of(["nvidia-smi", f"--query-gpu={QUERY}", "--format=csv,noheader"]),
        "nvcc": first_line_of(["nvcc", "--version"], "release"),
        "compute-sanitizer": first_line_of(["compute-sanitizer", "--version"], "ersion"),
        "system": f"{platform.platform()}, {platform.libc_ver()[1]}",
        "python": f"{platform.python_version()} at {sys.executable}",
        **{package: version_of(package) for package in ("numpy", "torch", "nvidia-cublas")},
        "lstm_native": f"{lstm_native.__version__} at {lstm_native.__path__[0]}",
        "cuda": f"compiler {compiler}, runtime {runtime}, driver {driver}",
        "target": missing or ("emulated" if hasattr(module, "testing") else "device"),
    }
    for name, value in facts.items():
        print(f"{name}: {value}")
    return int(missing is not None)


if __name__ == "__main__":
    sys.exit(main())
