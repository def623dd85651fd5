"""Streams of callers, and machines without a device, which only the emulated machine can show."""

import numpy as np
import pytest

import lstm_native
from calls import call_lstm, operator_for
from comparison import assert_same
from lstm_native.cuda import Device, to_device
from shapes import Shape, make_case

SHAPE = Shape("streams", 20, 3, 4, 5, 2)


@pytest.fixture
def case():
    return make_case(SHAPE, np.float32, seed=2)


@pytest.mark.parametrize("blocking", [True, False])
def test_the_callers_stream(machine, case, blocking):
    """Arrays of one stream, a call on another, results taken by a third: all is ordered."""
    streams = [machine.new_stream(blocking) for _ in range(3)]
    for _ in range(3):
        x = to_device(case.x, Device(stream=streams[0]))
        got = call_lstm(case, input=x, device=Device(stream=streams[1]))
        assert all(array.stream == streams[1] for array in got)
        deep = make_case(Shape("next", 20, 3, 5, 5, 2), np.float32, seed=3)
        taken = call_lstm(deep, input=got[0], device=Device(stream=streams[2]))
        expected = call_lstm(deep, input=call_lstm(case)[0])
        assert_same([array.to_host() for array in taken], expected)


def test_without_a_stream_the_inputs_own_is_taken(machine, case):
    stream = machine.new_stream(False)
    x = to_device(case.x, Device(stream=stream))
    assert call_lstm(case, input=x, device="cuda")[0].stream == stream
    assert call_lstm(case, input=to_device(case.x), device="cuda")[0].stream == 0


def test_a_producer_that_names_no_stream_is_read_at_once(machine, case):
    """So the emulated machine finds that nothing orders it: the check above is not for nothing."""
    stream = machine.new_stream(False)
    x = to_device(case.x, Device(stream=stream))
    machine_sees = dict(x.__cuda_array_interface__, stream=None)
    silent = type("Silent", (), {"__cuda_array_interface__": machine_sees})()
    # The host waited for the copy, but not for what the stream does to the array now.
    lstm_native._cuda_extension.load().clear(x.pointer, x.nbytes, 0, stream)
    with pytest.raises(RuntimeError, match="unordered read"):
        call_lstm(case, input=silent, device=Device(stream=machine.new_stream(False)))


def test_no_device(machine, case):
    machine.set_devices(0)
    message = "this machine has no CUDA device: no CUDA-capable device is detected"
    with pytest.raises(RuntimeError, match=message):
        call_lstm(case, device="cuda")
    with pytest.raises(RuntimeError, match=message):
        to_device(case.x)
    assert not lstm_native.cuda.is_available()
    assert message in lstm_native.cuda.why_unavailable()
    net = operator_for(case, device="cuda")  # is made; a call is refused
    with pytest.raises(RuntimeError, match=message):
        net(case.x, case.h0, case.c0, np.zeros(net.weight_size, np.float32))
