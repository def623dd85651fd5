"""Whatever request for memory fails: MemoryError, and nothing is left; nor of a cancelled call."""

import json

import pytest

from few_and_all import few_of
from fresh_interpreter import ask
from native_libraries import compiled

# What asks for memory of the core's or for arrays' data only where it is called first, or never.
NONE = {"explain", "Stream.state", "Stream.reset", "LSTM", "LSTMGrad", "MemoryPool.clear"}


@pytest.fixture(scope="module")
def shim(tmp_path_factory):
    return str(compiled("allocations", tmp_path_factory.mktemp("native")))


PUBLIC = (
    ["lstm", "pack_weights", "PackedWeights", "Stream", "MemoryPool", "explain"],
    ["lstm_vjp", "Pullback", "LSTM", "LSTMGrad"],
)


@few_of("public", PUBLIC, PUBLIC[:1], ids=" ".join)
def test_a_failure_of_any_request(public, shim):
    code, output, error = ask("failures.py", *public, LD_PRELOAD=shim)
    assert code == 0, error
    failures = json.loads(output)
    assert {name for name, count in failures.items() if count == 0} <= NONE
