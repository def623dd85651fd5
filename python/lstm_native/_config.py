"""Settings of the process, and what this build consists of."""

import math
import os
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from lstm_native import _validate
from lstm_native._extension import core
from lstm_native._types import Config

_ENVIRONMENT = "LSTM_NATIVE_NUM_THREADS"
_FLUSH = "LSTM_NATIVE_FLUSH_SUBNORMALS"
_ADAPT = "LSTM_NATIVE_ADAPTIVE_THREADS"
_MOST_THREADS = core.most_threads()


def set_num_threads(num_threads: int | None) -> None:
    """Set the number of threads of calls without `num_threads=`.

    Results do not depend on it, bit for bit. A limit on OpenMP's threads, as
    `threadpoolctl.threadpool_limits` sets it, also holds for such calls, unless it equals OpenMP's
    own number (`OMP_NUM_THREADS`), which can't be told from no limit.

    Parameters
    ----------
    num_threads : int or None
        From 1 to 128. None returns to the default: the environment variable
        LSTM_NATIVE_NUM_THREADS as it was at import, else OMP_NUM_THREADS, else the cores that the
        process may use (its affinity and the limits of its cgroups).

    Raises
    ------
    TypeError
        If `num_threads` is neither an int nor None.
    ValueError
        If it is outside of its range.
    """
    core.choose_threads(0 if num_threads is None else _check(num_threads))


def get_num_threads() -> int:
    """Return the number of threads of calls without `num_threads=`."""
    return core.default_threads()


def threads_for_call(num_threads: Any) -> int:
    """Return the threads of one call from its `num_threads=` argument; 0: the default."""
    return 0 if num_threads is None else _check(num_threads)


def set_adaptive_threads(adapt: bool) -> None:
    """Set whether calls use fewer threads while others use the cores: in this process, from now on.

    A call with several threads ends when the last of them does. A thread that waits for a core
    behind another process, or another thread of this one, would delay it by milliseconds. So a call
    looks, at most every few milliseconds, how many tasks of the system are runnable, and how long
    recent calls waited for their threads. `num_threads` stays an upper bound; results have the same
    bits.

    Parameters
    ----------
    adapt : bool
        True is the default, unless the environment variable LSTM_NATIVE_ADAPTIVE_THREADS was 0 at
        import. False: each call uses all threads that it may use and that make it faster.

    Raises
    ------
    TypeError
        If `adapt` is not a bool.
    """
    core.set_adapts_threads(_validate.boolean(adapt, "adapt"))


def get_adaptive_threads() -> bool:
    """Return whether calls use fewer threads while others use the cores."""
    return core.adapts_threads()


def set_flush_subnormals(flush: bool) -> None:
    """Set whether calls count subnormal numbers as zeros: in this process, from now on.

    Subnormal numbers are below 1.18e-38 in float32, 2.23e-308 in float64. States and gradients that
    fade over many steps become subnormal, and many CPUs take a hundred times as long for operations
    on them. With zeros instead, a result differs by less than 1e-36 in float32 if no weight is
    above 10 or so. The setting holds for the threads of a call while they compute.

    Parameters
    ----------
    flush : bool
        True is the default, unless the environment variable LSTM_NATIVE_FLUSH_SUBNORMALS was 0 at
        import.

    Raises
    ------
    TypeError
        If `flush` is not a bool.
    """
    core.set_flush_subnormals(_validate.boolean(flush, "flush"))


def get_flush_subnormals() -> bool:
    """Return whether calls count subnormal numbers as zeros."""
    return core.flushes_subnormals()


def get_config() -> Config:
    """Return what `show_config` prints, as a dictionary.

    Returns
    -------
    dict
        version : str
            Of this package.
        compiler : str
            The name and version of the compiler that built the core.
        numpy : str
            NumPy's version.
        blas : dict
            name, version, kernel : str; bundled : bool, whether it came with this package;
            threads : int, those of its own pool, 0 if not known.
        openmp : int
            The year and month of the OpenMP standard, as 201511; 0: none.
        isa : dict
            built, supported : list of str, the widest instruction set first; in_use : str;
            vector_bytes : int, of the one in use; variants : dict of str to str, the instruction
            set that a variant belongs to, by the variant's name.
        threads : int
            As `get_num_threads`.
        adaptive_threads : bool
            As `get_adaptive_threads`.
        flush_subnormals : bool
            As `get_flush_subnormals`.
    """
    return {
        "version": core.version(),
        "compiler": core.compiler(),
        "numpy": np.__version__,
        "blas": core.blas(),
        "openmp": core.openmp_version(),
        "isa": core.isa(),
        "threads": get_num_threads(),
        "adaptive_threads": get_adaptive_threads(),
        "flush_subnormals": get_flush_subnormals(),
    }


