"""The operators `torch.ops.lstm_native.lstm` and `lstm_backward`, as PyTorch's tracers see them.

An eager call of the module runs the same kernels without them, in fewer microseconds.
"""

import math
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch._functorch.utils import enable_single_level_autograd_function
from torch.autograd import forward_ad

from lstm_native._reserve import HEADER_ELEMENTS
from lstm_native._torch import kernels
from lstm_native._torch.autograd import BackwardFunction, LSTMFunction, listed
from lstm_native._torch.batching import (
    backward_of_batched_gradients,
    batched_forward,
    one_by_one,
)
from lstm_native._torch.kernels import Needs, Options, OutputGradients, Tensors

_OPTIONS = (
    "Tensor? batch_sizes, Tensor? seed, int num_layers, bool bidirectional, bool batch_first, "
    "float dropout"
)
_CALL = "Tensor input, Tensor h_0, Tensor c_0, Tensor[] weights"
_TENSORS = len(Tensors._fields)
_SCHEMAS = (
    f"lstm({_CALL}, {_OPTIONS}, bool keep_tape)"
    " -> (Tensor output, Tensor h_n, Tensor c_n, Tensor tape)",
    f"lstm_backward(Tensor? d_output, Tensor? d_h_n, Tensor? d_c_n, {_CALL}, Tensor tape, "
    f"{_OPTIONS}, bool needs_input, bool needs_states, bool needs_weights) -> Tensor[]",
)

_library = torch.library.Library("lstm_native", "DEF")
for _schema in _SCHEMAS:
    _library.define(_schema, tags=(torch.Tag.pt2_compliant_tag,))
_lstm = torch.ops.lstm_native.lstm.default
_backward = torch.ops.lstm_native.lstm_backward.default


def lstm(tensors: Tensors, options: Options) -> tuple[Any, Any, Any]:
    """Call the operator; return output, h_n, c_n."""
    output, h_n, c_n, _ = _lstm(*tensors[:3], list(tensors.weights), *options, False)
    return output, h_n, c_n


# --- on the CPU ------------------------------------------------------------------------------


def _forward_on_cpu(*arguments: Any) -> kernels.Results:
    tensors, options, (keep_tape,) = _of_forward(arguments)
    output, h_n, c_n, tape = kernels.forward(tensors, options, keep_tape)
    return output, h_n, c_n, output.new_empty((0, 1)) if tape is None else tape


def _backward_on_cpu(*arguments: Any) -> list[Any]:
    given, tensors, tape, options, needs = _of_backward(arguments)
    found = kernels.backward(tensors, options, tape, given, needs)
    return listed(*found, needs)


def _of_forward(arguments: Sequence[Any]) -> tuple[Tensors, Options, Sequence[Any]]:
    tensors, rest = Tensors(*arguments[:_TENSORS]), arguments[_TENSORS:]
    count = len(Options._fields)
    return tensors, Options(*rest[:count]), rest[count:]


def _of_backward(
    arguments: Sequence[Any],
) -> tuple[OutputGradients, Tensors, Any, Options, Needs]:
    given, rest = OutputGradients(*arguments[:3]), arguments[3:]
    tensors, tape, rest = Tensors(*rest[:_TENSORS]), rest[_TENSORS], rest[_TENSORS + 1 :]
    count = len(Options._fields)
    return given, tensors, tape, Options(*rest[:count]), Needs(*rest[count:])


# --- without values: shapes only -------------------------------------------------------------


def _fake_forward(*arguments: Any) -> kernels.Results:
    (x, h_0, c_0, _), options, (keep_tape,) = _of_forward(arguments)
    directions = 2 if options.bidirectional else 1
    rows, cells = math.prod(x.shape[:-1]), c_0.shape[0]
    width, size = c_0.shape[-1], h_0.shape[-1]
    output = x.new_empty((*x.shape[:-1], directions * size))
    # Gates and cell states, and the hidden states where they are a projection.
    kept = 5 * width + (size if size != width else 0)
    elements = HEADER_ELEMENTS + cells * rows * kept if keep_tape else 0
    return output, h_0.new_empty(h_0.shape), c_0.new_empty(c_0.shape), x.new_empty((elements, 1))


def _fake_backward(*arguments: Any) -> list[Any]:
    _, (x, h_0, c_0, weights), _, _, needs = _of_backward(arguments)
    like = listed(x, h_0, c_0, weights, needs)
    return [tensor.new_empty(tensor.shape) for tensor in like]


# --- autograd --------------------------------------------------------------------------------


def _forward_in_autograd(keyset: Any, *arguments: Any) -> Any:
    tensors, options, (keep_tape,) = _of_forward(arguments)

    def run(tensors: Tensors, options: Options, keep_tape: bool) -> kernels.Results:
        below = (*tensors[:3], list(tensors.weights), *options, keep_tape)
        return _below(_lstm, keyset, *below)  # type: ignore[no-any-return]

    def record(tensors: Tensors, options: Options) -> tuple[kernels.Results, None]:
        return run(tensors, options, True), None

    if _asks_for_gradients(arguments):
        return _recorded(LSTMFunction, record, options, *tensors[:3], *tensors.weights)
    return run(tensors, options, keep_tape)


def _backward_in_autograd(keyset: Any, *arguments: Any) -> Any:
    given, (x, h_0, c_0, weights), tape, options, needs = _of_backward(arguments)
    tensors = (*given, x, h_0, c_0)

    def run(*tensors: Any) -> Any:
        weights, tape = list(tensors[6:-1]), tensors[-1]
        return _below(_backward, keyset, *tensors[:6], weights, tape, *options, *needs)

    if _asks_for_gradients(arguments):
        return list(_recorded(BackwardFunction, run, options, needs, *tensors, *weights, tape))
    return run(*tensors, *weights, tape)


def _asks_for_gradients(arguments: Sequence[Any]) -> bool:
    return torch.is_grad_enabled() and torch._C._any_requires_grad(*arguments)  # type: ignore[no-any-return]


def _recorded(function: Any, run: Callable[..., Any], *arguments: Any) -> Any:
    """Apply a Function to the tensors of one level: transforms nest, and this one is on top."""

    def with_outer_levels(*given: Any) -> Any:
        with torch.enable_grad(), forward_ad._set_fwd_grad_enabled(True):
            return run(*given)

    with enable_single_level_autograd_function():
        return super(torch.autograd.Function, function).apply(with_outer_levels, *arguments)


def _below(operator: Any, keyset: Any, *arguments: Any) -> Any:
    """Call the operator below this level of autograd."""
    with torch._C._AutoDispatchBelowAutograd():
        return operator.redispatch(keyset & torch._C._after_autograd_keyset, *arguments)


def _batched_backward(info: Any, in_dims: Sequence[Any], *arguments: Any) -> Any:
    return one_by_one(_backward, info, in_dims, *arguments)


for _name, _on_cpu, _fake, _in_autograd, _batched in (
    ("lstm", _forward_on_cpu, _fake_forward, _forward_in_autograd, batched_forward),
    ("lstm_backward", _backward_on_cpu, _fake_backward, _backward_in_autograd, _batched_backward),
):
    _library.impl(_name, _on_cpu, "CPU")
    _library.impl(_name, _in_autograd, "Autograd", with_keyset=True)
    torch.library.register_fake(f"lstm_native::{_name}", _fake, lib=_library)
    torch.library.register_vmap(f"lstm_native::{_name}", _batched, lib=_library)
_library.impl("lstm_backward", backward_of_batched_gradients, "Batched")
