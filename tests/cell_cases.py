"""Cells, as arguments of `lstm_native.Cell` and of the reference, and cases with their weights."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from lstm_native import Cell
from reference_cell import ReferenceCell
from shapes import Case, Shape, make_case

# Every property by itself; and all of them, with activations for each direction, whose values are
# consumed in the order of the activations that take one.
CELLS: dict[str, dict[str, Any]] = {
    "coupled": {"input_forget": True},
    "clip": {"clip": 0.4},
    "activations": {
        "activations": ("HardSigmoid", "Softsign", "ScaledTanh"),
        "alphas": [0.3, 1.2],
        "betas": [0.4, 0.7],
    },
    "peepholes": {"peepholes": True},
    "coupled peepholes": {"input_forget": True, "peepholes": True},
    "all": {
        "activations": ("HardSigmoid", "Elu", "Tanh", "Sigmoid", "ScaledTanh", "Softsign"),
        "alphas": [0.3, 0.8, 1.1],
        "betas": [0.6, 0.9],
        "clip": 0.6,
        "input_forget": True,
        "peepholes": True,
    },
}


def arguments_of(name: str, bidirectional: bool) -> dict[str, Any]:
    """What the cell is made of, for so many directions."""
    arguments = CELLS[name]
    if bidirectional or len(arguments.get("activations", ())) != 6:
        return arguments
    first = {"activations": ("HardSigmoid", "Elu", "Tanh"), "alphas": [0.3, 0.8], "betas": [0.6]}
    return {**arguments, **first}


def both_cells(name: str, bidirectional: bool) -> tuple[Cell, ReferenceCell]:
    arguments = arguments_of(name, bidirectional)
    return Cell(**arguments), ReferenceCell(**arguments)


def case_for(cell: Cell, shape: Shape, dtype: Any, seed: int = 0) -> Case:
    """A case whose weights include peepholes where the cell has them."""
    case = make_case(shape, dtype, seed=seed)
    return with_peepholes(case, seed) if cell.peepholes else case


def with_peepholes(case: Case, seed: int = 0) -> Case:
    """The case with peepholes behind the biases: before w_hr, where there is one."""
    rng = np.random.default_rng(1000 + seed)
    shape = case.shape
    cells = shape.num_layers * shape.num_directions
    of_cell = len(case.all_weights) // cells
    before_peephole = of_cell - (case.h0.shape != case.c0.shape)
    arrays: list[Any] = []
    for cell in range(cells):
        own = case.all_weights[cell * of_cell : (cell + 1) * of_cell]
        drawn = rng.uniform(-0.5, 0.5, 3 * shape.hidden_size).astype(case.x.dtype)
        arrays += [*own[:before_peephole], drawn, *own[before_peephole:]]
    return replace(case, all_weights=tuple(arrays))
