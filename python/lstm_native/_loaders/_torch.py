"""PyTorch: modules, their state_dict, and files of it; and back to a module."""

from collections import deque
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from lstm_native import _validate
from lstm_native._loaders._description import HALVES, Array, Description
from lstm_native._loaders._found import Found, library, refuse
from lstm_native._loaders._torch_keys import Tensors, choose_prefix, find

# A file may hold one mapping in many places; those near its root are searched.
_MOST_MAPPINGS = 100_000


def from_module_or_state(value: Any, prefix: str) -> Description:
    """Describe the LSTM of a module, or of what its state_dict() returned."""
    if isinstance(value, Mapping):
        return choose_prefix(_of_checkpoint(value, "state_dict"), prefix).read()
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
    torch = library("torch", "to_torch")
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
    torch = library("torch", f"{path}: a file of PyTorch")
    try:
        value = torch.load(path, map_location="cpu", weights_only=True)
    except (OSError, MemoryError):
        raise
    except Exception as reason:  # whose text advises to unpickle the file
        raise ValueError(
            f"{path}: expected a file that torch.load reads with weights_only=True, found one that "
            f"it does not ({type(reason).__name__}); save module.state_dict(), or use "
            "Model.from_torch(module)"
        ) from reason
    if not isinstance(value, Mapping):
        refuse(str(path), "content", "a state_dict of tensors", _validate.described(value))
    tensors = _of_checkpoint(value, str(path))
    if not tensors.shapes:
        found = ", ".join(map(repr, list(value)[:8]))
        refuse(str(path), "content", "a state_dict of tensors", f"keys {found or 'none'}")
    return tensors


def _of_checkpoint(value: Mapping[Any, Any], file: str) -> Tensors:
    """Return the state_dict with an LSTM that a training script saved among other things.

    As {"epoch": ..., "model": state_dict, "optimizer": ...}. Where several have one, their names
    are prefixes: "ema.lstm.weight_ih_l0".
    """
    states = {prefix: _tensors(each, file) for prefix, each in _mappings(value)}
    with_lstm = {prefix: state for prefix, state in states.items() if find(state)}
    if "" in with_lstm:
        return with_lstm[""]
    chosen = with_lstm or states
    if len(chosen) == 1:
        return next(iter(chosen.values()))
    places = {
        prefix + key: (state, key) for prefix, state in chosen.items() for key in state.shapes
    }
    return Tensors(
        file,
        {name: state.shapes[key] for name, (state, key) in places.items()},
        {name: state.dtypes[key] for name, (state, key) in places.items()},
        lambda name: places[name][0].read(places[name][1]),
    )


def _mappings(value: Mapping[Any, Any]) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Yield a mapping and those in it, with prefixes: "", "model.", "model.encoder."."""
    waiting: deque[tuple[str, Mapping[Any, Any], frozenset[int]]] = deque(
        [("", value, frozenset())]
    )
    for _ in range(_MOST_MAPPINGS):
        if not waiting:
            break
        prefix, mapping, around = waiting.popleft()
        yield prefix, {str(key): item for key, item in mapping.items()}
        around |= {id(mapping)}  # a file can hold a mapping that contains itself
        for key, item in mapping.items():
            if isinstance(item, Mapping) and id(item) not in around:
                waiting.append((f"{prefix}{key}.", item, around))


def _tensors(state: Mapping[str, Any], file: str) -> Tensors:
    tensors = {
        key: value
        for key, value in state.items()
        if hasattr(value, "shape") and hasattr(value, "dtype")
    }

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
