"""Keras: LSTM layers, Bidirectional ones and stacks of them, from files or from memory."""

import json
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from io import BytesIO
from pathlib import Path
from typing import Any, NamedTuple, NoReturn
from zipfile import ZipFile

import numpy as np

from lstm_native import _validate
from lstm_native._cell import Cell
from lstm_native._loaders import _keras_config as keras_config
from lstm_native._loaders._description import Array, Description, Weights
from lstm_native._loaders._found import Found, choose, library, refuse, sizes_text
from lstm_native._loaders._keras_config import Layer

_CONFIG = "config.json"
_WEIGHTS = "model.weights.h5"
# Before Keras 3 hard_sigmoid was 0.2 * x + 0.5; since then it is x / 6 + 0.5.
_HARD_SIGMOID_SLOPES = {"2": 0.2, "3": 1 / 6}


class _Function(NamedTuple):
    """An activation as `Cell` takes it; None where it takes no such value."""

    name: str
    alpha: float | None = None
    beta: float | None = None


# By Keras' names without underscores; hard_sigmoid depends on the version.
_FUNCTIONS = {
    **{name: _Function(name) for name in ("sigmoid", "tanh", "relu", "softsign", "softplus")},
    "linear": _Function("affine", 1.0, 0.0),
    "elu": _Function("elu", 1.0),
    "leakyrelu": _Function("leakyrelu", 0.2),
}


@dataclass(frozen=True)
class _Source:
    """A model: its layers, and how to get their arrays."""

    file: str
    chains: Sequence[Sequence[Layer]]
    arrays: Callable[[Layer], list[Array]]
    """Of a layer: kernel, recurrent_kernel[, bias] of each direction."""
    version: str
    """Of Keras: its first digit."""


def find_in_file(path: Path) -> list[Found]:
    """Return the LSTMs of a file."""
    return _find(_read(path))


def from_file(path: Path, layer: str | None) -> Description:
    """Describe an LSTM of a file."""
    return _describe(_read(path), layer)


def from_object(value: Any, layer: str | None) -> Description:
    """Describe a layer or a model in memory."""
    if not callable(getattr(value, "get_config", None)) or not hasattr(value, "get_weights"):
        raise TypeError(
            "layer: expected a Keras layer or model, or a path of a file, "
            f"got {_validate.described(value)}"
        )
    name = type(value).__name__
    packages = {base.__module__.partition(".")[0] for base in type(value).__mro__}
    known = [sys.modules[name] for name in ("keras", "tf_keras") if name in packages]
    version = str(getattr(known[0], "__version__", "3") if known else "3")[0]

    def arrays(layer: Layer) -> list[Array]:
        holder = value
        for model in (*layer.models, layer.name):
            holder = holder.get_layer(model) if hasattr(holder, "get_layer") else holder
        return [np.asarray(array) for array in holder.get_weights()]

    chains = keras_config.chains(name, value.get_config())
    if not chains and getattr(value, "layers", None):  # a model of a user's class
        layers = (keras_config.layer_of(type(x).__name__, x.get_config()) for x in value.layers)
        chains = [[layer] for layer in layers if layer is not None]
    return _describe(_Source(name, chains, arrays, version), layer)


def _read(path: Path) -> _Source:
    h5py = library("h5py", f"{path}: a Keras file")
    if path.suffix.lower() == ".keras":
        with ZipFile(path) as archive:
            config = json.loads(archive.read(_CONFIG))
            version = json.loads(archive.read("metadata.json")).get("keras_version", "3")
            stored = archive.read(_WEIGHTS)

        def arrays(layer: Layer) -> list[Array]:
            with h5py.File(BytesIO(stored), "r") as weights:
                return _named_by_class(weights, layer, str(path))
    else:
        with h5py.File(path, "r") as file:
            text = file.attrs.get("model_config")
            version = file.attrs.get("keras_version", "2")
        if text is None:
            refuse(
                str(path),
                "attribute 'model_config'",
                "the configuration of a whole model (model.save, not model.save_weights)",
                "none",
            )
        config = json.loads(text)

        def arrays(layer: Layer) -> list[Array]:
            with h5py.File(path, "r") as file:
                return _named_by_layer(file["model_weights"], layer, str(path))

    version = version.decode() if isinstance(version, bytes) else str(version)
    chains = keras_config.chains(config["class_name"], config["config"])
    return _Source(str(path), chains, arrays, version[:1])


