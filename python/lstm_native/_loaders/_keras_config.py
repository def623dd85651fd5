"""What a Keras model's configuration says of its layers, and which of them are one stack."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

# Layers that leave a sequence as it is, when a model is not in training.
_THROUGH = (
    *("InputLayer", "Masking", "Dropout", "SpatialDropout1D", "GaussianNoise"),
    *("GaussianDropout", "AlphaDropout", "ActivityRegularization"),
)
_MODELS = ("Sequential", "Functional", "Model")


@dataclass(frozen=True)
class Layer:
    """A layer that is an LSTM, or a Bidirectional one around two."""

    name: str
    config: Mapping[str, Any]
    """Of the layer as a whole."""
    inner: Mapping[str, Any]
    """Of the (forward) LSTM."""
    models: tuple[str, ...]
    """The models that hold it, from the outside, by name."""
    path: str
    """Its place among a file's weights, which is made of classes' names."""
    before: str | None = None
    """The layer whose output it reads, by name."""

    @property
    def wrapped(self) -> bool:
        """Whether it is Bidirectional."""
        return self.inner is not self.config

    @property
    def label(self) -> str:
        return "/".join((*self.models, self.name))

    @property
    def backward(self) -> Mapping[str, Any]:
        """The configuration of the second direction; {} where it follows from the first."""
        config: Mapping[str, Any] = (self.config.get("backward_layer") or {}).get("config", {})
        return config


@dataclass
class _Model:
    """The layers of one model, not of those inside it."""

    found: dict[str, Layer] = field(default_factory=dict)
    before: dict[str, str | None] = field(default_factory=dict)
    through: set[str] = field(default_factory=set)


def chains(class_name: str, config: Mapping[str, Any]) -> list[list[Layer]]:
    """Return the LSTM layers of a configuration, as stacks."""
    return list(_chains(class_name, config, (), ""))


def layer_of(class_name: str, config: Mapping[str, Any]) -> Layer | None:
    """Return an LSTM layer that is no part of a model."""
    return _layer(class_name, config, (), "", None)


def _chains(
    class_name: str, config: Mapping[str, Any], models: tuple[str, ...], path: str
) -> Iterator[list[Layer]]:
    entries = config.get("layers")
    if class_name not in _MODELS or not isinstance(entries, Sequence):
        layer = _layer(class_name, config, models, path, None)
        if layer is not None:
            yield [layer]
        return
    model = _Model()
    used: dict[str, int] = {}
    previous: str | None = None
    for entry in entries:
        kind, inner = entry["class_name"], entry["config"]
        name = entry.get("name") or inner.get("name", "")
        place = f"{path}layers/{_numbered(_snake_case(kind), used)}"
        if kind in _MODELS:
            yield from _chains(kind, inner, (*models, name), f"{place}/")
        before = _first_input(entry) if "inbound_nodes" in entry else previous
        previous = name
        model.before[name] = before
        if kind in _THROUGH:
            model.through.add(name)
        layer = _layer(kind, {**inner, "name": name}, models, place, before)
        if layer is not None:
            model.found[name] = layer
    yield from _joined(model)


def _joined(model: _Model) -> Iterator[list[Layer]]:
    """Yield the stacks of one model: LSTM layers that read each other's sequences."""
    below: dict[str, str] = {}
    for name, layer in model.found.items():
        source = layer.before
        while source in model.through and source is not None:
            source = model.before.get(source)
        if source in model.found and _follows(model.found[source], layer):
            below[name] = source
    readers = list(below.values())
    joined = {name: source for name, source in below.items() if readers.count(source) == 1}
    above = {source: name for name, source in joined.items()}
    for name in model.found:
        if name not in joined:
            chain = [name]
            while chain[-1] in above:
                chain.append(above[chain[-1]])
            yield [model.found[one] for one in chain]


def _follows(first: Layer, second: Layer) -> bool:
    """Whether two layers, the second on the output of the first, are layers of one stack."""
    return (
        bool(first.inner.get("return_sequences"))
        and not first.inner.get("return_state")
        and first.wrapped == second.wrapped
        and first.inner.get("units") == second.inner.get("units")
        and first.config.get("merge_mode", "concat") == "concat"
    )


def _layer(
    class_name: str,
    config: Mapping[str, Any],
    models: tuple[str, ...],
    path: str,
    before: str | None,
) -> Layer | None:
    name = config.get("name", class_name)
    if class_name == "LSTM":
        return Layer(name, config, config, models, path, before)
    wrapped = config.get("layer") or {}
    if class_name == "Bidirectional" and wrapped.get("class_name") == "LSTM":
        return Layer(name, config, wrapped["config"], models, path, before)
    return None


def _first_input(entry: Mapping[str, Any]) -> str | None:
    """Return the layer whose output is the first argument of a layer of a functional model.

    Keras 3 has {"keras_history": [name, 0, 0]} in the arguments, Keras 2 [name, 0, 0, {}].
    """
    pending: list[Any] = [entry["inbound_nodes"]]
    while pending:
        value = pending.pop(0)
        if isinstance(value, Mapping):
            history = value.get("keras_history")
            if isinstance(history, Sequence) and history:
                return str(history[0])
            pending = [*value.values(), *pending]
        elif isinstance(value, Sequence) and not isinstance(value, str):
            if len(value) > 2 and isinstance(value[0], str) and isinstance(value[1], int):
                return value[0]
            pending = [*value, *pending]
    return None


def _snake_case(name: str) -> str:
    """Return what a file calls a layer of this class."""
    name = re.sub(r"(.)([A-Z][a-z]+)", r"\1_\2", re.sub(r"\W+", "", name))
    return re.sub(r"([a-z])([A-Z])", r"\1_\2", name).lower()


def _numbered(name: str, used: dict[str, int]) -> str:
    number = used.get(name, 0)
    used[name] = number + 1
    return f"{name}_{number}" if number else name
