"""Times and errors with fewer bits, beside float32 and beside other implementations' fewer bits.

python -m bench.measure.precision [--quick] [--threads N ...] [--shapes NAME ...] [--out FILE]

Writes FILE.md, FILE.json and FILE.png, for each shape the error over the time. What FILE.json has
of other shapes and numbers of threads stays.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from bench import ROOT
from bench.measure.limits import fma_gflops
from bench.measure.machine import cpu_slug, default_threads, describe_machine
from bench.measure.results import ShapeResult, Status, geometric_mean
from bench.measure.rounds import Settings, measure
from bench.measure.workers import Crew
from bench.peers import OURS
from bench.peers.variants import REDUCED, REDUCED_PEERS
from bench.report.markdown import format_ratio, format_time, table
from bench.report.roofline import flops
from lstm_native import get_config
from shapes import Shape, shapes_by_name

SHAPES = (
    *("single_step_h512", "single_step_h1024", "stream_h256_l2", "stream_h1536"),
    *("small_batch_h512", "medium_batch_h512", "large_batch_h512", "large_batch_h1024"),
)
NAMES = (OURS, *REDUCED, *REDUCED_PEERS)

# By whose instructions each implementation multiplies, as the core names formats.
PRODUCTS = {
    **dict.fromkeys((f"{OURS} bfloat16 products", "openvino bf16"), "bfloat16_products"),
    **dict.fromkeys((f"{OURS} int8 weights", f"{OURS} int8 products"), "int8_products"),
    **dict.fromkeys(REDUCED_PEERS[:2], "int8_products"),
}
PEAKS = ("native", "bfloat16_products", "int8_products")

Row = dict[str, Any]


def measured_peaks(threads: int) -> dict[str, float]:
    """Operations per ns in registers, by the core's names of formats."""
    isa = get_config()["isa"]["in_use"]
    return {format: fma_gflops(isa, threads, format) for format in PEAKS}


def rows_of(result: ShapeResult, peaks: dict[str, float]) -> list[Row]:
    """One for each implementation that gave a right answer."""
    rows = []
    for name, outcome in result.outcomes.items():
        if outcome.status is not Status.OK:
            continue
        us = min(turn.min_us for turn in outcome.turns)
        least_us = flops(result.shape) / peaks[PRODUCTS.get(name, "native")] / 1e3
        rows.append(
            {
                "shape": result.shape.label,
                "threads": result.threads,
                "name": name,
                "us": us,
                "of_peak": least_us / us,
                "error": outcome.max_abs_error,
            }
        )
    return rows


def with_earlier(rows: Sequence[Row], path: Path) -> list[Row]:
    """The rows with those in a file whose shapes or numbers of threads they lack."""
    earlier = json.loads(path.read_text())["rows"] if path.exists() else []
    places = {(row["shape"], row["threads"]) for row in rows}
    kept = [row for row in earlier if (row["shape"], row["threads"]) not in places]
    order = [shapes_by_name()[name].label for name in SHAPES]

    def place(row: Row) -> tuple[int, int]:
        shape = row["shape"]
        return row["threads"], order.index(shape) if shape in order else len(order)

    return sorted([*kept, *rows], key=place)


def report_table(rows: Sequence[Row]) -> str:
    whole = {(r["shape"], r["threads"]): r["us"] for r in rows if r["name"] == OURS}
    lines = [
        [
            *(row["shape"], str(row["threads"]), row["name"], format_time(row["us"])),
            format_ratio(whole[row["shape"], row["threads"]] / row["us"]),
            f"{row['of_peak']:.0%}" if "of_peak" in row else "-",
            f"{row['error']:.1e}",
        ]
        for row in rows
    ]
    header = [
        "T,N,I/H",
        "threads",
        "",
        "time",
        f"{OURS} float32 / it",
        "of the peak",
        "largest error",
    ]
    return table(header, lines, left=3)


def means(rows: Sequence[Row]) -> str:
    """Of what our formats gain over those of others with as many bits."""
    by_place = {(r["shape"], r["threads"], r["name"]): r for r in rows}
    pairs = (
        (f"{OURS} int8 weights", REDUCED_PEERS[:2]),
        (f"{OURS} int8 products", REDUCED_PEERS[:2]),
        (f"{OURS} bfloat16 products", REDUCED_PEERS[2:]),
    )
    lines = []
    for ours, peers in pairs:
        ratios, errors = [], []
        for shape, threads, name in by_place:
            if name != ours:
                continue
            others = [
                by_place[key] for peer in peers if (key := (shape, threads, peer)) in by_place
            ]
            if others:
                own = by_place[shape, threads, ours]
                ratios.append(min(other["us"] for other in others) / own["us"])
                errors.append(own["error"] / min(other["error"] for other in others))
        if ratios:
            mean, worst = geometric_mean(ratios), min(ratios)
            relative = f"{geometric_mean(errors):.2f} (at most {max(errors):.2f})"
            lines.append([ours, ", ".join(peers), f"{mean:.2f}", f"{worst:.2f}", relative])
    header = ["", "beside the best of", "their time / ours", "the worst", "our error / theirs"]
    return table(header, lines, left=2)


