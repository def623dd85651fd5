"""What the CUDA target lacks is refused by name, before anything is launched."""

import numpy as np
import pytest

from calls import (
    call_lstm,
    call_vjp,
    flat_weight,
    gradient_arguments,
    gradient_for,
    operator_for,
    pack,
)
from lstm_native import Cell
from shapes import Shape, make_case

CELL = Cell(clip=1.0)
CASE = make_case(Shape("refused", 6, 3, 4, 5, 2), np.float32)


def called(**options):
    return operator_for(CASE, **options)(CASE.x, CASE.h0, CASE.c0, flat_weight(CASE))


def differentiated(**options):
    results = operator_for(CASE)(CASE.x, CASE.h0, CASE.c0, flat_weight(CASE))
    return gradient_for(CASE, **options)(*gradient_arguments(CASE, flat_weight(CASE), results))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"cell": CELL}, r"cell: expected Cell\(\) on CUDA, got Cell\(clip=1.0\)"),
        ({"direction": "reverse"}, "direction: expected 'forward' on CUDA, got 'reverse'"),
    ],
)
def test_other_cells_and_directions(options, message):
    for call in (
        lambda: call_lstm(CASE, device="cuda", **options),
        lambda: call_vjp(CASE, device="cuda", **options),
        lambda: called(device="cuda", **options),
        lambda: differentiated(device="cuda", **options),
    ):
        with pytest.raises(ValueError, match=message):
            call()


def test_masks():
    mask = np.ones(CASE.x.shape[:2], bool)
    for call in (call_lstm, call_vjp):
        with pytest.raises(ValueError, match=r"mask: expected None on CUDA, got ndarray of shape"):
            call(CASE, device="cuda", mask=mask)


def test_cells_of_packed_weights():
    with pytest.raises(ValueError, match=r"cell: expected Cell\(\) on CUDA"):
        call_lstm(CASE, device="cuda", all_weights=pack(CASE, cell=CELL))
