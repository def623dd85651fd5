"""Beside PyTorch and scikit-learn in one process, and in a DataLoader's workers (make parity)."""

import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from calls import assert_same_bits, call_lstm, call_vjp, pack
from shapes import Shape, make_case
from test_settings import busy_threads, settings

torch = pytest.importorskip("torch", reason="PyTorch is not installed: make parity runs these")
pytestmark = pytest.mark.parity

TESTS = str(Path(__file__).parent)
LOADER = """
import sys, warnings
warnings.simplefilter("ignore", DeprecationWarning)
sys.path.insert(0, {tests!r})
import numpy as np
import torch
import lstm_native
from calls import call_lstm, pack
from shapes import Shape, make_case

CASE = make_case(Shape("loader", 20, 8, 24, 72, 2, True), np.float32)
PACKED = pack(CASE)

class Sequences(torch.utils.data.Dataset):
    def __len__(self):
        return 12

    def __getitem__(self, index):
        return torch.from_numpy(call_lstm(CASE, all_weights=PACKED, num_threads=2)[0])

if __name__ == "__main__":
    module = torch.nn.LSTM(24, 72)
    module(torch.from_numpy(CASE.x))  # torch's threads, and ours, before there are workers
    expected = call_lstm(CASE, all_weights=PACKED, num_threads=2)[0]
    loader = torch.utils.data.DataLoader(
        Sequences(), batch_size=3, num_workers=2, multiprocessing_context={method!r})
    got = [item.numpy() for batch in loader for item in batch]
    print(len(got), all(item.tobytes() == expected.tobytes() for item in got))
"""


@pytest.mark.parametrize("method", ["fork", "forkserver", "spawn"])
def test_a_data_loader(method, tmp_path):
    program = tmp_path / "program.py"
    program.write_text(LOADER.format(tests=TESTS, method=method))
    done = subprocess.run(
        [sys.executable, str(program)], capture_output=True, text=True, check=False, timeout=120
    )
    assert (done.returncode, done.stdout.strip()) == (0, "12 True"), done.stderr


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
    time.sleep(1.0)  # until the others' threads are asleep
    calls = (lambda: call_lstm(case, all_weights=packed, num_threads=threads),)
    for call in (*calls, lambda: pullback(*outputs)):
        assert busy_threads(call)[0] <= threads
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
