"""The core's results by PyTorch's own operations, which have derivatives of any order.

The core computes results and first derivatives. This module is for higher ones.
"""

from collections.abc import Sequence
from typing import Any

import torch
from torch.nn.functional import linear

from lstm_native._extension import core
from lstm_native._torch.kernels import Options, OutputGradients, Tensors


def forward(tensors: Tensors, options: Options) -> tuple[Any, Any, Any]:
    """Return output, h_n, c_n."""
    x, h_0, c_0, weights = tensors
    is_packed = options.batch_sizes is not None
    swap = options.batch_first and not is_packed
    if swap:
        x = x.transpose(0, 1)
    steps = list(x.split(options.batch_sizes.tolist()) if is_packed else x.unbind())
    directions = 2 if options.bidirectional else 1
    cells = options.num_layers * directions
    per_cell = len(weights) // cells
    finals: list[tuple[Any, Any]] = []
    for layer in range(options.num_layers):
        outputs = []
        for direction in range(directions):
            cell = layer * directions + direction
            own = weights[cell * per_cell : (cell + 1) * per_cell]
            found, *final = _run(steps, (h_0[cell], c_0[cell]), own, direction == 1)
            outputs.append(found)
            finals.append((final[0], final[1]))
        steps = [torch.cat(parts, -1) for parts in zip(*outputs, strict=True)]
        if options.seed is not None and layer < options.num_layers - 1:
            steps = _drop(steps, layer, options)
    h_n, c_n = (torch.stack(states) for states in zip(*finals, strict=True))
    output = torch.cat(steps) if is_packed else torch.stack(steps)
    return output.transpose(0, 1) if swap else output, h_n, c_n


def backward(
    tensors: Tensors, options: Options, given: OutputGradients
) -> tuple[Any, Any, Any, Sequence[Any]]:
    """Return the gradients of input, h_0, c_0 and the weights."""

    def results(x: Any, h_0: Any, c_0: Any, *weights: Any) -> Any:
        return forward(Tensors(x, h_0, c_0, weights), options)

    x, h_0, c_0, weights = tensors
    outputs, pullback = torch.func.vjp(results, x, h_0, c_0, *weights)
    d_outputs = tuple(
        torch.zeros_like(output) if gradient is None else gradient
        for output, gradient in zip(outputs, given, strict=True)
    )
    d_x, d_h, d_c, *d_weights = pullback(d_outputs)
    return d_x, d_h, d_c, d_weights


def _run(
    steps: Sequence[Any], states: tuple[Any, Any], weights: Sequence[Any], is_reverse: bool
) -> tuple[list[Any], Any, Any]:
    """Run one layer in one direction; return the outputs by step, and the final states."""
    w_ih, w_hh, *rest = weights
    w_hr = rest.pop() if len(rest) % 2 else None
    b_ih, b_hh = rest or (None, None)
    hidden, cell = states
    outputs = []
    for x in reversed(steps) if is_reverse else steps:
        active, ended = x.shape[0], hidden.shape[0] - x.shape[0]
        gates = linear(x, w_ih, b_ih) + linear(hidden[:active], w_hh, b_hh)
        i, f, g, o = gates.chunk(4, -1)
        c = f.sigmoid() * cell[:active] + i.sigmoid() * g.tanh()
        h = o.sigmoid() * c.tanh()
        if w_hr is not None:
            h = linear(h, w_hr)
        outputs.append(h)
        # The first sequences of a packed batch are the longest.
        hidden = torch.cat((h, hidden[active:])) if ended else h
        cell = torch.cat((c, cell[active:])) if ended else c
    return outputs[::-1] if is_reverse else outputs, hidden, cell


def _drop(steps: Sequence[Any], layer: int, options: Options) -> list[Any]:
    """Apply a layer's mask to its outputs."""
    sizes, width = [len(step) for step in steps], steps[0].shape[-1]
    place = options.dropout, int(options.seed), 0
    mask = torch.from_numpy(core.dropout_mask(sum(sizes), width, layer, place)).to(steps[0].dtype)
    return [
        torch.where(factors == 0.0, 0.0, step * factors)  # what is dropped may be NaN
        for step, factors in zip(steps, mask.split(sizes), strict=True)
    ]
