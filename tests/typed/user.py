"""A typed program: it uses the whole package, it runs, and type checkers accept it."""

from __future__ import annotations

from array import array
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

import lstm_native
from lstm_native import cuda, onnx

if TYPE_CHECKING:
    from typing_extensions import assert_type
else:

    def assert_type(value, _):
        return value


Floats = npt.NDArray[np.float32]


def weights_of(sizes: tuple[int, int]) -> list[Floats]:
    inputs, hidden = sizes
    rng = np.random.default_rng(0)
    shapes = [(4 * hidden, inputs), (4 * hidden, hidden), (4 * hidden,), (4 * hidden,)]
    return [rng.uniform(-0.3, 0.3, shape).astype(np.float32) for shape in shapes]


def call(x: Floats, weights: lstm_native.Weights) -> Floats:
    output, h_n, c_n = lstm_native.lstm(x, None, weights, 1, 0.0, False, False)
    assert_type(output, Floats)
    lstm_native.lstm(x, (h_n, c_n), weights, num_layers=1, bidirectional=False, lengths=[3, 0, 5])
    mask = np.ones(x.shape[:2], np.bool_)
    lstm_native.lstm(x, None, weights, 1, 0.0, False, False, mask=mask, masked_output="last")
    listed = [[True, False, True]] * len(x)
    lstm_native.lstm(x, None, weights, 1, 0.0, False, False, mask=listed)
    return output


