"""Batching rules of the operators: for torch.func.vmap, and for `is_grads_batched` of autograd."""

from collections.abc import Sequence
from typing import Any

import torch

from lstm_native._torch.kernels import Options, Tensors

_COUNT = len(Tensors._fields)


def batched_forward(info: Any, in_dims: Sequence[Any], *arguments: Any) -> tuple[Any, Any]:
    """Run the calls of a vmap; as one call on more sequences, if they share everything else."""
    tensors, options = Tensors(*arguments[:_COUNT]), Options(*arguments[_COUNT:-1])
    keep_tape = arguments[-1]
    input_dim, h_dim, c_dim, weight_dims, sizes_dim, seed_dim = in_dims[: _COUNT + 2]
    differ = any(dim is not None for dim in (*weight_dims, sizes_dim, seed_dim))
    # A tape is one call's, and a mask depends on a sequence's place in the call.
    if differ or keep_tape or options.seed is not None:
        return one_by_one(torch.ops.lstm_native.lstm.default, info, in_dims, *arguments)
    count = info.batch_size
    axis = 0 if options.batch_first or options.batch_sizes is not None else 1
    if options.batch_sizes is not None:
        options = options._replace(batch_sizes=options.batch_sizes * count)
    output, h_n, c_n, tape = torch.ops.lstm_native.lstm(
        _merged(tensors.input, input_dim, axis, count),
        _merged(tensors.h_0, h_dim, 1, count),
        _merged(tensors.c_0, c_dim, 1, count),
        tensors.weights,
        *options,
        False,
    )
    results = (_split(output, axis, count), _split(h_n, 1, count), _split(c_n, 1, count), tape)
    return results, (axis + 1, 2, 2, None)


def _merged(tensor: Any, dim: int | None, axis: int, count: int) -> Any:
    """Put the vmapped axis after the sequences' axis, and make one axis of both."""
    if dim is None:
        sizes = [*tensor.shape[: axis + 1], count, *tensor.shape[axis + 1 :]]
        return tensor.unsqueeze(axis + 1).expand(sizes).flatten(axis, axis + 1)
    return tensor.movedim(dim, axis + 1).flatten(axis, axis + 1)


def _split(tensor: Any, axis: int, count: int) -> Any:
    return tensor.unflatten(axis, (tensor.shape[axis] // count, count))


def one_by_one(
    operator: Any, info: Any, in_dims: Sequence[Any], *arguments: Any
) -> tuple[Any, Any]:
    """Run the calls of a vmap in turn; the results have the vmapped axis in front."""
    results = [
        operator(*(_slice(*pair, index) for pair in zip(arguments, in_dims, strict=True)))
        for index in range(info.batch_size)
    ]
    stacked = type(results[0])(map(torch.stack, zip(*results, strict=True)))
    return stacked, type(stacked)(0 for _ in stacked)


def _slice(value: Any, dim: Any, index: int) -> Any:
    if isinstance(value, list | tuple) and isinstance(dim, list | tuple):
        return [_slice(*pair, index) for pair in zip(value, dim, strict=True)]
    return value if dim is None else value.select(dim, index)


def backward_of_batched_gradients(*arguments: Any) -> Any:
    """Compute the gradients of a batch in turn.

    `is_grads_batched`, and `vectorize=True` of torch.autograd.functional, use a vmap that is older
    than torch.func's. Its tensors tell their batch only within its nesting.
    """
    level = torch._C._vmapmode_decrement_nesting() + 1
    try:
        batched = [
            torch._remove_batch_dim(value, level, 1, 0) if _is_batched(value) else None
            for value in arguments
        ]
        count = max(len(value) for value in batched if value is not None)
        results = [
            torch.ops.lstm_native.lstm_backward(
                *(
                    value if rows is None else rows[index if len(rows) > 1 else 0]
                    for value, rows in zip(arguments, batched, strict=True)
                )
            )
            for index in range(count)
        ]
        stacked = [torch.stack(each) for each in zip(*results, strict=True)]
    finally:
        torch._C._vmapmode_increment_nesting()
    return [torch._add_batch_dim(each, 0, level) for each in stacked]


def _is_batched(value: Any) -> bool:
    return isinstance(value, torch.Tensor) and torch._C._functorch.is_legacy_batchedtensor(value)
