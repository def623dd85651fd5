"""Run the parts of the check on a CUDA device, and keep each part's result as it ends.

`tools/gpu_check.sh` starts it, from the folder that `make gpu-bundle` made. Each part is a process
with a limit of its own, and all of them share one. After each part the results so far are written:
gpu_check.md, gpu_check.json, and gpu_check.log with all that the parts print.

Exit status 0: no part failed. On an emulated device, parts that need a real one are `not here`; on
a real device what such a part needs must be there.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

BUNDLE = Path(__file__).resolve().parents[1]
LIMIT = 345.0  # seconds, for all parts together
ENVIRONMENT = "environment"
SMOKE = "smoke"
TIMES = "times"
NEEDED = ("install", ENVIRONMENT, SMOKE)  # without which no other part can tell anything
PASSED, FAILED, TIMED_OUT, NOT_HERE, NOT_RUN = (
    *("passed", "failed", "timed out", "not here", "not run"),
)
AGREED = r"(\d+) calls agree with the CPU"
MEMORY_SUMMARY = r"ERROR SUMMARY: 0 errors"
RACE_SUMMARY = r"RACECHECK SUMMARY: 0 hazards displayed \(0 errors, 0 warnings\)"


@dataclass(frozen=True)
class Part:
    """A command that must end with status 0 within its limit, and print what shows its work."""

    name: str
    command: Sequence[str]
    seconds: float
    # The first group of the first pattern counts what was done, and must not be 0.
    prints: Sequence[str]
    program: str | None = None  # which must be on the PATH; none has it for an emulated device


@dataclass
class Result:
    """How a part ended."""

    name: str
    outcome: str
    seconds: float = 0.0
    detail: str = ""


@dataclass
class Check:
    """What is known so far, and where it is kept."""

    folder: Path
    scratch: Path
    facts: dict[str, str] = field(default_factory=dict)
    results: list[Result] = field(default_factory=list)

    @property
    def emulated(self) -> bool:
        return self.facts.get("target") == "emulated"

    @property
    def log(self) -> Path:
        return self.folder / "gpu_check.log"

    @property
    def times(self) -> Path:
        return self.scratch / "times"

    def keep(self) -> None:
        """Write the results so far."""
        times = self.times.with_suffix(".json")
        tables = self.times.with_suffix(".md")
        content = {
            "environment": self.facts,
            "parts": [asdict(result) for result in self.results],
            "times": json.loads(times.read_text()) if times.exists() else None,
        }
        (self.folder / "gpu_check.json").write_text(json.dumps(content, indent=1) + "\n")
        text = ["# Check of the CUDA target", ""]
        text += [f"- {name}: {value}" for name, value in self.facts.items()]
        text += ["", "| part | outcome | seconds | detail |", "| --- | --- | ---: | --- |"]
        text += [
            f"| {result.name} | {result.outcome} | {result.seconds:.1f} | {result.detail} |"
            for result in self.results
        ]
        text += ["", tables.read_text()] if tables.exists() else [""]
        (self.folder / "gpu_check.md").write_text("\n".join(text))

    def add(self, result: Result) -> Result:
        self.results.append(result)
        self.keep()
        print(line_of(result), flush=True)
        return result


def line_of(result: Result) -> str:
    return f"{result.name:<12} {result.outcome:<9} {result.seconds:6.1f} s  {result.detail}"


def install_part(site: Path) -> Part:
    wheels = sorted(str(wheel) for wheel in (BUNDLE / "wheels").glob("*.whl"))
    pip = (sys.executable, "-m", "pip", "--disable-pip-version-check", "--no-cache-dir", "install")
    options = ("--no-index", "--no-deps", "--no-compile", "--target", str(site))
    return Part("install", [*pip, *options, *wheels], 40, [r"Successfully installed (\S+)"])


def parts(check: Check, tests: Sequence[str]) -> list[Part]:
    """Return what follows on the installation and the report of the environment."""
    python = sys.executable
    calls = [python, str(BUNDLE / "tests" / "cuda" / "small_calls.py")]
    pytest = [
        *(python, "-m", "pytest", "-c", str(BUNDLE / "pyproject.toml"), "-p", "no:cacheprovider"),
        *("--cuda=device", "--tb=short", "--maxfail=20", "-v", *tests),
    ]
    sanitizer = ["compute-sanitizer", "--error-exitcode", "9", "--print-limit", "20", "--tool"]
    # It is slow, and looks at shared memory: only these kernels of ours have some.
    ours = ("--kernel-regex", "kns=lstm_native")
    races = (*ours, *calls, "--runs=1", "--step-loops", "persistent")
    times = [python, "-m", "bench.gpu_check", "--files", str(check.times)]
    if check.emulated:
        times += ["--without-torch", "--rounds=1", "--shapes", "single_step_h64"]
    tool = sanitizer[0]
    return [
        Part(SMOKE, [*calls, "--one"], 25, [AGREED]),
        Part("correctness", pytest, 90, [r"\b(\d+) passed"]),
        Part("memcheck", [*sanitizer, "memcheck", *calls], 45, [AGREED, MEMORY_SUMMARY], tool),
        Part("racecheck", [*sanitizer, "racecheck", *races], 60, [AGREED, RACE_SUMMARY], tool),
        Part("initcheck", [*sanitizer, "initcheck", *calls], 45, [AGREED, MEMORY_SUMMARY], tool),
        Part(TIMES, times, 110, [r"(\d+) rows timed"]),
    ]


def run(part: Part, check: Check, environment: dict[str, str], seconds: float) -> Result:
    """Run one part for at most so long; its output goes to the log."""
    if part.program is not None:
        if check.emulated:
            return Result(part.name, NOT_HERE, 0.0, "the device is emulated")
        if shutil.which(part.program) is None:
            return Result(part.name, FAILED, 0.0, f"{part.program} is not on the PATH")
    if seconds <= 0:
        return Result(part.name, NOT_RUN, 0.0, f"all {LIMIT:.0f} s were used up")
    with check.log.open("ab") as log:
        log.write(f"\n===== {part.name}: {' '.join(part.command)}\n".encode())
        log.flush()
        start = log.tell()
        begin = time.monotonic()
        process = subprocess.Popen(
            part.command,
            cwd=BUNDLE,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        status = wait_or_end(process, seconds)
        taken = time.monotonic() - begin
    printed = check.log.read_bytes()[start:].decode(errors="replace")
    outcome, detail = judged(part, status, printed)
    if outcome == TIMED_OUT:
        detail = f"its limit was {seconds:.0f} s; {detail}"
    return Result(part.name, outcome, taken, detail)


def judged(part: Part, status: int | None, printed: str) -> tuple[str, str]:
    """Return a part's outcome, and in a line what it did or how it ended."""
    lines = [line.strip() for line in printed.splitlines() if line.strip()]
    last = lines[-1][-200:].replace("|", "/") if lines else "it printed nothing"
    if status is None:
        return TIMED_OUT, f"last line: {last}"
    if status != 0:
        return FAILED, f"exit status {status}: {last}"
    found = [re.search(pattern, printed) for pattern in part.prints]
    for pattern, match in zip(part.prints, found, strict=True):
        if match is None:
            return FAILED, f"nothing printed matches '{pattern}'"
    if found[0] is not None and found[0][1] == "0":
        return FAILED, f"it did nothing: {found[0][0]}"
    return PASSED, last if part.program is None else f"{found[0][0]}"


