"""Writes a kept run's table and picture again.

python -m bench.report.redraw bench/results/<CPU>.json
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from bench.report.output import write
from bench.report.record import from_record


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("record", type=Path, nargs="+", metavar="JSON")
    for path in parser.parse_args().record:
        _, why_no_picture = write(from_record(json.loads(path.read_text("utf-8"))), path)
        if why_no_picture:
            print(f"no picture: {why_no_picture}", file=sys.stderr)


if __name__ == "__main__":
    main()
