"""The form in which a report is kept as JSON."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from typing import Any

from bench.measure.results import (
    Bandwidth,
    Limits,
    Outcome,
    Report,
    ShapeResult,
    Status,
    StreamLatency,
)
from bench.measure.timing import Turn
from bench.report.contract import Row, judge
from shapes import Shape


def to_record(report: Report) -> dict[str, Any]:
    threads = sorted({result.threads for result in report.results})
    return {
        **report.context,
        "implementations": list(report.implementations),
        "omissions": dict(report.omissions),
        "limits": [dataclasses.asdict(limits) for limits in report.limits],
        "results": [_result_record(result) for result in report.results],
        "ragged": [_result_record(result) for result in report.ragged],
        "training": [_result_record(result) for result in report.training],
        "streams": [dataclasses.asdict(stream) for stream in report.streams],
        "contract": {
            str(number): [_row_record(row) for row in judge(report, number)] for number in threads
        },
    }


def from_record(record: Mapping[str, Any]) -> Report:
    """What ``to_record`` was made from; the contract is judged anew when it is needed."""
    parts = (
        *("implementations", "omissions", "limits", "results", "ragged", "training", "streams"),
        "contract",
    )
    return Report(
        context={name: value for name, value in record.items() if name not in parts},
        implementations=tuple(record["implementations"]),
        results=tuple(_read_result(result) for result in record["results"]),
        ragged=tuple(_read_result(result) for result in record["ragged"]),
        # Runs from before training was measured are read, too.
        training=tuple(_read_result(result) for result in record.get("training", ())),
        limits=tuple(read_limits(limits) for limits in record["limits"]),
        streams=tuple(StreamLatency(**stream) for stream in record["streams"]),
        omissions=record["omissions"],
    )


def read_limits(record: Mapping[str, Any]) -> Limits:
    bandwidths = tuple(Bandwidth(**bandwidth) for bandwidth in record["bandwidths"])
    return Limits(**{**record, "bandwidths": bandwidths})


def _result_record(result: ShapeResult) -> dict[str, Any]:
    return {
        "shape": dataclasses.asdict(result.shape),
        "threads": result.threads,
        "implementations": {name: _outcome_record(o) for name, o in result.outcomes.items()},
    }


def _read_result(record: Mapping[str, Any]) -> ShapeResult:
    outcomes = {name: _read_outcome(o) for name, o in record["implementations"].items()}
    return ShapeResult(Shape(**record["shape"]), record["threads"], outcomes)


def _outcome_record(outcome: Outcome) -> dict[str, Any]:
    return {
        "status": outcome.status.value,
        "detail": outcome.detail,
        "min_us": outcome.min_us,
        "median_us": outcome.median_us,
        "max_abs_error": _error_record(outcome.max_abs_error),
        "max_gradient_error": _error_record(outcome.max_gradient_error),
        "tape_bytes": outcome.tape_bytes,
        "rounds": [dataclasses.asdict(turn) for turn in outcome.turns],
    }


def _read_outcome(record: Mapping[str, Any]) -> Outcome:
    return Outcome(
        Status(record["status"]),
        record["detail"],
        _read_error(record["max_abs_error"]),
        _read_error(record.get("max_gradient_error")),
        record.get("tape_bytes"),
        [Turn(**turn) for turn in record["rounds"]],
    )


def _error_record(error: float | None) -> float | str | None:
    # JSON knows no infinity and no NaN.
    return error if error is None or math.isfinite(error) else str(error)


def _read_error(error: float | str | None) -> float | None:
    return None if error is None else float(error)


def _row_record(row: Row) -> dict[str, Any]:
    return {
        "what": row.what,
        "at_most" if row.is_at_most else "at_least": row.bound,
        "aim": row.aim,
        "reached": row.figure.value,
        "note": row.figure.note,
        "gaps": list(row.figure.gaps),
        "verdict": row.verdict,
    }