def wait_or_end(process: subprocess.Popen[bytes], seconds: float) -> int | None:
    """Return the exit status; None where the limit ended the process and what it had started."""
    try:
        return process.wait(seconds)
    except subprocess.TimeoutExpired:
        # Python, with its fault handler on, then says where each of its threads is.
        for end, patience in ((signal.SIGABRT, 3.0), (signal.SIGKILL, None)):
            with_group(process, end)
            try:
                process.wait(patience)
                break
            except subprocess.TimeoutExpired:
                continue
        with_group(process, signal.SIGKILL)
        return None


def with_group(process: subprocess.Popen[bytes], number: signal.Signals) -> None:
    try:
        os.killpg(process.pid, number)
    except ProcessLookupError:  # all of it has ended
        return


def report_environment(check: Check, environment: dict[str, str]) -> Result:
    """Run the part that prints the facts about the machine."""
    command = [sys.executable, str(BUNDLE / "tools" / "gpu_environment.py")]
    start = check.log.stat().st_size
    result = run(Part(ENVIRONMENT, command, 30, [r"target: (\w+)"]), check, environment, 30)
    printed = check.log.read_bytes()[start:].decode(errors="replace")
    check.facts = dict(re.findall(r"^([\w-]+): (.*)$", printed, re.MULTILINE))
    return result


def check_all(folder: Path, tests: Sequence[str], scratch: Path) -> int:
    deadline = time.monotonic() + LIMIT
    check = Check(folder, scratch)
    check.log.write_text("")
    site = scratch / "site"
    environment = {
        **os.environ,
        "PYTHONPATH": str(site),
        "PYTHONDONTWRITEBYTECODE": "1",
        "PYTHONFAULTHANDLER": "1",
        "PYTHONUNBUFFERED": "1",
        # Plugins that happen to be installed are no part of the check.
        "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1",
        "HYPOTHESIS_STORAGE_DIRECTORY": str(scratch / "hypothesis"),
    }
    check.add(run(install_part(site), check, environment, 40))
    check.add(report_environment(check, environment))
    for part in parts(check, tests):
        missing = [
            result.name
            for result in check.results
            if result.name in NEEDED and result.outcome != PASSED
        ]
        if missing:
            check.add(
                Result(part.name, NOT_RUN, 0.0, f"it needs what failed: {', '.join(missing)}")
            )
            continue
        left = deadline - time.monotonic()
        check.add(run(part, check, environment, min(part.seconds, left)))
    print_summary(check)
    return int(any(result.outcome not in (PASSED, NOT_HERE) for result in check.results))


def print_summary(check: Check) -> None:
    """Print the short summary, which is the last that the check prints."""
    print(f"\n{check.facts.get('device', 'no device known')}; results in {check.folder}")
    for result in check.results:
        print(line_of(result))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    default = os.environ.get("OUT", "gpu-check")
    parser.add_argument("folder", nargs="?", default=default, type=Path, metavar="FOLDER")
    help_text = "what pytest is told, up to the end (default: tests/cuda)"
    remainder = argparse.REMAINDER  # with options of pytest's own
    parser.add_argument("--tests", nargs=remainder, default=["tests/cuda"], help=help_text)
    options = parser.parse_args()
    if not (BUNDLE / "wheels").is_dir():
        parser.error(f"{BUNDLE} is not a bundle: `make gpu-bundle` makes one, with wheels in it")
    options.folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="lstm-native-gpu-check-") as scratch:
        return check_all(options.folder.resolve(), options.tests, Path(scratch))


if __name__ == "__main__":
    sys.exit(main())