def earlier_peaks(path: Path) -> dict[str, dict[str, float]]:
    peaks: dict[str, dict[str, float]] = (
        json.loads(path.read_text()).get("peaks", {}) if path.exists() else {}
    )
    return peaks


def peaks_table(peaks: dict[str, dict[str, float]]) -> str:
    """What the machine multiplies and adds at most, in registers."""
    lines = [
        [threads, *(f"{of[format]:.0f}" for format in PEAKS)]
        for threads, of in sorted(peaks.items())
    ]
    header = ["threads", "float32, Gop/s", "bfloat16 products, Gop/s", "int8 products, Gop/s"]
    return table(header, lines)


def plot(rows: Sequence[Row], path: Path) -> None:
    """Draw the error over the time, a panel for each shape."""
    import matplotlib.pyplot as plt  # noqa: PLC0415

    threads = max(row["threads"] for row in rows)
    shapes = list(dict.fromkeys(row["shape"] for row in rows))
    columns = min(4, len(shapes))
    lines = -(-len(shapes) // columns)
    figure, panels = plt.subplots(
        lines, columns, figsize=(4 * columns, 3 * lines), squeeze=False, layout="constrained"
    )
    names = list(dict.fromkeys(row["name"] for row in rows))
    for panel, shape in zip(panels.flat, shapes, strict=False):
        for number, name in enumerate(names):
            for row in rows:
                if (row["shape"], row["threads"], row["name"]) == (shape, threads, name):
                    marker = "o" if name.startswith(OURS) else "X"
                    label = name if panel is panels.flat[0] else None
                    panel.plot(
                        row["us"],
                        row["error"],
                        marker,
                        color=f"C{number}",
                        markersize=8,
                        label=label,
                    )
        panel.set(title=shape, xscale="log", yscale="log", xlabel="us", ylabel="largest error")
    for panel in list(panels.flat)[len(shapes) :]:
        panel.set_axis_off()
    figure.legend(loc="outside lower center", ncols=3)
    figure.savefig(path, dpi=100)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="3 rounds, not 10")
    parser.add_argument("--threads", type=int, nargs="+", default=default_threads(), metavar="N")
    parser.add_argument("--shapes", nargs="+", default=SHAPES, metavar="NAME")
    parser.add_argument("--names", nargs="+", default=NAMES, metavar="NAME")
    parser.add_argument("--out", type=Path, help="else bench/results/precision/CPU")
    given = parser.parse_args()
    out = given.out or ROOT / "bench" / "results" / "precision" / cpu_slug()
    settings = Settings(rounds=3 if given.quick else 10)
    by_name = shapes_by_name()
    shapes: list[Shape] = [by_name[name] for name in given.shapes]
    crew = Crew(given.names)
    rows: list[Row] = []
    peaks: dict[str, dict[str, float]] = {}
    try:
        for threads in given.threads:
            peaks[str(threads)] = measured_peaks(threads)
            for shape in shapes:
                result = measure(shape, threads, crew, settings)
                rows += rows_of(result, peaks[str(threads)])
                print(report_table(rows_of(result, peaks[str(threads)])), flush=True)
                for name, outcome in result.outcomes.items():
                    if outcome.status is not Status.OK:
                        print(f"{name}: {outcome.status.value}: {outcome.detail}", flush=True)
    finally:
        crew.close()
    rows = with_earlier(rows, out.with_suffix(".json"))
    peaks = {**earlier_peaks(out.with_suffix(".json")), **peaks}
    text = "\n\n".join((report_table(rows), means(rows), peaks_table(peaks)))
    out.with_suffix(".md").write_text(f"# Fewer bits\n\n{text}\n")
    machine = describe_machine()
    out.with_suffix(".json").write_text(
        json.dumps({"machine": machine, "peaks": peaks, "rows": rows}, indent=1)
    )
    plot(rows, out.with_suffix(".png"))
    print(means(rows))


if __name__ == "__main__":
    main()
