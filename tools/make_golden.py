"""Writes tests/data/golden_torch.npz: what torch.nn.LSTM gives for a few small cases.

Their inputs and weights are stored beside the results. Needs PyTorch: python tools/make_golden.py
"""

from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

GOLDEN = Path(__file__).resolve().parents[1] / "tests" / "data" / "golden_torch.npz"

# name: seq_len, batch, input_size, hidden_size, num_layers, bidirectional, bias, batch_sizes
CASES: dict[str, tuple[int, int, int, int, int, bool, bool, list[int] | None]] = {
    "one_step": (1, 1, 3, 5, 1, False, True, None),
    "plain": (6, 3, 4, 9, 1, False, True, None),
    "no_bias": (4, 2, 5, 8, 1, False, False, None),
    "two_layers": (5, 2, 3, 7, 2, False, True, None),
    "bidirectional": (5, 3, 4, 6, 1, True, True, None),
    "two_layers_bidirectional": (4, 2, 3, 5, 2, True, True, None),
    "packed": (5, 4, 3, 6, 1, False, True, [4, 3, 3, 1, 1]),
    "packed_two_layers_bidirectional": (4, 5, 3, 4, 2, True, True, [5, 5, 2, 1]),
}


def run_case(name: str, dtype: torch.dtype) -> dict[str, NDArray[np.floating]]:
    """Return one case's inputs, weights and results, by their key in the file."""
    seq_len, batch, input_size, hidden_size, layers, bidirectional, bias, sizes = CASES[name]
    torch.manual_seed(len(name))
    lstm = torch.nn.LSTM(
        input_size, hidden_size, layers, bias=bias, bidirectional=bidirectional, dtype=dtype
    )
    rows = layers * (2 if bidirectional else 1)
    h_0 = torch.randn(rows, batch, hidden_size, dtype=dtype)
    c_0 = torch.randn(rows, batch, hidden_size, dtype=dtype)
    if sizes is None:
        x = torch.randn(seq_len, batch, input_size, dtype=dtype)
        output, (h_n, c_n) = lstm(x, (h_0, c_0))
    else:
        x = torch.randn(sum(sizes), input_size, dtype=dtype)
        packed = torch.nn.utils.rnn.PackedSequence(x, torch.tensor(sizes))
        packed_output, (h_n, c_n) = lstm(packed, (h_0, c_0))
        output = packed_output.data
    tensors = {"x": x, "h_0": h_0, "c_0": c_0, "output": output, "h_n": h_n, "c_n": c_n}
    tensors |= {f"w{k:02}": weight for k, weight in enumerate(lstm.parameters())}
    return {key: tensor.detach().numpy() for key, tensor in tensors.items()}


def main() -> None:
    torch.set_num_threads(1)
    arrays: dict[str, NDArray[np.generic]] = {"torch_version": np.array(torch.__version__)}
    for name, (_, _, _, _, layers, bidirectional, bias, sizes) in CASES.items():
        options = [layers, bidirectional, bias, *(sizes or [])]
        arrays[f"{name}/options"] = np.array(options, np.int64)
        for dtype in (torch.float32, torch.float64):
            short = str(dtype).removeprefix("torch.")
            for key, array in run_case(name, dtype).items():
                arrays[f"{name}/{short}/{key}"] = array
    GOLDEN.parent.mkdir(exist_ok=True)
    np.savez_compressed(GOLDEN, **arrays)
    print(f"{GOLDEN.name}: {GOLDEN.stat().st_size} bytes, torch {torch.__version__}")


if __name__ == "__main__":
    main()
