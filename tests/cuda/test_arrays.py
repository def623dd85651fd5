"""Arrays on the device: what other libraries hand in, and what they can do with results."""

import numpy as np
import pytest

import lstm_native
from calls import call_lstm, call_vjp, draw_like, flat_gradients, flat_weight, operator_for
from comparison import assert_same, on_device, to_host
from lstm_native.cuda import Device, DeviceArray, to_device
from shapes import Shape, make_case

SHAPE = Shape("device", 6, 3, 4, 5, 2, True)


class Foreign:
    """Another library's array: of the two protocols, those that are asked for."""

    def __init__(self, array, *, interface=True, dlpack=True, **changes):
        self._array = array
        self.asked_stream = None
        if interface:
            self.__cuda_array_interface__ = {**array.__cuda_array_interface__, **changes}
        if dlpack:
            self.__dlpack_device__ = array.__dlpack_device__
            self.__dlpack__ = self._dlpack

    def _dlpack(self, stream=None):
        self.asked_stream = stream
        return self._array.__dlpack__(stream=stream)


@pytest.fixture
def case():
    return make_case(SHAPE, np.float32, seed=2)


def there(case, wrap=lambda array: array):
    x, h0, c0, *weights = map(wrap, on_device(case.x, case.h0, case.c0, *case.all_weights))
    return {"input": x, "initial_states": (h0, c0), "all_weights": weights, "device": "cuda"}


@pytest.mark.parametrize(
    "protocols", [{}, {"dlpack": False}, {"interface": False}], ids=["both", "interface", "dlpack"]
)
def test_arrays_of_other_libraries(case, protocols):
    got = call_lstm(case, **there(case, lambda array: Foreign(array, **protocols)))
    assert all(isinstance(array, DeviceArray) for array in got)
    assert_same(to_host(got), call_lstm(case))


def test_gradients_stay_on_the_device(case):
    outputs, pullback = call_vjp(case)
    given = draw_like(outputs)
    _, pullback_there = call_vjp(case, **there(case))
    gradients = flat_gradients(pullback_there(*map(to_device, given)))
    assert all(isinstance(array, DeviceArray) for array in gradients)
    assert_same(to_host(gradients), flat_gradients(pullback(*given)))
    mixed = flat_gradients(pullback_there(given[0], to_device(given[1]), None))
    assert_same(to_host(mixed), flat_gradients(pullback(given[0], given[1], None)))


def test_the_operator_on_the_device(case):
    net = operator_for(case, 0.5)
    sizes = (4, 5, 2, True, True, 0.5)
    grad = lstm_native.LSTMGrad(*sizes)
    w = flat_weight(case)
    expected = net(case.x, case.h0, case.c0, w, state=np.array([[3], [4]]))
    d = draw_like(expected[:3])
    x, h0, c0, w_there = on_device(case.x, case.h0, case.c0, w)
    got = net(x, h0, c0, w_there, state=expected[4], device="cuda")
    assert isinstance(got[3], DeviceArray)
    assert_same(to_host(got[:4]), expected[:4])
    arrays = (x, h0, c0, w_there, *got[:3], *on_device(*d), got[3])
    wanted = grad(case.x, case.h0, case.c0, w, *expected[:3], *d, *expected[3:])
    assert_same(to_host(grad(*arrays, expected[4], device="cuda")), wanted)
    *data, work = grad.data(*arrays, device="cuda")
    assert_same(to_host(data), wanted[:3])
    dw = grad.weights(x, got[3], work, device="cuda")
    assert_same([dw.to_host()], [wanted[3]])
    again = grad.weights(x, got[3], work, out=dw, accumulate=True, device="cuda")
    assert again is dw
    assert_same([dw.to_host()], [2 * wanted[3]])
    assert net(x, h0, c0, w_there, training=False, device="cuda")[3].shape == (0, 1)
    with pytest.raises(ValueError, match="reserve: expected what a training call"):
        grad(*arrays[:-1], to_device(np.zeros(got[3].shape, np.float32)), device="cuda")


def test_views(case):
    """Any strides, as torch's transposed and CuPy's sliced arrays have them."""
    x = to_device(np.ascontiguousarray(case.x.transpose(2, 0, 1)))
    strides = tuple(x.strides[k] for k in (1, 2, 0))
    turned = DeviceArray(x.pointer, case.x.shape, strides, x.dtype, (0, 0), x)
    backwards = to_device(np.ascontiguousarray(case.h0[:, ::-1]))
    first = backwards.pointer + (case.h0.shape[1] - 1) * backwards.strides[1]
    strides = (backwards.strides[0], -backwards.strides[1], backwards.strides[2])
    h0 = DeviceArray(first, case.h0.shape, strides, x.dtype, (0, 0), backwards)
    weights = [to_device(np.ascontiguousarray(w.T)).T for w in case.all_weights]
    changes = {**there(case), "input": turned, "all_weights": weights}
    changes["initial_states"] = (h0, changes["initial_states"][1])
    assert_same(to_host(call_lstm(case, **changes)), call_lstm(case))
    batch_first = to_device(np.ascontiguousarray(case.x.swapaxes(0, 1)))
    output = call_lstm(case, **{**changes, "input": batch_first, "batch_first": True})[0]
    assert_same([output.to_host().swapaxes(0, 1)], [call_lstm(case)[0]])


