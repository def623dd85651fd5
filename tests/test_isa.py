"""Which instruction set is built, which this CPU can run, which is in use: three questions."""

import json
import os

import pytest

import lstm_native
from few_and_all import few_isas
from fresh_interpreter import ask

ISA = lstm_native.get_config()["isa"]


def with_forced(isa):
    return ask("imported.py", LSTM_NATIVE_ISA=isa)


def isa_in_use(isa):
    code, output, error = with_forced(isa)
    assert code == 0, error
    return json.loads(output)["isa"]


def test_supported_are_built_and_baseline_is_supported():
    assert set(ISA["supported"]) <= set(ISA["built"])
    assert ISA["built"][-1] == ISA["supported"][-1] == "baseline"


def test_variants_differ_from_what_is_built_by_name():
    assert set(ISA["variants"]) <= set(ISA["built"])
    for variant, base in ISA["variants"].items():
        assert base in ISA["built"]
        assert ISA["built"].index(variant) < ISA["built"].index(base)
        assert (base in ISA["supported"]) >= (variant in ISA["supported"])


def test_the_widest_supported_one_is_in_use_unless_forced():
    assert ISA["in_use"] == os.environ.get("LSTM_NATIVE_ISA", ISA["supported"][0])
    assert isa_in_use("") == ISA["supported"][0]


@few_isas
def test_each_supported_one_can_be_forced(isa):
    assert isa_in_use(isa) == isa


@pytest.mark.parametrize("isa", sorted({"sse9", "AVX2", *ISA["built"]} - set(ISA["supported"])))
def test_a_forced_one_that_cannot_run_raises(isa):
    code, _, error = with_forced(isa)
    assert code != 0
    assert "ImportError: environment variable LSTM_NATIVE_ISA: " in error
    assert f"ISA '{isa}' can't run here" in error
    assert f"can run {', '.join(ISA['supported'])}" in error
