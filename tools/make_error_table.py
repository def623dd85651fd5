"""Write docs/errors.md: every wrong call of tests/validation_cases.py, with what it raises.

Run after a change of a message or of the table: python tools/make_error_table.py
"""

import sys
from pathlib import Path

PROJECT = Path(__file__).resolve().parents[1]
sys.path.append(str(PROJECT / "tests"))

from validation_cases import (  # noqa: E402
    BUILD,
    CALL,
    CLOSE,
    DUMP,
    GRAD,
    GRAD_BUILD,
    GRAD_WEIGHTS,
    LOAD,
    MISTAKES,
    ONNX,
    PULLBACK,
    RESERVE_SIZE,
    RESET,
    RUN,
    SESSIONS,
    SESSIONS_RUN,
    SESSIONS_STEP,
    SET_STATE,
    STATE_OF_SESSION,
    STATE_OF_STREAM,
    STEP,
    STREAM,
    VJP,
    Mistake,
)

PAGE = PROJECT / "docs" / "errors.md"

INTRODUCTION = """\
# Errors

What a wrong call raises. Every message names the argument, what was expected, and what came; of an
array in a sequence it also says which one. Nothing is computed, and no dropout mask is drawn.

The calls below are run by the tests. They depart from valid ones with 5 time steps, a batch of 3,
10 features, 2 hidden units, one layer and one direction. `…` stands for words of NumPy, or for
numbers that depend on the CPU. `lstm_vjp` raises what `lstm` does, the constructor of `LSTMGrad`
what that of `LSTM` does; `state`, `reset` and `dump` of `Sessions` raise what its `close` does. Of
sessions 0 to 3, the last was closed.

This page is made from `tests/validation_cases.py` by `tools/make_error_table.py`."""

TITLES = {
    "lstm": "`lstm`",
    BUILD: "`LSTM`: the constructor",
    CALL: "`LSTM`: the call",
    RESERVE_SIZE: "`LSTM.reserve_size`",
    "manual_seed": "`manual_seed`",
    "set_num_threads": "`set_num_threads`",
    "set_adaptive_threads": "`set_adaptive_threads`",
    "set_flush_subnormals": "`set_flush_subnormals`",
    "pack_weights": "`pack_weights`",
    "Cell": "`Cell`: the constructor",
    STREAM: "`Stream`: the constructor",
    STEP: "`Stream.step`",
    RUN: "`Stream.run`",
    STATE_OF_STREAM: "`Stream.state`, when set",
    SESSIONS: "`Sessions`: the constructor",
    SESSIONS_STEP: "`Sessions.step`",
    SESSIONS_RUN: "`Sessions.run`",
    CLOSE: "`Sessions.close`",
    SET_STATE: "`Sessions.set_state`",
    LOAD: "`Sessions.load`",
    ONNX: "`lstm_native.onnx.lstm`",
    "explain": "`explain`, by sizes",
    PULLBACK: "What `lstm_vjp` returns: the pullback",
    GRAD: "`LSTMGrad`: the call, and `data`",
    GRAD_WEIGHTS: "`LSTMGrad.weights`",
}


# They raise what another interface raises for the same argument.
LIKE_ANOTHER = {
    VJP: "lstm",
    GRAD_BUILD: BUILD,
    **dict.fromkeys((STATE_OF_SESSION, RESET, DUMP), CLOSE),
}


def row(mistake: Mistake) -> str:
    """Run one wrong call and return its line of the table."""
    error = mistake.raised()
    text = str(error)
    if mistake.message.endswith("…"):  # the rest differs from machine to machine
        text = text[: len(mistake.message) - 1] + "…"
    cells = (f"`{mistake.argument}`", mistake.passed, f"`{type(error).__name__}`", f"`{text}`")
    return f"| {' | '.join(cells)} |"


def page() -> str:
    """Return the whole page."""
    parts = [INTRODUCTION]
    listed: dict[str, list[Mistake]] = {interface: [] for interface in TITLES}
    for mistake in MISTAKES:
        if mistake.interface not in LIKE_ANOTHER:
            listed[mistake.interface].append(mistake)
    for interface, mistakes in listed.items():
        parts += [
            f"\n## {TITLES[interface]}\n",
            "| argument | mistake | exception | message |",
            "|---|---|---|---|",
            *map(row, mistakes),
        ]
    return "\n".join(parts) + "\n"


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
