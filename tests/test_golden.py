"""Results against values that torch.nn.LSTM gave once, stored by tools/make_golden.py."""

from pathlib import Path

import numpy as np
import pytest

import lstm_native
from tolerances import assert_close

with np.load(Path(__file__).parent / "data" / "golden_torch.npz") as stored:
    GOLDEN = dict(stored)
NAMES = sorted({key.split("/")[0] for key in GOLDEN if "/" in key})


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", NAMES)
def test_torch_gave_the_same(name, dtype):
    num_layers, bidirectional, bias, *batch_sizes = GOLDEN[f"{name}/options"].tolist()
    prefix = f"{name}/{dtype}/"
    case = {key.removeprefix(prefix): a for key, a in GOLDEN.items() if key.startswith(prefix)}
    got = lstm_native.lstm(
        case["x"],
        (case["h_0"], case["c_0"]),
        [case[key] for key in sorted(case) if key.startswith("w")],
        num_layers,
        0.0,
        False,
        bool(bidirectional),
        batch_sizes=batch_sizes or None,
        has_ih_bias=bool(bias),
        has_hh_bias=bool(bias),
    )
    for ours, key in zip(got, ("output", "h_n", "c_n"), strict=True):
        assert ours.dtype == dtype
        assert_close(ours, case[key], "peer")


def test_every_kind_of_case_is_there():
    assert len(NAMES) == 8
    assert {"packed", "bidirectional", "no_bias", "two_layers_bidirectional"} <= set(NAMES)
