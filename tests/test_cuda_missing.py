"""`device=` in a build without the CUDA target, and where the target can't be loaded."""

import ctypes
import importlib

import numpy as np
import pytest

import lstm_native
from calls import call_lstm, call_vjp, flat_weight, operator_for
from fresh_interpreter import ask
from shapes import make_case, shapes_by_name

HAS_TARGET = importlib.util.find_spec("lstm_native._cuda") is not None
without_target = pytest.mark.skipif(HAS_TARGET, reason="this build has the CUDA target")


@pytest.fixture(autouse=True)
def _not_loaded(monkeypatch):
    """No earlier test has loaded the target."""
    monkeypatch.setattr(lstm_native._cuda_extension, "_loaded", None)


@pytest.fixture
def case():
    return make_case(shapes_by_name()["two_layers"], np.float32)


def test_what_is_no_device():
    with pytest.raises(ValueError, match=r"device: expected 'cuda' or a .*Device, got 'cpu'"):
        lstm_native.cuda.to_device(np.zeros(3, np.float32), "cpu")


@without_target
def test_every_interface_says_that_there_is_no_target(case):
    net = operator_for(case, device="cuda")
    w = flat_weight(case)
    outputs = net(case.x, case.h0, case.c0, w, device="cpu")
    grad = lstm_native.LSTMGrad(7, 10, 2, True, False, 0.0)
    arrays = (case.x, case.h0, case.c0, w, *outputs[:3], *outputs[:3], outputs[3])
    calls = [
        lambda: call_lstm(case, device="cuda"),
        lambda: call_lstm(case, device=lstm_native.cuda.Device()),
        lambda: call_vjp(case, device="cuda"),
        lambda: net(case.x, case.h0, case.c0, w),
        lambda: grad(*arrays, device="cuda"),
        lambda: grad.data(*arrays, device="cuda"),
        lambda: grad.weights(case.x, outputs[3], outputs[3], device="cuda"),
        lambda: lstm_native.cuda.to_device(case.x),
        lstm_native.cuda.clear_plans,
    ]
    for call in calls:
        with pytest.raises(RuntimeError, match="has no CUDA target; build one with") as caught:
            call()
    assert not lstm_native.cuda.is_available()
    assert lstm_native.cuda.why_unavailable() == str(caught.value)


def test_a_target_that_cannot_be_loaded(case, monkeypatch):
    def fail(name):
        raise ImportError("libcublas.so.13: cannot open shared object file")

    monkeypatch.setattr(importlib, "import_module", fail)
    with pytest.raises(RuntimeError, match=r"can't be loaded: libcublas\.so\.13"):
        call_lstm(case, device="cuda")


def test_cublas_of_another_folder_is_loaded_first(tmp_path, monkeypatch):
    """An environment on top of the one that has PyPI's cuBLAS: the two folders are apart."""
    library = tmp_path / "nvidia" / "cu13" / "lib" / "libcublas.so.13"
    library.parent.mkdir(parents=True)
    library.touch()
    events = []

    def import_module(name):
        if not events:
            raise ImportError("libcublas.so.13: cannot open shared object file: No such file")
        events.append(name)

    monkeypatch.setattr(importlib, "import_module", import_module)
    monkeypatch.setattr(ctypes, "CDLL", events.append)
    monkeypatch.syspath_prepend(str(tmp_path))
    lstm_native._cuda_extension.load()
    assert events == [str(library), "lstm_native._cuda"]


def test_the_cpu_is_the_default_and_can_be_named(case):
    for got, expected in zip(call_lstm(case, device="cpu"), call_lstm(case), strict=True):
        np.testing.assert_array_equal(got, expected)


def test_nothing_of_cuda_is_loaded_by_a_call_on_the_cpu():
    code, _, error = ask("no_cuda.py")
    assert code == 0, error
