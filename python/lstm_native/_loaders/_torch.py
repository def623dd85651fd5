"""PyTorch: modules, their state_dict, and files of it; and back to a module."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from lstm_native import _validate
from lstm_native._loaders._description import HALVES, Array, Description
from lstm_native._loaders._found import Found, library, refuse
from lstm_native._loaders._torch_keys import Tensors, choose_prefix, find


def from_module_or_state(value: Any, prefix: str) -> Description:
    """Describe the LSTM of a module, or of what its state_dict() returned."""
    if isinstance(value, Mapping):
        return choose_prefix(_tensors(value, "state_dict"), prefix).read()
    if not callable(getattr(value, "state_dict", None)):
        raise TypeError(
            "module: expected a torch.nn.Module or its state_dict, "
            f"got {_validate.described(value)}"
        )
    name = type(value).__name__
    found = choose_prefix(_tensors(value.state_dict(), name), prefix)
    module = value.get_submodule(found.names[0].rstrip("."))
    return replace(found.read(), batch_first=bool(getattr(module, "batch_first", False)))


def find_in_file(path: Path) -> list[Found]:
    """Return the LSTMs of a file that torch.save wrote of a state_dict."""
    return find(_file(path))


def from_file(path: Path, prefix: str | None) -> Description:
    """Describe the LSTM of a file."""
    return choose_prefix(_file(path), prefix or "").read()


def to_module(state: Mapping[str, Array], options: Mapping[str, Any]) -> Any:
    """Return a torch.nn.LSTM with these arrays; options: its constructor's, without `bias`."""
    torch = library("torch", "", "to_torch")
    roles = ("bias_ih", "bias_hh")
    biased = any(key.startswith(roles) for key in state)
    module = torch.nn.LSTM(**options, bias=biased)
    arrays = dict(state)
    for key, parameter in module.named_parameters():
        if key not in arrays:  # one of the two biases: PyTorch has both or none
            arrays[key] = np.zeros(tuple(parameter.shape), next(iter(state.values())).dtype)
    dtype = torch.float64 if next(iter(state.values())).dtype == np.float64 else torch.float32
    module = module.to(dtype)
    module.load_state_dict({key: torch.from_numpy(array) for key, array in arrays.items()})
    return module.eval()


def _file(path: Path) -> Tensors:
    torch = library("torch", "", f"{path}: a file of PyTorch")
    value = torch.load(path, map_location="cpu", weights_only=True)
    # Training scripts save {"epoch": ..., "model": state_dict}.
    nested = {
        key: inner
        for key, inner in (value.items() if isinstance(value, Mapping) else ())
        if isinstance(inner, Mapping) and any(hasattr(item, "numpy") for item in inner.values())
    }
    tensors = {
        key: item
        for key, item in (value.items() if isinstance(value, Mapping) else ())
        if hasattr(item, "numpy")
    }
    if not tensors and len(nested) == 1:
        (tensors,) = ({str(k): v for k, v in inner.items()} for inner in nested.values())
    if not tensors:
        what = f"keys {', '.join(map(repr, nested))}" if nested else _validate.described(value)
        refuse(str(path), "content", "a state_dict of tensors", what)
    return _tensors(tensors, str(path))


def _tensors(state: Mapping[str, Any], file: str) -> Tensors:
    tensors = {key: value for key, value in state.items() if hasattr(value, "shape")}

    def read(key: str) -> Array:
        value = tensors[key]
        if hasattr(value, "detach"):
            value = value.detach().cpu()
            value = value.float() if _dtype(value) in HALVES else value
        array = np.asarray(value)
        return array.astype(np.float32) if str(array.dtype) in HALVES else array

    return Tensors(
        file,
        {key: tuple(map(int, value.shape)) for key, value in tensors.items()},
        {key: _dtype(value) for key, value in tensors.items()},
        read,
    )


def _dtype(value: Any) -> str:
    return str(value.dtype).removeprefix("torch.")
