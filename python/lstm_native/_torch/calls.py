"""Which calls run the core on tensors' memory, and which go through PyTorch's operators."""

from collections.abc import Iterable
from typing import Any

import torch
import torch.fx
from torch.autograd import forward_ad

# A subclass may replace operations, so its calls go through the operators.
_TYPES = frozenset({torch.Tensor, torch.nn.Parameter})


def are_plain(tensors: Iterable[Any], dtype: Any) -> bool:
    """Whether tensors are plain memory on the CPU, of this dtype."""
    return all(
        type(tensor) in _TYPES
        and tensor.dtype is dtype
        and tensor.is_cpu
        and tensor.layout is torch.strided
        for tensor in tensors
    )


def is_batched(tensor: Any) -> bool:
    """Whether a gradient is one of several, as `is_grads_batched` hands them to autograd."""
    return bool(torch._C._functorch.is_legacy_batchedtensor(tensor))


def is_watched() -> bool:
    """Whether PyTorch records, transforms or replaces this thread's operations now."""
    return bool(
        torch.compiler.is_compiling()
        or torch._C._are_functorch_transforms_active()
        or torch._C._len_torch_dispatch_stack()
        or torch.jit.is_tracing()
        or is_forward_mode()
    )


def is_forward_mode() -> bool:
    """Whether tensors may carry tangents."""
    return bool(forward_ad._current_level >= 0)


def leaf_of_symbolic_trace(module: Any, *arguments: Any) -> Any:
    """Record a call of the module in torch.fx's graph; None where none is traced."""
    proxies: list[Any] = []
    torch.fx.node.map_aggregate(
        arguments,
        lambda value: proxies.append(value) if isinstance(value, torch.fx.Proxy) else None,
    )
    if not proxies:
        return None
    tracer = proxies[0].tracer
    return tracer.create_proxy("call_module", tracer.path_of_module(module), arguments, {})
