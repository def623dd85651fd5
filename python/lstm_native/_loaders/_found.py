"""The LSTMs of a file: listed by name and size, read when one is chosen."""

import importlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from shlex import quote
from typing import Any, NoReturn

from lstm_native._loaders._description import Description


@dataclass(frozen=True)
class Found:
    """An LSTM in a file, before its arrays are read and checked."""

    names: tuple[str, ...]
    """Any of these chooses it."""
    sizes: str
    """For people."""
    read: Callable[[], Description]

    @property
    def label(self) -> str:
        return " -> ".join(self.names)


class ChoiceError(ValueError):
    """No LSTM of a file is chosen, or one that it does not have."""

    def __init__(
        self, file: str, found: Sequence[Found], wanted: str | None, argument: str
    ) -> None:
        self._file, self._found, self._wanted = file, found, wanted
        listed = "".join(f"\n  {argument}={one.names[0]!r}: {one.sizes}" for one in found)
        super().__init__(self._text(argument, f"{argument}=", listed))

    def __reduce__(self) -> tuple[type[ValueError], tuple[str]]:
        """Pickle the message: an LSTM of a file is no plain data."""
        return ValueError, (str(self),)

    def for_option(self, option: str) -> str:
        """Return the message for a command line, where an option chooses."""
        listed = "".join(f"\n  {option} {quote(one.names[0])}: {one.sizes}" for one in self._found)
        return self._text(option, option, listed)

    def _text(self, argument: str, choose_by: str, listed: str) -> str:
        if self._wanted is None:
            count = len(self._found)
            return f"{self._file}: expected one LSTM, found {count}; choose by {choose_by}:{listed}"
        got = f"got {self._wanted!r}"
        return f"{self._file}: {argument}: expected one of its LSTMs, {got}:{listed}"


def choose(found: Sequence[Found], wanted: str | None, file: str, argument: str) -> Found:
    """Return the LSTM of that name, or the only one.

    argument: what the caller calls the name, as "prefix".
    """
    if not found:
        raise ValueError(f"{file}: expected an LSTM, found none")
    if wanted is not None:
        exact = [one for one in found if wanted in one.names]
        if exact:
            return exact[0]
    elif len(found) == 1:
        return found[0]
    raise ChoiceError(file, found, wanted, argument)


def refuse(file: str, key: str, expected: str, found: str) -> NoReturn:
    """Say what is wrong with a file."""
    raise ValueError(f"{file}: {key}: expected {expected}, found {found}")


def sizes_text(
    input_size: int, hidden_size: int, num_layers: int, directions: int, proj_size: int = 0
) -> str:
    """Return sizes for people."""
    layers = f"{num_layers} layer{'s' if num_layers > 1 else ''}"
    both = ", both directions" if directions == 2 else ""
    projected = f", projected to {proj_size}" if proj_size else ""
    return f"{layers}, {input_size} inputs, {hidden_size} units{projected}{both}"


def library(module: str, what: str) -> Any:
    """Import a format's own library; where it is missing, say what to install."""
    package = module.split(".", maxsplit=1)[0]
    try:
        importlib.import_module(package)
    except ModuleNotFoundError as missing:
        if missing.name != package:
            raise
        raise ImportError(
            f"{what} needs the package {package}, which is not installed: pip install {package}",
            name=package,
        ) from missing
    return importlib.import_module(module)