def test_a_device_array_by_itself():
    host = np.arange(24, dtype=np.float64).reshape(2, 3, 4)
    array = to_device(host)
    assert (array.shape, array.dtype, array.ndim, array.size) == ((2, 3, 4), np.float64, 3, 24)
    assert len(array) == 2
    assert array.nbytes == host.nbytes
    for view, expected in [
        (array, host),
        (array.T, host.T),
        (array.swapaxes(0, 2), host.swapaxes(0, 2)),
        (array.reshape(-1), host.reshape(-1)),
        (array.reshape(6, -1)[2:5], host.reshape(6, -1)[2:5]),
        (to_device(host[:0]), host[:0]),
    ]:
        np.testing.assert_array_equal(view.to_host(), expected)
    assert array.__cuda_array_interface__["stream"] == 1
    assert array.__cuda_array_interface__["strides"] is None
    with pytest.raises(ValueError, match="can't view"):
        array.T.reshape(-1)
    with pytest.raises(IndexError, match="without a step"):
        array[::2]
    assert repr(array) == "<DeviceArray: shape (2, 3, 4), float64, on CUDA device 0>"


def test_results_reach_a_consumer_that_names_its_stream(case):
    got = call_lstm(case, **there(case))[0]
    assert got.__dlpack_device__() == (2, 0)
    again = Foreign(got, interface=False)
    changes = {**there(case), "input": to_device(np.zeros((6, 3, 4), np.float32))}
    del changes["input"]
    deep = make_case(Shape("next", 6, 3, 10, 5, 2, True), np.float32, seed=3)
    expected = call_lstm(deep, input=got.to_host())
    assert_same(to_host(call_lstm(deep, input=again, device="cuda")), expected)
    assert again.asked_stream == 1  # the default stream's number


def test_exports_that_are_not_offered(case):
    array = to_device(case.x)
    assert array.__dlpack__(max_version=(1, 0), dl_device=(2, 0), copy=False) is not None
    for options in ({"copy": True}, {"dl_device": (1, 0)}):
        with pytest.raises(BufferError, match="can't be exported"):
            array.__dlpack__(**options)


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"typestr": "<f2"}, TypeError, "input: expected dtype float32 or float64, got float16"),
        ({"typestr": ">f4"}, TypeError, "input: expected dtype float32 or float64, got >f4"),
        ({"mask": object()}, TypeError, "input: expected an array without a mask"),
        ({"shape": (6, 3)}, ValueError, "input: expected shape"),
    ],
)
def test_wrong_interfaces(case, change, error, message):
    changes = there(case)
    changes["input"] = Foreign(changes["input"], dlpack=False, strides=None, **change)
    with pytest.raises(error, match=message):
        call_lstm(case, **changes)


def test_a_producer_that_refuses_tells_why(case):
    class RequiresGrad:
        """As PyTorch's tensors do that record gradients."""

        @property
        def __cuda_array_interface__(self):
            raise RuntimeError("use var.detach()")

        def __dlpack_device__(self):
            return 2, 0

        def __dlpack__(self, stream=None):
            raise BufferError("Can't export tensors that require gradient, use tensor.detach()")

    with pytest.raises(TypeError, match=r"input: its __dlpack__ failed: .* use tensor\.detach"):
        call_lstm(case, input=RequiresGrad(), device="cuda")


def test_a_host_pointer_is_refused(case):
    changes = there(case)
    changes["input"] = Foreign(
        changes["input"], dlpack=False, data=(case.x.ctypes.data, False), stream=None
    )
    with pytest.raises(ValueError, match=r"input: .* which is on no device"):
        call_lstm(case, **changes)


def test_the_same_checks_as_on_the_cpu(case):
    changes = there(case)
    weights = [to_device(w.astype(np.float64)) for w in case.all_weights]
    with pytest.raises(TypeError, match=r"all_weights\[0\] .*: expected dtype float32, the same"):
        call_lstm(case, **{**changes, "all_weights": weights})
    states = (changes["initial_states"][0], to_device(case.c0[:, :2]))
    with pytest.raises(ValueError, match=r"initial_states\[1\] \(c_0\): expected shape"):
        call_lstm(case, **{**changes, "initial_states": states})
    net = operator_for(case)
    w = to_device(np.ascontiguousarray(flat_weight(case).reshape(-1, 2).T)).T
    with pytest.raises(ValueError, match="w: expected an array in C order"):
        net(case.x, case.h0, case.c0, w, device="cuda")


def test_the_cpu_refuses_device_arrays(case):
    with pytest.raises(TypeError, match=r'input: .*device="cuda" takes it'):
        call_lstm(case, input=to_device(case.x))


@pytest.mark.parametrize(
    ("device", "error", "message"),
    [
        ("gpu", ValueError, "device: expected 'cpu', 'cuda' or a lstm_native.cuda.Device, got str"),
        (0, TypeError, "device: expected 'cpu', 'cuda' or a lstm_native.cuda.Device, got int"),
        (Device(99), ValueError, "device: expected an index below"),
    ],
)
def test_wrong_devices(case, device, error, message):
    with pytest.raises(error, match=message):
        call_lstm(case, device=device)


def test_devices():
    class TorchStream:
        cuda_stream = 48

    class CupyStream:
        ptr = 64

    assert Device(stream=TorchStream()).stream == 48
    assert Device(stream=CupyStream()).stream == 64
    assert Device(stream=1).stream == 0
    assert repr(Device(0, 48, tf32=True)) == "Device(0, 48, tf32=True)"
    with pytest.raises(TypeError, match="stream: expected an int"):
        Device(stream="0")
    with pytest.raises(ValueError, match="stream: expected a cudaStream_t"):
        Device(stream=-1)
    with pytest.raises(TypeError, match="tf32: expected a bool"):
        Device(tf32=1)
    assert lstm_native.cuda.is_available()
    assert lstm_native.cuda.why_unavailable() is None
