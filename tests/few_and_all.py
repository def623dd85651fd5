"""Parameters: a few are always tried, all of them with `--thorough`."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
import pytest

import lstm_native
from calls import DTYPES
from shapes import TEST_SHAPES


def few_of(
    name: str, values: Iterable[Any], few: Iterable[Any], ids: Callable[[Any], str] | None = None
) -> pytest.MarkDecorator:
    """Parametrize a test; all values but the few are marked as thorough.

    A name of several parameters, as "a, b", has tuples as its values. A test with several such
    decorators is always tried with the few of each.
    """
    wanted = list(few)
    parameters = ((value, value if "," in name else (value,)) for value in values)
    marked = [
        pytest.param(*parameter, marks=[] if value in wanted else pytest.mark.thorough)
        for value, parameter in parameters
    ]
    return pytest.mark.parametrize(name, marked, ids=ids)


# Whether gates are kept or recomputed, and the type: each of both; the product is thorough.
every_tape_and_dtype = few_of(
    "recompute, dtype",
    itertools.product((False, True), DTYPES),
    [(False, np.float32), (True, np.float64)],
)
few_dtypes = few_of("dtype", DTYPES, [np.float32])

_ISA = lstm_native.get_config()["isa"]
few_isas = few_of("isa", _ISA["supported"], [_ISA["in_use"], "baseline"])

# The shape that is left out takes longer than all others together.
most_shapes = few_of(
    "shape",
    TEST_SHAPES,
    [shape for shape in TEST_SHAPES if shape.name != "large_input_matrix"],
    ids=lambda shape: shape.name,
)
