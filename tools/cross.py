"""What the checks for other CPUs share: programs of Debian's, commands, disassembly."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

PROJECT = Path(__file__).resolve().parents[1]


def need(program: str, package: str) -> None:
    """End the script where a program is missing, with the package that has it."""
    if shutil.which(program) is None:
        sys.exit(f"{program}: not found; on Debian: apt install {package}")


def run(*command: str | Path, **environment: str) -> str:
    """Run a command; return what it prints. A failure shows all of that and ends the script."""
    done = attempt(*command, **environment)
    if done.returncode != 0:
        sys.exit(f"{' '.join(map(str, command))}: exit code {done.returncode}\n{done.stdout}")
    return done.stdout


def attempt(*command: str | Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run a command, whatever comes of it."""
    # A kernel of OpenBLAS that the user forces is one of this machine's CPU, not of another.
    inherited = {k: v for k, v in os.environ.items() if k != "OPENBLAS_CORETYPE"}
    return subprocess.run(
        command,
        cwd=PROJECT,
        env={**inherited, **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )


def instructions(objdump: str, file: Path) -> Iterator[tuple[str, str, str]]:
    """Yield function, mnemonic and operands of each instruction of an object file."""
    function = ""
    for line in run(objdump, "-d", "-C", "--no-show-raw-insn", file).splitlines():
        header = re.fullmatch(r"[0-9a-f]+ <(.+)>:", line)
        if header:
            function = header[1]
        instruction = re.match(r"\s+[0-9a-f]+:\s+((?:[a-z]+ )*?)([a-z][\w.]*)\s*(.*)", line)
        if instruction:
            yield function, instruction[2], instruction[3]
