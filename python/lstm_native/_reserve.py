"""Checks a tape's header against the call that the tape must come from."""

from typing import Any, NamedTuple

import numpy as np

from lstm_native import _validate
from lstm_native._arrays import RealArray, as_real
from lstm_native._device import BorrowedArray
from lstm_native._extension import core
from lstm_native._run import Problem

_HEADER = np.dtype(
    [
        ("magic", "S8"),
        ("version", "u4"),
        ("element_bytes", "u4"),
        ("seq_len", "i8"),
        ("batch", "i8"),
        ("rows", "i8"),
        ("input_size", "i8"),
        ("cell_size", "i8"),
        ("hidden_size", "i8"),
        ("num_layers", "i8"),
        ("num_directions", "i8"),
        ("dropout", "f8"),
        ("key", "u8"),
        ("counter", "u8"),
        ("elements", "i8"),
        ("form", "u4"),
        ("cell", "u4"),
    ]
)
HEADER_ELEMENTS = 32
# What follows the header (csrc/plan/tape.hpp, TapeForm).
GATES, GRADIENTS = 0, 2
_MAGIC = b"LSTMTAPE"
_VERSION = 1


_SOURCES = {
    GATES: ("reserve", "a training call of LSTM"),
    GRADIENTS: ("workspace", "LSTMGrad.data"),
}


class Recorded(NamedTuple):
    """The generator's key and counter of the call that filled the tape."""

    key: int
    counter: int


def check_tape(
    value: Any, name: str, x: RealArray, problem: Problem, form: int
) -> tuple[RealArray, Recorded]:
    """Return a tape in C order, and what its header says of the generator.

    problem: of the call that must have filled the tape. Its masks may be any.
    """
    array = as_real(value, name, x, "x")
    elements = core.tape_elements(problem)
    _validate.shape(array, name, (elements, 1), ("reserve_size(seq_len, batch)", "1"))
    tape, beginning = _in_order(array, name)
    header = beginning.view(np.uint8)[: _HEADER.itemsize].view(_HEADER)[0]
    kind, source = _SOURCES[form]
    if header["magic"] != _MAGIC or header["version"] != _VERSION:
        raise ValueError(
            f"{name}: expected what {source} returned (its header begins "
            f"{_MAGIC!r}, version {_VERSION}), "
            f"got one that begins {beginning.view(np.uint8)[:12].tobytes()!r}"
        )
    sizes = problem.sizes
    wanted = {
        "element_bytes": x.itemsize,
        "seq_len": problem.seq_len,
        "batch": problem.batch,
        "rows": problem.seq_len * problem.batch,
        "input_size": sizes.input_size,
        "cell_size": sizes.hidden_size,
        "hidden_size": sizes.output_size,
        "num_layers": sizes.num_layers,
        "num_directions": sizes.directions,
        "dropout": problem.dropout.rate,
        "elements": elements,
    }
    for field, number in wanted.items():
        got = header[field].item()
        if got != number:
            raise ValueError(
                f"{name}: expected the {kind} of a call with {field} {number}, got {got}"
            )
    if header["cell"] != core.tape_cell(problem):
        end = ", direction 'reverse'" if problem.reverse else ""
        raise ValueError(
            f"{name}: expected the {kind} of a call with {problem.cell}{end}, "
            "got one of another cell or direction"
        )
    if header["form"] != form:
        other, _ = _SOURCES.get(header["form"].item(), ("tape of lstm_vjp", ""))
        raise ValueError(f"{name}: expected the {kind} that {source} returned, got a {other}")
    return tape, Recorded(int(header["key"]), int(header["counter"]))


def write_workspace_header(workspace: RealArray, tape: RealArray) -> None:
    """Write the tape's header into a workspace, with the form of a workspace."""
    header = workspace.reshape(-1)[:HEADER_ELEMENTS]
    header[:] = tape.reshape(-1)[:HEADER_ELEMENTS]
    header.view(np.uint8)[: _HEADER.itemsize].view(_HEADER)["form"] = GRADIENTS


def _in_order(array: Any, name: str) -> tuple[Any, RealArray]:
    """Return a tape in C order, and its header, which is copied from a device."""
    if isinstance(array, BorrowedArray):
        if not array.is_contiguous:
            raise ValueError(f"{name}: expected an array in C order, got strides {array.strides}")
        return array, array.reshape(-1)[:HEADER_ELEMENTS].to_host()
    tape: RealArray = array if array.flags.c_contiguous else array.copy(order="C")
    return tape, tape.reshape(-1)[:HEADER_ELEMENTS]
