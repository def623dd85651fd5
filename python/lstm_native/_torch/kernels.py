"""A call's part in PyTorch's autograd: forward with a tape, backward from it."""

from typing import Any, NamedTuple

import torch

from lstm_native._config import get_num_threads
from lstm_native._functional import prepare
from lstm_native._run import ForwardCall, forward
from lstm_native._types import Need
from lstm_native._vjp import Pullback


class Options(NamedTuple):
    """What a call is told besides its tensors."""

    num_layers: int
    dropout: float
    bidirectional: bool
    batch_first: bool
    batch_sizes: Any
    bias: bool
    seed: int

    def call(self, x: Any, h_0: Any, c_0: Any, *weights: Any) -> ForwardCall:
        """Return the checked call on these tensors' memory."""
        return prepare(
            _array(x),
            (_array(h_0), _array(c_0)),
            [_array(weight) for weight in weights],
            self.num_layers,
            self.dropout,
            True,
            self.bidirectional,
            self.batch_first,
            self.batch_sizes,
            False,
            self.bias,
            self.bias,
            seed=self.seed,
            num_threads=min(torch.get_num_threads(), get_num_threads()),  # as it is now
        )


class LSTMFunction(torch.autograd.Function):
    """Takes part in autograd: options, whether to keep a tape, input, h_0, c_0, *weights."""

    @staticmethod
    def forward(ctx: Any, options: Options, keep_tape: bool, *tensors: Any) -> tuple[Any, ...]:
        call = options.call(*tensors)
        if keep_tape:
            call = call._replace(tape="gates")
        output, h_n, c_n, tape = forward(call)
        if tape is not None:
            # Saved tensors are freed with the graph, and checked for changes; attributes aren't.
            ctx.save_for_backward(*tensors, torch.from_numpy(tape))
            ctx.options = options
            ctx.set_materialize_grads(False)
        return tuple(torch.from_numpy(array) for array in (output, h_n, c_n))

    @staticmethod
    def backward(ctx: Any, *gradients: Any) -> tuple[Any, ...]:
        # A graph of the gradients would lack this part.
        if torch.is_grad_enabled():
            raise RuntimeError(
                "lstm_native.torch.LSTM: expected a backward pass with create_graph=False, as "
                "second derivatives are not computed, got create_graph=True"
            )
        *tensors, tape = ctx.saved_tensors
        options: Options = ctx.options
        needed = ctx.needs_input_grad[2:]
        needs: dict[Need, bool] = {
            "input": needed[0],
            "states": any(needed[1:3]),
            "weights": any(needed[3:]),
        }
        pullback: Pullback[Any] = Pullback(options.call(*tensors), _array(tape), transposed=False)
        d_input, d_states, d_weights = pullback(
            *(None if gradient is None else _array(gradient) for gradient in gradients),
            needs=[name for name, wanted in needs.items() if wanted],
        )
        arrays = (d_input, *d_states, *(d_weights or [None] * len(needed[3:])))
        return (
            None,
            None,
            *(
                torch.from_numpy(array) if wanted and array is not None else None
                for array, wanted in zip(arrays, needed, strict=True)
            ),
        )


def _array(tensor: Any) -> Any:
    """Return the tensor's own memory as a NumPy array."""
    return tensor.numpy(force=True)
