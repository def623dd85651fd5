"""PyTorch's tensors on a real device, in and out without a copy."""

import warnings

import numpy as np
import pytest

import lstm_native
from calls import call_lstm, call_vjp, draw_like, flat_gradients
from comparison import assert_same
from shapes import Shape, make_case

with warnings.catch_warnings():  # of packages that PyTorch imports
    warnings.simplefilter("ignore")
    torch = pytest.importorskip("torch", reason="PyTorch is not installed")
    if not torch.cuda.is_available():
        pytest.skip("PyTorch sees no CUDA device", allow_module_level=True)


@pytest.mark.parametrize("stream", ["default", "own"])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_tensors(dtype, stream):
    case = make_case(Shape("torch", 30, 4, 8, 16, 2), dtype, seed=1)
    outputs, pullback = call_vjp(case)
    given = draw_like(outputs)
    expected = flat_gradients(pullback(*given))
    streams = {"default": torch.cuda.current_stream(), "own": torch.cuda.Stream()}
    with torch.cuda.stream(streams[stream]):
        there = [torch.from_numpy(a).cuda() for a in (case.x, case.h0, case.c0, *case.all_weights)]
        gradients = [torch.from_numpy(a).cuda() for a in given]
        arrays = {
            "input": there[0],
            "initial_states": tuple(there[1:3]),
            "all_weights": there[3:],
            "device": lstm_native.cuda.Device(stream=torch.cuda.current_stream()),
        }
        for _ in range(3):
            got, pullback_there = call_vjp(case, **arrays)
            tensors = [torch.from_dlpack(array) for array in got]
            assert tensors[0].data_ptr() == got[0].pointer
            assert_same([tensor.cpu().numpy() for tensor in tensors], outputs)
            back = [
                torch.from_dlpack(array) for array in flat_gradients(pullback_there(*gradients))
            ]
            assert_same([tensor.cpu().numpy() for tensor in back], expected)


def test_a_tensor_that_records_gradients_is_refused():
    case = make_case(Shape("torch", 3, 2, 4, 5), np.float32)
    x = torch.from_numpy(case.x).cuda().requires_grad_()
    with pytest.raises(TypeError, match="input: its __dlpack__ failed"):
        call_lstm(case, input=x, device="cuda")
