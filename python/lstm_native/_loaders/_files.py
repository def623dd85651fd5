"""Which reader a file needs, by the ending of its name."""

from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from os import PathLike, fspath
from pathlib import Path

from lstm_native import _validate
from lstm_native._loaders._description import Description
from lstm_native._loaders._found import Found

_MODULES = {
    ".safetensors": "_safetensors",
    ".pt": "_torch",
    ".pth": "_torch",
    ".bin": "_torch",
}
# What each reader calls the name that chooses among several LSTMs.
_ARGUMENTS = {"_safetensors": "prefix", "_torch": "prefix"}


@dataclass(frozen=True)
class Reader:
    """Reads one format."""

    argument: str
    """What chooses an LSTM: "prefix", "node" or "layer"."""
    find_in_file: Callable[[Path], list[Found]]
    from_file: Callable[[Path, str | None], Description]


def checked_path(path: object, name: str = "path") -> Path:
    """Return a file's path; TypeError names what is none."""
    if not isinstance(path, str | PathLike):
        raise TypeError(f"{name}: expected a str or a path, got {_validate.described(path)}")
    text: str | bytes = fspath(path)
    if isinstance(text, bytes):
        raise TypeError(f"{name}: expected a str or a path, got bytes")
    return Path(text)


def reader_of(path: Path) -> Reader:
    """Return the reader for a file's ending, once the file is known to be there."""
    module_name = _MODULES.get(path.suffix.lower())
    if module_name is None:
        raise ValueError(
            f"{path}: expected a name that ends in {', '.join(_MODULES)}, got {path.name!r}"
        )
    if path.is_dir():
        raise IsADirectoryError(f"{path}: expected a file, found a folder")
    if not path.exists():
        raise FileNotFoundError(f"{path}: no such file")
    module = import_module(f"lstm_native._loaders.{module_name}")
    return Reader(_ARGUMENTS[module_name], module.find_in_file, module.from_file)
