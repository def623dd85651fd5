"""Runs the test suite on a module that was built with a sanitizer, and fails on any report.

    python tools/sanitize.py {address,leak,thread} [arguments of pytest]

`address` stands for address and undefined behaviour. The runtime is loaded before Python, which has
no sanitizer of its own. First, faults are planted in a library that is built alike: where one goes
unnoticed, a clean run would mean nothing.

Run by `make sanitize`, `make sanitize-leak` and `make sanitize-thread`, which build the module.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

PROJECT = Path(__file__).resolve().parents[1]
FAULTS = PROJECT / "tools" / "sanitizer_faults.cpp"
EXIT_CODE = 66

# Tests that can't hold under a sanitizer, whatever the module does.
NO_MEMORY = "asks for memory that is not there: a sanitizer's operator new ends the process then"
OWN_LIBRARY = "loads a library of its own before Python, in place of the sanitizer's"
FORK = "a fork leaves a lock of AddressSanitizer's own allocator locked where another thread has it"
# It then ends the child (ThreadSanitizer), or waits for that one to end (LeakSanitizer).
FORK_THEN_THREADS = (
    "in a child of a fork, the runtime takes a new thread for one of the parent's at its address"
)
FORKS = "tests/test_forks.py"
THREADS_IN_CHILDREN = {
    f"{FORKS}::test_fork[while others compute]": FORK_THEN_THREADS,
    f"{FORKS}::test_a_fork_where_openmp_believes_in_threads_that_an_earlier_fork_left_behind": (
        FORK_THEN_THREADS
    ),
}
DESELECTED = {
    "tests/test_memory.py::test_sizes_that_no_memory_has_are_refused": NO_MEMORY,
    "tests/test_memory_pool.py::test_sizes_beyond_any_memory": NO_MEMORY,
    "tests/test_allocations.py": OWN_LIBRARY,
    "tests/test_long_lives.py": OWN_LIBRARY,
    "tests/test_memory.py::test_threads_that_cannot_be_had": OWN_LIBRARY,
    "tests/test_memory.py::test_working_memory_of_blas_that_cannot_be_had": OWN_LIBRARY,
    "tests/test_memory_pool.py::test_it_holds_what_it_says": OWN_LIBRARY,
    "tests/test_stream.py::test_steps_do_not_call_malloc": OWN_LIBRARY,
    "tests/test_working_memory.py::test_what_calls_take_is_what_is_said": OWN_LIBRARY,
}


class Sanitizer(NamedTuple):
    """How one sanitizer is used."""

    flags: str
    compiler: str
    runtime: str  # GCC's
    options: dict[str, str]
    faults: dict[str, str]  # call of the library of faults: what the report says
    left_out: dict[str, str]  # tests beside DESELECTED


SANITIZERS = {
    "address": Sanitizer(
        "address,undefined",
        "g++",
        "libasan.so",
        {
            # Leaks are for `leak`. Python's own allocator would hide the ends of its blocks.
            "ASAN_OPTIONS": f"detect_leaks=0:exitcode={EXIT_CODE}:allocator_may_return_null=1",
            "UBSAN_OPTIONS": f"print_stacktrace=1:exitcode={EXIT_CODE}",
            "PYTHONMALLOC": "malloc",
        },
        {"read_past_end(4)": "heap-buffer-overflow", "overflow(2)": "signed integer overflow"},
        {
            f"{FORKS}::test_fork[while others compute]": FORK,
            f"{FORKS}::test_forks_while_other_threads_are_in_blas": FORK,
            "tests/test_memory_pool.py::test_a_fork[while used]": FORK,
        },
    ),
    "leak": Sanitizer(
        "leak",
        "g++",
        "liblsan.so",
        # CPython and NumPy keep memory until the process ends, so that a report by itself is no
        # failure: one with a frame of ours is.
        {"LSAN_OPTIONS": "exitcode=0", "PYTHONMALLOC": "malloc"},
        {"lose(1234)": "1234 byte"},
        {
            "tests/test_threads.py::test_more_threads_at_once_than_blas_has_memory_for": (
                "GCC 12's LeakSanitizer reads its list of threads while that grows, and crashes"
            ),
            f"{FORKS}::test_fork[inside a thread]": FORK_THEN_THREADS,
            f"{FORKS}::test_fork[while another draws masks]": FORK_THEN_THREADS,
            **THREADS_IN_CHILDREN,
        },
    ),
    "thread": Sanitizer(
        "thread",
        # Clang, for an OpenMP runtime that says what orders its threads (by Archer, below); GCC's
        # sanitizer runtime, because Clang 14's can't be loaded before a program.
        "clang++-14",
        "libtsan.so",
        {
            "TSAN_OPTIONS": (
                # Python, NumPy and OpenBLAS are not instrumented: what they do is not judged.
                # LLVM's OpenMP does not join the threads of a nested team when a program ends.
                f"ignore_noninstrumented_modules=1:exitcode={EXIT_CODE}:die_after_fork=0:"
                "allocator_may_return_null=1:report_thread_leaks=0"
            ),
        },
        {"race(100000)": "data race"},
        {
            f"{FORKS}::test_fork[after leading another's region]": FORK_THEN_THREADS,
            f"{FORKS}::test_fork[inside another's region]": FORK_THEN_THREADS,
            "tests/test_settings.py::test_no_more_threads_than_told_beside_numpys_blas": (
                "the sanitizer's runtime has a thread of its own, which runs at any time"
            ),
            **THREADS_IN_CHILDREN,
        },
    ),
}


def need(program: str, package: str) -> None:
    if shutil.which(program) is None:
        sys.exit(f"{program}: not found; on Debian: apt install {package}")


def path_of(compiler: str, library: str, package: str) -> str:
    """Return where a compiler has a library of its own."""

    def ask(question: str) -> Path:
        return Path(subprocess.check_output([compiler, question], text=True).strip())

    path = ask(f"-print-file-name={library}")
    if not path.exists() and "clang" in compiler:  # LLVM's other libraries are two folders above
        path = ask("--print-resource-dir").parents[1] / library
    if not path.exists():
        sys.exit(f"{library}: not found beside {compiler}; on Debian: apt install {package}")
    return str(path.resolve())


def environment(name: str, logs: Path) -> dict[str, str]:
    """Return what Python must find set to run with the sanitizer."""
    sanitizer = SANITIZERS[name]
    # The C++ runtime, too: the sanitizer looks for what throws exceptions before Python loads it.
    preloaded = [
        path_of("g++", sanitizer.runtime, "g++"),
        path_of("g++", "libstdc++.so", "g++"),
    ]
    chosen = {"LD_PRELOAD": ":".join(preloaded), **sanitizer.options}
    for variable in ("ASAN_OPTIONS", "UBSAN_OPTIONS", "LSAN_OPTIONS", "TSAN_OPTIONS"):
        if variable in chosen:
            chosen[variable] += f":log_path={logs / 'report'}"
    if name == "thread":
        # Tells the sanitizer what orders OpenMP's threads.
        archer = path_of(sanitizer.compiler, "libarcher.so", "libomp-14-dev")
        chosen["OMP_TOOL_LIBRARIES"] = archer
    return {**os.environ, **chosen}


def ours(report: str, files: tuple[str, ...]) -> bool:
    """Whether a stack of a report passes through one of the files."""
    return any(re.search(rf"^\s*#\d+ .*{re.escape(file)}", report, re.M) for file in files)


def reports(name: str, logs: Path, files: tuple[str, ...]) -> list[str]:
    """Return what the sanitizer wrote that is to be judged, one text per fault."""
    found: list[str] = []
    for log in sorted(logs.glob("report.*")):
        text = log.read_text(errors="replace")
        if name == "leak":
            leaks = re.split(r"\n(?=(?:Direct|Indirect) leak of)", text)[1:]
            found += [leak for leak in leaks if ours(leak, files)]
        elif "ERROR: " in text or "WARNING: ThreadSanitizer" in text or "runtime error" in text:
            found.append(text)
    return found


def fresh(folder: Path) -> Path:
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    return folder


def check_faults(name: str, work: Path) -> None:
    """Plant each fault, and see it reported; and what is none, not reported."""
    sanitizer = SANITIZERS[name]
    library = work / "faults.so"
    compile_it = [sanitizer.compiler, "-g", "-O1", "-fPIC", "-shared", "-fopenmp"]
    compile_it += [f"-fsanitize={sanitizer.flags}", "-fno-sanitize-recover=all"]
    compile_it += ["-fno-omit-frame-pointer"]
    subprocess.run([*compile_it, "-o", library, FAULTS], check=True)
    for call, said in {**sanitizer.faults, "no_race(9)": ""}.items():
        logs = fresh(work / "logs")
        done = subprocess.run(
            [sys.executable, "-c", f"import ctypes; ctypes.CDLL({str(library)!r}).{call}"],
            env=environment(name, logs),
            capture_output=True,
            text=True,
            check=False,
        )
        found = "\n".join(reports(name, logs, ("faults.so", FAULTS.name))) + done.stderr
        noticed = said in found if said else not found
        print(f"{call}: {said or 'no report'}, {'as expected' if noticed else 'NOT seen'}")
        if not noticed:
            sys.exit(f"the sanitizer does not work here:\n{found}")


def main() -> int:
    name, *pytest_args = sys.argv[1:]
    sanitizer = SANITIZERS[name]
    need(sanitizer.compiler, "clang-14" if sanitizer.compiler.startswith("clang") else "g++")
    work = PROJECT / "build" / f"sanitize-{name}"
    work.mkdir(parents=True, exist_ok=True)
    check_faults(name, work)
    for test, reason in {**DESELECTED, **sanitizer.left_out}.items():
        print(f"left out: {test}: {reason}")
        pytest_args.append(f"--deselect={test}")
    logs = fresh(work / "logs")
    outcome = work / "tests.xml"  # which pytest writes at its end
    outcome.unlink(missing_ok=True)
    pytest_args.append(f"--junit-xml={outcome}")
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *pytest_args]
    done = subprocess.run(command, cwd=PROJECT, env=environment(name, logs), check=False)
    found = reports(name, logs, ("_core.", "csrc/"))
    for report in found[:5]:
        print(report)
    # A sanitizer may end the process, with whatever exit code its options say.
    ended = "to its end" if outcome.exists() else "NOT to its end"
    print(f"{name}: {len(found)} reports, pytest ran {ended}, exit code {done.returncode}")
    return int(bool(found) or not outcome.exists() or done.returncode != 0)


if __name__ == "__main__":
    sys.exit(main())
