"""Compile and link the CUDA target for all architectures, and tell what each kernel uses.

`make cuda-build` runs it in an environment of its own. Warnings are errors. Where the toolkit of
nvcc has no cuBLAS, PyPI's is installed into the environment (about 450 MB to download). No device
is needed; nothing is run but the import of the module.
"""

import argparse
import importlib.util
import os
import re
import shutil
import subprocess
import sys
import sysconfig
from collections import defaultdict
from pathlib import Path

PROJECT = Path(__file__).resolve().parents[1]
BUILD = PROJECT / "build" / "cuda"
# PyPI's package for each version of CUDA, and its folder among Python's packages.
CUBLAS_PACKAGES = {
    12: ("nvidia-cublas-cu12", "nvidia/cublas"),
    13: ("nvidia-cublas>=13,<14", "nvidia/cu13"),
}
RESOURCES = re.compile(
    r"Compiling entry function '(?P<kernel>\w+)' for 'sm_(?P<architecture>\d+)'\n"
    r".*Function properties for .*\n"
    r"\s*(?P<stack>\d+) bytes stack frame, (?P<stores>\d+) bytes spill stores, "
    r"(?P<loads>\d+) bytes spill loads\n"
    r".*Used (?P<registers>\d+) registers"
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.parse_args()
    provide_cublas()
    # The environment's own programs come first.
    os.environ["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    pybind11 = run([sys.executable, "-m", "pybind11", "--cmakedir"]).strip()
    configure = ["cmake", "-S", str(PROJECT), "-B", str(BUILD), "-G", "Ninja"]
    settings = {
        "CMAKE_BUILD_TYPE": "Release",
        "CMAKE_CUDA_FLAGS": "-Xptxas=-v",
        "LSTM_NATIVE_CUDA": "ON",
        "LSTM_NATIVE_WERROR": "ON",
        "Python_EXECUTABLE": sys.executable,
        "SKBUILD_PROJECT_VERSION": "0.0.0",
        "pybind11_DIR": pybind11,
    }
    run([*configure, *(f"-D{name}={value}" for name, value in settings.items())])
    log = run(["cmake", "--build", str(BUILD), "--target", "_cuda", "--clean-first"])
    kernels = resources_of(log)
    print(table(kernels))
    print(f"\n{loaded()}")
    wasteful = {name for name, uses in kernels.items() if any(stack for _, _, stack in uses)}
    if wasteful:
        sys.exit(f"registers are spilled, or arrays kept in memory: {', '.join(sorted(wasteful))}")


def run(command: list[str]) -> str:
    """Run a command; return what it printed, or end with that where it failed."""
    done = subprocess.run(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False
    )
    if done.returncode:
        sys.exit(f"{' '.join(command)}\n{done.stdout}")
    return done.stdout


def provide_cublas() -> Path | None:
    """Install PyPI's cuBLAS where nvcc's toolkit has none; return its folder, or None."""
    nvcc = shutil.which("nvcc") or sys.exit("nvcc is not on the PATH; CUDA 12 or later is needed")
    major = int(re.search(r"release (\d+)\.", run([nvcc, "--version"]))[1])
    toolkit = Path(nvcc).resolve().parents[1]
    patterns = ("lib*/libcublas.so*", "targets/*/lib/libcublas.so*")
    if any(found for pattern in patterns for found in toolkit.glob(pattern)):
        return None
    if major not in CUBLAS_PACKAGES:
        sys.exit(f"CUDA {major} is not known here; install its cuBLAS beside nvcc")
    package, folder = CUBLAS_PACKAGES[major]
    run([sys.executable, "-m", "pip", "install", "--quiet", package])
    return Path(sysconfig.get_path("platlib")) / folder


def resources_of(log: str) -> dict[str, list[tuple[int, int, int]]]:
    """Return (architecture, registers, bytes of memory per thread) by kernel, as ptxas said."""
    found: dict[str, list[tuple[int, int, int]]] = defaultdict(list)
    for match in RESOURCES.finditer(log):
        memory = sum(int(match[name]) for name in ("stack", "stores", "loads"))
        uses = (int(match["architecture"]), int(match["registers"]), memory)
        found[match["kernel"]].append(uses)
    if not found:
        sys.exit("ptxas has told nothing")
    readable = run(["c++filt", *found]).splitlines()
    return {
        short_name(name): sorted(uses) for name, uses in zip(readable, found.values(), strict=True)
    }


def short_name(readable: str) -> str:
    """Return a kernel's name with its template arguments, without namespaces and parameters."""
    name = re.match(r"(?:void )?(?:[\w:]|\(anonymous namespace\))*?(\w+(?:<[^()]*>)?)\(", readable)
    short = name[1] if name else readable
    return short.replace("lstm_native::cuda::", "").replace("unsigned long", "uint64")


def table(kernels: dict[str, list[tuple[int, int, int]]]) -> str:
    """Return a table in Markdown: registers per thread by architecture, and memory."""
    architectures = sorted({architecture for uses in kernels.values() for architecture, *_ in uses})
    head = ["kernel", *(f"sm_{a}" for a in architectures), "spills and stack, bytes"]
    lines = [head, ["---"] * len(head)]
    for name, uses in sorted(kernels.items()):
        registers = {architecture: str(count) for architecture, count, _ in uses}
        memory = max(bytes_used for *_, bytes_used in uses)
        lines.append([f"`{name}`", *(registers.get(a, "-") for a in architectures), str(memory)])
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def loaded() -> str:
    """Import the module; return what it says of this machine."""
    (path,) = BUILD.glob("_cuda*.so")
    spec = importlib.util.spec_from_file_location("_cuda", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    count, reason = module.devices()
    compiler, runtime, driver = module.versions()
    return (
        f"{path.relative_to(PROJECT)}: {path.stat().st_size / 1e6:.1f} MB, compiled by CUDA "
        f"{compiler}, runtime {runtime}, driver {driver}; {count} devices here"
        + (f" ({reason})" if reason else "")
    )


if __name__ == "__main__":
    main()