def show_config() -> None:
    """Print version, compiler, BLAS, OpenMP, instruction sets and threads of this build."""
    config = get_config()
    blas, isa = config["blas"], config["isa"]
    origin = "inside this package" if blas["bundled"] else "of the system"
    pool = f"own pool: {blas['threads'] or 'unknown'}"
    openmp = config["openmp"]
    lines = {
        "version": config["version"],
        "compiler": config["compiler"],
        "NumPy": config["numpy"],
        "BLAS": f"{blas['name']} {blas['version']} ({blas['kernel']} kernels, {origin}, {pool})",
        "OpenMP": f"standard of {openmp // 100}-{openmp % 100:02}",
        "ISA built": ", ".join(isa["built"]),
        "ISA supported": ", ".join(isa["supported"]),
        "ISA in use": f"{isa['in_use']} ({8 * isa['vector_bytes']}-bit vectors)",
        "threads": f"{config['threads']}"
        + (", fewer while others use the cores" if config["adaptive_threads"] else ""),
        "subnormals": "count as zero" if config["flush_subnormals"] else "kept",
    }
    for name, value in lines.items():
        print(f"{name + ':':15}{value}")


def _check(num_threads: Any) -> int:
    return _validate.integer(num_threads, "num_threads", 1, _MOST_THREADS)


def _default_threads() -> int:
    ours = os.environ.get(_ENVIRONMENT, "").strip()
    if ours:
        if not ours.isdecimal() or not 1 <= int(ours) <= _MOST_THREADS:
            raise ValueError(
                f"environment variable {_ENVIRONMENT}: expected an int from 1 to "
                f"{_MOST_THREADS}, got {ours!r}"
            )
        return int(ours)
    # OpenMP allows a list, one number per level of nesting. It ignores wrong values, and so do we.
    outermost = os.environ.get("OMP_NUM_THREADS", "").split(",")[0].strip()
    if outermost.isdecimal() and int(outermost) >= 1:
        return min(int(outermost), _MOST_THREADS)
    return min(usable_cores(), _MOST_THREADS)


def usable_cores() -> int:
    """Return the number of cores that the process may use: its affinity, its cgroups' limits."""
    affinity = getattr(os, "sched_getaffinity", None)
    cores = len(affinity(0)) if affinity is not None else os.cpu_count() or 1
    limit = cpu_limit("/sys/fs/cgroup", "/proc/self/cgroup")
    return max(1, min(cores, math.ceil(limit))) if limit is not None else cores


def cpu_limit(mount: str, membership: str) -> float | None:
    """Return the CPU time per wall time that the process's cgroups allow, or None.

    A cgroup's limit holds for those below it. mount: where the hierarchies are; membership: the
    process's own place in each, as the kernel lists it: `0::/a/b`, in version 1 `1:cpu,cpuacct:/a`.
    """
    places = {
        tuple(names.split(",")): path
        for _, names, path in (line.split(":", 2) for line in _text(membership).splitlines())
    }
    limits: list[float] = []
    for controllers, path in {("",): "/", ("cpu",): "/", **places}.items():
        if controllers == ("",):
            limits += _limits(mount, path, _limit_of_version_2)
        elif "cpu" in controllers:
            limits += _limits(os.path.join(mount, "cpu"), path, _limit_of_version_1)
    return min(limits, default=None)


def _limits(root: str, path: str, read: Callable[[str], float | None]) -> Iterator[float]:
    """Yield the limits of a cgroup and of all above it, as far as they can be seen."""
    names = path.strip("/").split("/")
    for depth in range(len(names), -1, -1):
        limit = read(os.path.join(root, *names[:depth]))
        if limit is not None:
            yield limit


def _limit_of_version_2(cgroup: str) -> float | None:
    quota, *period = _words(os.path.join(cgroup, "cpu.max"))  # "max 100000": none
    return _ratio(quota, *period) if period else None


def _limit_of_version_1(cgroup: str) -> float | None:
    quota, period = (os.path.join(cgroup, f"cpu.cfs_{name}_us") for name in ("quota", "period"))
    return _ratio(*_words(quota), *_words(period))  # -1: none


def _words(file: str) -> list[str]:
    return _text(file).split() or [""]


def _text(file: str) -> str:
    try:
        with open(file, encoding="utf-8") as opened:
            return opened.read()
    except OSError:
        return ""


def _ratio(quota: str, period: str) -> float | None:
    if quota.isdecimal() and period.isdecimal() and int(quota) > 0 and int(period) > 0:
        return int(quota) / int(period)
    return None


def _on_by_default(name: str) -> bool:
    given = os.environ.get(name, "").strip()
    if given not in ("", "0", "1"):
        raise ValueError(f"environment variable {name}: expected 0 or 1, got {given!r}")
    return given != "0"


core.set_fallback_threads(_default_threads())
core.set_flush_subnormals(_on_by_default(_FLUSH))
core.set_adapts_threads(_on_by_default(_ADAPT))