def _named_by_class(weights: Any, layer: Layer, file: str) -> list[Array]:
    """Return a layer's arrays from a `.keras` file: `layers/lstm_1/cell/vars/0`."""
    path = layer.path
    if "layers" not in weights and "_layer_checkpoint_dependencies" in weights:  # Keras 2
        path = path.replace("layers/", "_layer_checkpoint_dependencies/")
    parent, _, _ = path.rpartition("/")
    for name, group in weights.get(parent, {}).items():  # newer files name each layer
        variables = group.get("vars") if hasattr(group, "get") else None
        if variables is not None and variables.attrs.get("name") == layer.name:
            path = f"{parent}/{name}"
    ways = ("forward_layer/cell", "backward_layer/cell") if layer.wrapped else ("cell",)
    found = []
    for way in ways:
        key = f"{path}/{way}/vars"
        if key not in weights:
            refuse(
                file, f"key {key!r} in {_WEIGHTS}", f"the arrays of layer {layer.label!r}", "none"
            )
        group = weights[key]
        found += [np.asarray(group[name]) for name in sorted(group, key=int)]
    return found


def _named_by_layer(weights: Any, layer: Layer, file: str) -> list[Array]:
    """Return a layer's arrays from an `.h5` file: `lstm_1/.../kernel`, in the order it lists."""
    top = (*layer.models, layer.name)[0]
    if top not in weights:
        refuse(file, f"key 'model_weights/{top}'", f"the arrays of layer {layer.label!r}", "none")
    group = weights[top]
    names = [n.decode() if isinstance(n, bytes) else str(n) for n in group.attrs["weight_names"]]
    if layer.models:  # a group holds all arrays of a model inside the model
        names = [name for name in names if layer.name in name.split("/")]
    return [np.asarray(group[name]) for name in names]


def _find(source: _Source) -> list[Found]:
    return [
        Found(
            tuple(layer.label for layer in chain),
            _sizes(source, chain),
            partial(_description, source, chain),
        )
        for chain in source.chains
    ]


def _describe(source: _Source, layer: str | None) -> Description:
    found = _find(source)
    if not found:
        refuse(source.file, "layers", "an LSTM, or a Bidirectional one", "none")
    return choose(found, layer, source.file, "layer").read()


def _sizes(source: _Source, chain: Sequence[Layer]) -> str:
    first = chain[0]
    try:
        inputs = source.arrays(first)[0].shape[0]
    except (ValueError, KeyError, IndexError):
        return "incomplete"
    return sizes_text(inputs, first.inner["units"], len(chain), 2 if first.wrapped else 1)


def _description(source: _Source, chain: Sequence[Layer]) -> Description:
    layers: list[tuple[Weights, ...]] = []
    keys: dict[str, str] = {}
    cells: list[Cell] = []
    for layer in chain:
        reader = _Reader(source, layer)
        directions = 2 if layer.wrapped else 1
        inputs = directions * layer.inner["units"] if layers else None
        layers.append(reader.weights(inputs))
        cells.append(reader.cell())
        keys |= reader.keys(alone=len(chain) == 1)
    names = ", ".join(repr(layer.label) for layer in chain)
    return Description(
        source=f"{source.file}: {names}",
        layers=tuple(layers),
        batch_first=not chain[0].inner.get("time_major", False),
        reverse=bool(chain[0].inner.get("go_backwards")),
        cells=tuple(cells),
        keys=keys,
    )


