"""Wrong calls, one a line: type checkers refuse each, or else refuse its comment as unused."""

import numpy as np

import lstm_native
from lstm_native import cuda, onnx

x = np.zeros((5, 3, 8), np.float32)
weights = [np.zeros((64, 8), np.float32), np.zeros((64, 16), np.float32)]
packed = lstm_native.pack_weights(weights, 1, False, has_ih_bias=False, has_hh_bias=False)

lstm_native.lstm("x", 5, None, 1, 0.0, False, False)  # type: ignore
lstm_native.lstm("x", None, weights, 1, 0.0, False, False)  # type: ignore
lstm_native.lstm(x, 5, weights, 1, 0.0, False, False)  # type: ignore
lstm_native.lstm(x, x, weights, 1, 0.0, False, False)  # type: ignore
lstm_native.lstm(x, None, None, 1, 0.0, False, False)  # type: ignore
lstm_native.lstm(x, None, x, 1, 0.0, False, False)  # type: ignore
lstm_native.lstm(x, None, "weights", 1, 0.0, False, False)  # type: ignore
lstm_native.lstm(x, None, packed, "1")  # type: ignore
lstm_native.lstm(x, None, packed, lengths=5)  # type: ignore
lstm_native.lstm(x, None, packed, batch_sizes=[0.5])  # type: ignore
lstm_native.lstm(x, None, packed, device="gpu")  # type: ignore
lstm_native.lstm(x, None, packed, device=0)  # type: ignore
lstm_native.lstm(x, None, packed, cell="coupled")  # type: ignore
lstm_native.lstm(x, None, packed, direction="both")  # type: ignore
lstm_native.lstm(x, None, packed, mask=[0.5])  # type: ignore
lstm_native.lstm(x, None, packed, masked_output="zeros")  # type: ignore
lstm_native.lstm(x, None, packed, out_dtype="float64")  # type: ignore
lstm_native.lstm(x, None, packed, dropuot=0.5)  # type: ignore
lstm_native.lstm_vjp(x, None, packed, recompute="yes")  # type: ignore
lstm_native.lstm_vjp(x, None, packed)[1](needs=["biases"])  # type: ignore
lstm_native.lstm_vjp(x, None, packed)[1](needs="input")  # type: ignore
print(lstm_native.lstm_vjp(x, None, packed)[1](needs=["input"])[0].shape)  # type: ignore
lstm_native.explain(seqlen=3)  # type: ignore
lstm_native.explain(seq_len=3, batch=1, input_size=8)  # type: ignore
lstm_native.explain(seq_len=3, batch=1, input_size=8, hidden_size=16, dtype="float16")  # type: ignore
lstm_native.explain(x)  # type: ignore
lstm_native.pack_weights(weights, 1, False, weight_dtype="int4")  # type: ignore
lstm_native.pack_weights(weights, 1, False, weight_dtype="int8", compute="fast")  # type: ignore
lstm_native.pack_weights(packed, 1, False)  # type: ignore
lstm_native.pack_weights(weights, 1, False, cell="standard")  # type: ignore
lstm_native.Cell(proj_size="8")  # type: ignore
lstm_native.LSTM(8, 16, 1, True, False, "0.5")  # type: ignore
lstm_native.LSTM(8, 16, 1, True, False, 0.5, weight_layout="cudnn")  # type: ignore
lstm_native.LSTM(8, 16, 1, True, False, 0.5).dropout = 0.1  # type: ignore
lstm_native.LSTM(8, 16, 1, True, False, 0.5)(x, None, None, packed)  # type: ignore
lstm_native.LSTMGrad(8, 16, 1, True, False, 0.5, training=True)  # type: ignore
lstm_native.Stream(weights)  # type: ignore
lstm_native.Stream(packed, initial_states=x)  # type: ignore
lstm_native.Stream(packed).step(x, out=[0.0])  # type: ignore
lstm_native.Stream(packed).step("x")  # type: ignore
lstm_native.Cell(activations="tanh", clip="3")  # type: ignore
lstm_native.Cell(clip=1.0).clip = 2.0  # type: ignore
onnx.lstm(x, weights[0], weights[1], direction="both")  # type: ignore
onnx.lstm(x, weights[0], weights[1], layout=2)  # type: ignore
packed.num_layers = 2  # type: ignore
cuda.Device("cuda:0")  # type: ignore
cuda.Device(0).tf32 = True  # type: ignore
cuda.to_device(x, "cpu")  # type: ignore
cuda.to_device(x).shape = (5, 24)  # type: ignore
lstm_native.lstm_vjp(x, None, packed)[1].nbytes = 0  # type: ignore
print(lstm_native.get_config()["threds"])  # type: ignore
lstm_native.set_num_threads("2")  # type: ignore
lstm_native.manual_seed(0.5)  # type: ignore
