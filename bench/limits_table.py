"""Renders the machine's limits."""

from __future__ import annotations

from collections.abc import Sequence

from bench.markdown import format_bytes, table, threads_heading
from bench.roofline import Limits


def render_limits(limits: Sequence[Limits]) -> str:
    """One column per number of threads, one row per instruction set or part of L1 to memory."""
    header = ["resource", *(threads_heading(one.threads) for one in limits)]
    isas = dict.fromkeys(isa for one in limits for isa in one.gflops)
    rows = [
        [f"FMA peak, {isa}", *(f"{one.gflops[isa]:.0f} GFLOP/s" for one in limits)] for isa in isas
    ]
    # With more threads a part of L3 may be too little for each to be told from L2.
    levels = [b.level for b in max((one.bandwidths for one in limits), key=len, default=())]
    rows += [[f"read, {level}", *(_bandwidth(one, level) for one in limits)] for level in levels]
    return table(header, rows)


def _bandwidth(limits: Limits, level: str) -> str:
    measured = next((b for b in limits.bandwidths if b.level == level), None)
    if measured is None:
        return "-"
    return f"{measured.gb_per_s:.0f} GB/s ({format_bytes(measured.bytes_per_thread)} each)"
