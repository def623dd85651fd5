"""Whatever request for memory fails: MemoryError, and nothing is left; nor of a cancelled call."""

import json

import pytest

from fresh_interpreter import ask
from native_libraries import compiled

# What asks for memory of the core's or for arrays' data only where it is called first, or never.
NONE = {"explain", "Stream.state", "Stream.reset", "LSTM", "LSTMGrad", "MemoryPool.clear"}


@pytest.fixture(scope="module")
def shim(tmp_path_factory):
    return str(compiled("allocations", tmp_path_factory.mktemp("native")))


@pytest.mark.parametrize(
    "public",
    [
        ["lstm", "pack_weights", "PackedWeights", "Stream", "MemoryPool", "explain"],
        pytest.param(["lstm_vjp", "Pullback", "LSTM", "LSTMGrad"], marks=pytest.mark.thorough),
    ],
    ids=" ".join,
)
def test_a_failure_of_any_request(public, shim):
    code, output, error = ask("failures.py", *public, LD_PRELOAD=shim)
    assert code == 0, error
    failures = json.loads(output)
    assert {name for name, count in failures.items() if count == 0} <= NONE
