"""Checks that the installed package runs on an x86-64 CPU without AVX.

Twice: no object file but those of the AVX kernels has an instruction later than SSE2, and an
emulated Nehalem (qemu-user), which has nothing of AVX, computes what PyTorch computed for
tests/test_golden.py. That this emulation refuses AVX is tried as well.

Run by `make no-avx`.
"""

from __future__ import annotations

import platform
import re
import signal
import sys
import tempfile
from pathlib import Path

from cross import PROJECT, attempt, instructions, need, run

CPU = "Nehalem"  # from 2008: SSE4.2, and no AVX
WITH_LATER_INSTRUCTIONS = ("avx2", "avx512")  # folders of csrc/kernels

# Instructions that an x86-64 CPU need not have. All that begin with v are AVX's (its prefix, VEX).
LATER = re.compile(
    r"v\w+"
    r"|addsubp[sd]|h(add|sub)p[sd]|lddqu|mov(d|sh|sl)dup|fisttp\w*"  # SSE3
    r"|p(abs|sign)[bwd]|palignr|pshufb|ph(add|sub)s?[wd]|pmaddubsw|pmulhrsw"  # SSSE3
    r"|p?blendv?\w*|dpp[sd]|extractps|insertps|movntdqa|mpsadbw|packusdw|p(ext|ins)r[bdq]"  # SSE4
    r"|phminposuw|p(max|min)([su][bd]|uw)|pmov[sz]x\w+|pmul(dq|ld)|ptest|round[ps][sd]"
    r"|pcmp([ei]str\w+|eqq|gtq)|crc32\w*|popcnt\w*"
    r"|lzcnt\w*|tzcnt\w*|andn|bextr|bls\w+|bzhi|mulx|p(dep|ext)|rorx|s[ah][rl]x|movbe\w*"  # BMI
    r"|aes\w+|pclmul\w+|sha(1|256)\w+|x(save|rstor)\w*"
)
# SSE2 has these two of the names above, for words and bytes.
SSE2 = re.compile(r"p(max|min)(sw|ub)|p(ext|ins)rw")

AVX_PROGRAM = """
#include <immintrin.h>
int main(int count, char**) {
  const __m256 sum = _mm256_add_ps(_mm256_set1_ps(count), _mm256_set1_ps(1));
  return _mm256_cvtss_f32(sum) != count + 1;
}
"""


def object_files() -> list[Path]:
    """Return what the installed module was linked from: pip builds in this folder."""
    tag = f"cp{sys.version_info.major}{sys.version_info.minor}"
    files = sorted((PROJECT / "build").glob(f"{tag}-*/CMakeFiles/**/*.o"))
    if not files:
        sys.exit("build/: no object files for this Python; make .venv/.installed builds them")
    return files


def later_instructions(file: Path) -> set[str]:
    """Return the functions that have an instruction which a CPU may lack, with it."""
    return {
        f"{file.name}: {mnemonic} in {function}"
        for function, mnemonic, _ in instructions("objdump", file)
        if LATER.fullmatch(mnemonic) and not SSE2.fullmatch(mnemonic)
    }


def shared_symbols(file: Path) -> set[str]:
    """Return what a linker could take from a unit of AVX kernels in place of another's copy.

    Names in the ISA's own namespace are safe: no unit of another ISA has them.
    """
    own = f"lstm_native::kernels::{file.parent.name}::"
    lines = run("nm", "-C", "--defined-only", file).splitlines()
    symbols = (line.split(maxsplit=2)[1:] for line in lines)
    return {
        f"{file}: {name}" for kind, name in symbols if kind in "TWVu" and not name.startswith(own)
    }


def check_instructions() -> bool:
    """Look at every object file."""
    files = object_files()
    of_avx = [file for file in files if file.parent.name in WITH_LATER_INSTRUCTIONS]
    faults: set[str] = set()
    for file in files:
        faults |= shared_symbols(file) if file in of_avx else later_instructions(file)
    blind = [str(file) for file in of_avx if not later_instructions(file)]
    faults |= {f"{file}: expected AVX there, found none" for file in blind}
    print(f"objects:   {len(files) - len(of_avx)} of SSE2 only, {len(of_avx)} of AVX kernels")
    for fault in sorted(faults)[:20]:
        print(f"           {fault}")
    found = {file.parent.name for file in of_avx}
    return not faults and found == set(WITH_LATER_INSTRUCTIONS)


def check_emulation() -> bool:
    """See that the emulated CPU refuses AVX, or running there would show nothing."""
    with tempfile.TemporaryDirectory() as folder:
        source, program = Path(folder) / "avx.cpp", Path(folder) / "avx"
        source.write_text(AVX_PROGRAM)
        run("g++", "-mavx", "-o", program, source)
        code = attempt("qemu-x86_64", "-cpu", CPU, program).returncode
    print(f"emulation: a {CPU} ends a program with AVX by signal {abs(code) % 128}")
    return abs(code) % 128 == signal.SIGILL


def check_run() -> bool:
    """Run the package there."""
    python = ("qemu-x86_64", "-cpu", CPU, sys.executable)
    print(run(*python, "-m", "lstm_native").strip())
    chosen = run(*python, "-c", "import lstm_native as l; print(l.get_config()['isa']['in_use'])")
    done = attempt(*python, "-m", "pytest", "-q", "-p", "no:cacheprovider", "tests/test_golden.py")
    print(f"golden:    {done.stdout.strip().splitlines()[-1]}")
    return chosen.split()[-1] == "baseline" and done.returncode == 0


def main() -> int:
    if platform.machine() != "x86_64":
        sys.exit(f"this machine is {platform.machine()}: there is no AVX to do without")
    need("objdump", "binutils")
    need("g++", "g++")
    need("qemu-x86_64", "qemu-user")
    only_run = "--only-run" in sys.argv[1:]  # of a wheel, whose object files are gone
    checks = [check_emulation(), check_run()] if only_run else []
    checks = checks or [check_instructions(), check_emulation(), check_run()]
    return int(not all(checks))


if __name__ == "__main__":
    sys.exit(main())