@dataclass(frozen=True)
class _Reader:
    """Reads and checks one layer."""

    source: _Source
    layer: Layer

    def _refuse(self, what: str, expected: str, found: str) -> NoReturn:
        refuse(self.source.file, f"layer {self.layer.label!r}, {what}", expected, found)

    def weights(self, inputs: int | None) -> tuple[Weights, ...]:
        """Return the arrays of each direction; inputs: input_size, None where kernel gives it."""
        layer = self.layer
        merge_mode = layer.config.get("merge_mode", "concat")
        if layer.wrapped and merge_mode != "concat":
            self._refuse("merge_mode", "'concat'", f"{merge_mode!r}, which is not supported")
        for name in ("units", "use_bias"):
            if name in layer.backward and layer.backward[name] != layer.inner.get(name):
                self._refuse(
                    f"{name} of its backward_layer",
                    f"{layer.inner.get(name)!r}, as of its layer",
                    f"{layer.backward[name]!r}",
                )
        directions = 2 if layer.wrapped else 1
        has_bias = layer.inner.get("use_bias", True)
        per_direction = 2 + has_bias
        arrays = self.source.arrays(layer)
        if len(arrays) != directions * per_direction:
            kinds = "kernel, recurrent_kernel" + ", bias" * has_bias
            expected = f"{directions * per_direction} ({kinds} of each direction)"
            self._refuse("arrays", expected, f"{len(arrays)}")
        found = []
        for first in range(0, len(arrays), per_direction):
            found.append(self._direction(arrays[first : first + per_direction], inputs))
            inputs = found[0].input.shape[1]
        return tuple(found)

    def _direction(self, arrays: Sequence[Array], inputs: int | None) -> Weights:
        units = self.layer.inner["units"]
        shapes = ((inputs, 4 * units), (units, 4 * units), (4 * units,))
        names = ("kernel", "recurrent_kernel", "bias")
        for name, array, shape in zip(names, arrays, shapes, strict=False):
            sizes = ", ".join("input_size" if size is None else str(size) for size in shape)
            sizes += "," * (len(shape) == 1)
            if array.ndim != len(shape) or any(
                size != got if size is not None else not got
                for size, got in zip(shape, array.shape, strict=True)
            ):
                self._refuse(name, f"shape ({sizes})", f"{array.shape}")
            if array.dtype.name not in ("float16", "float32", "float64"):
                self._refuse(name, "dtype float16, float32 or float64", array.dtype.name)
            if array.dtype != arrays[0].dtype:
                self._refuse(name, f"dtype {arrays[0].dtype}, as of kernel", array.dtype.name)
        whole = [a.astype(np.float32) if a.dtype == np.float16 else a for a in arrays]
        kernel, recurrent, *bias = whole
        return Weights(
            input=np.ascontiguousarray(kernel.T),
            hidden=np.ascontiguousarray(recurrent.T),
            input_bias=bias[0] if bias else None,
        )

    def cell(self) -> Cell:
        """Return what the configuration says of each direction."""
        configs = [self.layer.inner]
        if self.layer.wrapped:
            configs.append(self.layer.backward or self.layer.inner)
        functions: list[_Function] = []
        for config in configs:
            gates = self._function(config, "recurrent_activation", "sigmoid")
            candidate = self._function(config, "activation", "tanh")
            functions += [gates, candidate, candidate]
        return Cell(
            activations=[function.name for function in functions],
            alphas=[f.alpha for f in functions if f.alpha is not None],
            betas=[f.beta for f in functions if f.beta is not None],
        )

    def _function(self, config: Mapping[str, Any], argument: str, usual: str) -> _Function:
        given = _name(config.get(argument, usual))
        slope = _HARD_SIGMOID_SLOPES.get(self.source.version, 1 / 6)
        known = {**_FUNCTIONS, "hardsigmoid": _Function("hardsigmoid", slope, 0.5)}
        if given not in known:
            self._refuse(argument, f"one of {', '.join(known)}", given)
        return known[given]

    def keys(self, alone: bool) -> dict[str, str]:
        """Return the configuration's names of the properties that are unusual."""
        unusual = [
            name
            for name, usual in (("activation", "tanh"), ("recurrent_activation", "sigmoid"))
            if _name(self.layer.inner.get(name, usual)) != usual
        ]
        inner = self.layer.inner
        where = f"of layer {self.layer.label!r}"
        keys = {"activations": f"{' and '.join(unusual)} {where}"} if unusual else {}
        # Keras returns the steps of such a layer in the order in which it took them.
        ends_there = alone and not (inner.get("return_sequences") or self.layer.wrapped)
        if inner.get("go_backwards") and not ends_there:
            keys["backwards"] = f"go_backwards {where}"
        return keys


def _name(value: Any) -> str:
    """Return an activation's name as ONNX spells it, in lower case."""
    if isinstance(value, Mapping):
        value = value.get("config", value.get("class_name"))
    return str(value).replace("_", "").lower()
