"""Prints the line coverage of Python and C++, one line per folder.

    python tools/coverage_by_folder.py PYTHON.json CXX.json

The files are those that `coverage json` and `gcovr --json-summary` write. Run by `make coverage`.
"""

from __future__ import annotations

import json
import sys
from collections import Counter
from pathlib import Path


def python_lines(report: Path) -> dict[str, tuple[int, int]]:
    """Return covered and executable lines by file; the installed package stands for its sources."""
    files = json.loads(report.read_text())["files"]
    return {
        f"python/lstm_native/{name.rpartition('/lstm_native/')[2]}": (
            file["summary"]["covered_lines"],
            file["summary"]["num_statements"],
        )
        for name, file in files.items()
    }


def cxx_lines(report: Path) -> dict[str, tuple[int, int]]:
    files = json.loads(report.read_text())["files"]
    return {file["filename"]: (file["line_covered"], file["line_total"]) for file in files}


def main() -> None:
    python, cxx = (Path(name) for name in sys.argv[1:])
    covered: Counter[str] = Counter()
    total: Counter[str] = Counter()
    for name, (hit, lines) in {**python_lines(python), **cxx_lines(cxx)}.items():
        folder = "/".join(Path(name).parts[:2])
        for place in {folder, f"{Path(name).parts[0]} (all)"}:
            covered[place] += hit
            total[place] += lines
    for place in sorted(total):
        share = 100 * covered[place] / total[place]
        print(f"{place:20} {covered[place]:5} of {total[place]:5} lines  {share:6.2f} %")


if __name__ == "__main__":
    main()
