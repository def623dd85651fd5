"""`make adapter` compares what computes the same (make parity)."""

import numpy as np
import pytest

from bench.measure.adapter_worker import make_step
from shapes import make_case, shapes_by_name
from tolerances import assert_close
from torch_pairs import torch

pytestmark = pytest.mark.parity


@pytest.mark.parametrize("training", [True, False])
def test_all_three_compute_the_same(training):
    case = make_case(shapes_by_name()["bi_two_layers"], np.float32, 3)
    before = torch.get_num_threads()
    try:
        expected, *others = (
            [np.asarray(result) for result in make_step(name, case, 2, training)()]
            for name in ("function", "module", "torch")
        )
    finally:
        torch.set_num_threads(before)
    assert len(expected) == (3 + len(case.all_weights) if training else 3)
    for results in others:
        for result, wanted in zip(results, expected, strict=True):
            scale = np.abs(wanted).max()
            assert_close(result / scale, wanted / scale, "peer gradient")
