"""Beside PyTorch and scikit-learn in one process, and in a DataLoader's workers (make parity)."""

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from calls import assert_same_bits, call_lstm, call_vjp, pack
from cancellation import CancelledError, cancel_at, checks
from few_and_all import few_of
from fresh_interpreter import ask
from own_threads import threads_that_run
from process_settings import settings
from shapes import Shape, make_case

torch = pytest.importorskip("torch", reason="PyTorch is not installed: make parity runs these")
import lstm_native.torch  # noqa: E402 -- which needs it

pytestmark = pytest.mark.parity


@few_of("method", ["fork", "forkserver", "spawn"], ["fork", "spawn"])
def test_a_data_loader(method):
    code, output, error = ask("data_loader.py", method)
    assert (code, output) == (0, "12 True"), error


@pytest.mark.parametrize("threads", [1, 2])
def test_no_more_threads_than_told_beside_torch_and_scikit_learn(threads):
    cluster = pytest.importorskip("sklearn.cluster")
    case = make_case(Shape("wide", 100, 8, 300, 264), np.float32)
    packed = pack(case)
    expected = call_lstm(case, all_weights=packed, num_threads=1)
    outputs, pullback = call_vjp(case, num_threads=threads)
    before = settings()
    torch.rand(500, 500) @ torch.rand(500, 500)
    points = np.random.default_rng(0).standard_normal((2000, 8))
    cluster.KMeans(5, n_init=1, random_state=0).fit(points)
    number = torch.get_num_threads()
    calls = (lambda: call_lstm(case, all_weights=packed, num_threads=threads),)
    for call in (*calls, lambda: pullback(*outputs)):
        assert threads_that_run(call) <= threads
    assert torch.get_num_threads() == number
    after = settings()
    assert {k: v for k, v in after.items() if k != "pools"} == {
        k: v for k, v in before.items() if k != "pools"
    }
    assert_same_bits(call_lstm(case, all_weights=packed, num_threads=threads), expected)


def test_torchs_own_flushing_changes_nothing():
    case = make_case(Shape("small", 9, 5, 6, 20), np.float32)
    expected = call_lstm(case, num_threads=1)
    assert torch.set_flush_denormal(True)
    try:
        for threads in (1, 2):
            assert_same_bits(call_lstm(case, num_threads=threads), expected)
        assert (torch.full((4,), 1e-40) * 1.0 == 0).all()
    finally:
        torch.set_flush_denormal(False)
    assert (torch.full((4,), 1e-40) * 1.0 != 0).all()


# --- lstm_native.torch.LSTM -----------------------------------------------------------------------


def make_module(num_layers=2):
    torch.manual_seed(0)
    return lstm_native.torch.LSTM(24, 72, num_layers=num_layers)


def trained(module, x):
    module.zero_grad()
    x = x.clone().requires_grad_()
    output, (h_n, c_n) = module(x)
    (output.sum() + h_n.sum() + c_n.sum()).backward()
    gradients = [parameter.grad for parameter in module.parameters()]
    return [array.detach().numpy().copy() for array in (output, h_n, c_n, x.grad, *gradients)]


def test_a_module_changes_no_setting():
    module, x = make_module(), torch.rand(20, 8, 24)
    for call in (lambda: module(x), lambda: trained(module, x)):
        call()  # PyTorch's own first call starts its threads
        before = settings(), torch.get_num_threads(), torch.get_num_interop_threads()
        call()
        assert (settings(), torch.get_num_threads(), torch.get_num_interop_threads()) == before


def test_many_threads_with_modules():
    x = torch.rand(20, 8, 24)
    shared = make_module().eval()
    with torch.inference_mode():
        expected = [shared(x)[0].numpy()]
    expected += trained(make_module(), x)
    modules = [make_module() for _ in range(6)]  # here: PyTorch has one seed for all threads

    def work(own):
        found = []
        for _ in range(8):
            with torch.inference_mode():
                output = shared(x)[0].numpy()
            found.append([output, *trained(own, x)])
        return found

    with ThreadPoolExecutor(6) as pool:
        for results in pool.map(work, modules):
            for got in results:
                assert_same_bits(got, expected)


def test_a_module_is_cancelled():
    module = make_module()
    x = torch.rand(20, 8, 24)
    outputs = module(x)[0].sum()

    def forward():
        with torch.inference_mode():
            module(x)

    def backward():
        outputs.backward(retain_graph=True)

    for call in (forward, backward):
        for number in (0, len(checks(call)) // 2):
            with pytest.raises(CancelledError):
                cancel_at(call, number)
    expected = trained(make_module(), torch.ones(5, 2, 24))
    assert_same_bits(trained(module, torch.ones(5, 2, 24)), expected)


def test_a_modules_memory_that_cannot_be_had():
    module = make_module(1)
    with pytest.raises(MemoryError):
        module(torch.ones(1, 1, 24).expand(2**40, 1, 24))
    assert module(torch.ones(5, 2, 24))[0].shape == (5, 2, 72)
