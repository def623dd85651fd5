"""Swaps the classes of a model's modules in place: parameters, hooks and references stay."""

from collections.abc import Callable, Iterator
from typing import Any

import torch

from lstm_native import _validate
from lstm_native._torch.errors import TensorTypeError


def modules_of(model: Any, kind: type[Any]) -> Iterator[tuple[str, Any]]:
    """Yield name and module of all that are of exactly this class."""
    if not isinstance(model, torch.nn.Module):
        raise TensorTypeError(
            f"model: expected a torch.nn.Module, got {_validate.described(model)}"
        )
    for name, module in model.named_modules():
        if type(module) is kind:
            yield name, module


def swap(model: Any, old: type[Any], new: type[Any], refuse: Callable[[Any], None]) -> list[Any]:
    """Give all modules of one class another; return them. Where one is refused, none changes."""
    found = list(modules_of(model, old))
    for name, module in found:
        try:
            refuse(module)
        except (TypeError, ValueError) as error:
            where = f"model.{name}" if name else "model"
            raise type(error)(f"{where}: {error}") from error
    for _, module in found:
        module.__class__ = new
    return [module for _, module in found]