def in_double_precision(x: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    weights = [array.astype(np.float64) for array in weights_of((8, 16))]
    return lstm_native.lstm(x, None, weights, 1, 0.0, False, False)[0]


def other_arrays(x: lstm_native.ArrayLike, untyped: Any) -> None:
    weights = weights_of((2, 16))
    nested = [w.tolist() for w in weights]
    lstm_native.lstm([[[0.5, 1.0]]], None, nested, 1, 0.0, False, False)
    lstm_native.lstm(x, None, weights, 1, 0.0, False, False)
    lstm_native.lstm(untyped, None, weights, 1, 0.0, False, False)
    biases = array("f", [0.0] * 64)
    lstm_native.pack_weights([*weights[:2], biases, biases], 1, False)


def packed(x: Floats) -> None:
    weights = lstm_native.pack_weights(weights_of((8, 16)), 1, False, weight_dtype="bfloat16")
    output, _, _ = lstm_native.lstm(x, None, weights)
    stream = lstm_native.Stream(weights, batch=3, initial_states=None)
    frames: list[Floats] = [*x]
    assert_type(stream.step(frames[0]), Floats)
    stream.step(frames[1], out=output[1])
    stream.state = (np.zeros((1, 3, 16), np.float32), np.zeros((1, 3, 16), np.float32))
    hidden, cell = stream.state
    weight_dtype: str | None = weights.weight_dtype
    assert_type(weights.weight_error, float)
    fast = lstm_native.pack_weights(
        weights_of((8, 16)), 1, False, weight_dtype="int8", compute="int8"
    )
    compute: str | None = fast.compute
    print(compute, lstm_native.explain(x, None, fast).instructions)
    print(hidden.shape, cell.shape, weight_dtype, [w.shape for w in weights.unpack()])


def projected(x: Floats, arrays: list[Floats]) -> lstm_native.LSTM:
    cell = lstm_native.Cell(proj_size=4)
    weights = lstm_native.pack_weights(arrays, 1, False, cell=cell)
    assert_type(lstm_native.lstm(x, None, weights)[0], Floats)
    about = lstm_native.explain(x, None, weights)
    print(weights.cell.proj_size, about.layers[0].projection_weights)
    return lstm_native.LSTM(8, 16, 1, True, False, 0.0, cell=cell)


def gradients(x: Floats) -> list[Floats]:
    weights = weights_of((8, 16))
    (output, _, _), pullback = lstm_native.lstm_vjp(x, None, weights, 1, 0.0, True, False)
    d_input, (d_h_0, d_c_0), d_weights = pullback(np.ones_like(output))
    print(d_input.shape, d_h_0.sum(), d_c_0.sum())
    *_, only = pullback(output, needs=["weights"])
    if only is not None:
        d_weights = only
    return [np.subtract(w, d, dtype=np.float32) for w, d in zip(weights, d_weights, strict=True)]


def operator(x: Floats, flat: Floats) -> Floats:
    sizes = (8, 16, 1, True, False, 0.0)
    net = lstm_native.LSTM(*sizes, weight_layout="mindspore_gpu")
    h = c = np.zeros((1, 3, 16), np.float32)
    y, hy, cy, reserve, state = net(x, h, c, flat)
    assert_type(state, npt.NDArray[np.int64])
    grad = lstm_native.LSTMGrad(*sizes)
    dx, _, _, dw = grad(x, h, c, flat, y, hy, cy, np.ones_like(y), hy, cy, reserve, state)
    *_, workspace = grad.data(x, h, c, flat, y, hy, cy, np.ones_like(y), hy, cy, reserve)
    assert_type(grad.weights(x, reserve, workspace), Floats)
    assert_type(grad.weights(x, reserve, workspace, out=dw, accumulate=True), Floats)
    return dx


def cells(x: Floats) -> Floats:
    cell = lstm_native.Cell(activations=("HardSigmoid", "Tanh", "Tanh"), alphas=[0.3], clip=3.0)
    bound: float | None = cell.clip
    weights = lstm_native.pack_weights(weights_of((8, 16)), 1, False, cell=cell)
    lstm_native.lstm(x, None, weights, direction="reverse")
    lstm_native.LSTM(8, 16, 1, True, False, 0.0, cell=lstm_native.Cell(peepholes=True))
    w, r = (array[None] for array in weights_of((8, 16))[:2])
    y, _, _ = onnx.lstm(x, w, r, activations=["Relu", "Tanh", "Tanh"], clip=bound, layout=1)
    assert_type(y, Floats)
    return y


def on_a_device(x: Floats, there: cuda.DeviceArray) -> None:
    weights = weights_of((8, 16))
    output, _, _ = lstm_native.lstm(x, None, weights, 1, 0.0, False, False, device="cuda")
    assert_type(output, Floats)  # results are where the input is
    device = cuda.Device(0, tf32=True)
    results, pullback = lstm_native.lstm_vjp(
        there, None, weights, 1, 0.0, True, False, device=device
    )
    assert_type(results[0], cuda.DeviceArray)
    assert_type(pullback()[0], cuda.DeviceArray)
    print(results[0].to_host().mean(), cuda.to_device(x, device).nbytes)


def explanations(x: Floats) -> str:
    weights = lstm_native.pack_weights(weights_of((8, 16)), 1, False)
    of_call = lstm_native.explain(x, None, weights, num_threads=2)
    of_sizes = lstm_native.explain(seq_len=1, batch=1, input_size=8, hidden_size=16)
    bound: str = of_sizes.layers[0].bound
    return f"{of_call}\n{bound}"


def settings() -> int:
    lstm_native.set_num_threads(None)
    lstm_native.manual_seed(7)
    with lstm_native.MemoryPool() as pool:
        pool.clear()
    return lstm_native.get_num_threads()


def main() -> None:
    x = np.ones((5, 3, 8), np.float32)
    call(x, weights_of((8, 16)))
    in_double_precision(x.astype(np.float64))
    other_arrays(x[:, :, :2], x[:, :, :2])
    packed(x)
    gradients(x)
    operator(x, np.zeros(lstm_native.LSTM(8, 16, 1, True, False, 0.0).weight_size, np.float32))
    cells(x)
    explanations(x)
    settings()
    if cuda.is_available():
        on_a_device(x, cuda.to_device(x))


if __name__ == "__main__":
    main()
