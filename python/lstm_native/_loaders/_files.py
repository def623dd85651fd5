"""Which reader a file needs, by the ending of its name."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import import_module
from os import PathLike, fspath
from pathlib import Path
from typing import Any

from lstm_native import _validate
from lstm_native._loaders._description import Description
from lstm_native._loaders._found import Found


@dataclass(frozen=True)
class _Format:
    module: str
    argument: str
    """What chooses among several LSTMs."""
    kind: str
    """For people."""


_SAFETENSORS = _Format("_safetensors", "prefix", "a safetensors file")
_TORCH = _Format("_torch", "prefix", "a file that torch.load reads with weights_only=True")
_ONNX = _Format("_onnx", "node", "an ONNX file")
_KERAS = _Format("_keras", "layer", "a Keras model's file")
_FORMATS = {
    ".safetensors": _SAFETENSORS,
    ".pt": _TORCH,
    ".pth": _TORCH,
    ".bin": _TORCH,
    ".onnx": _ONNX,
    ".keras": _KERAS,
    ".h5": _KERAS,
    ".hdf5": _KERAS,
}


@dataclass(frozen=True)
class Reader:
    """Reads one file."""

    path: Path
    argument: str
    """What chooses an LSTM: "prefix", "node" or "layer"."""
    _kind: str
    _module: Any

    def find(self) -> list[Found]:
        """Return the file's LSTMs."""
        with _named(self.path, self._kind):
            found: list[Found] = self._module.find_in_file(self.path)
            return found

    def read(self, name: str | None) -> Description:
        """Describe one of them: the only one, where it has no name."""
        with _named(self.path, self._kind):
            description: Description = self._module.from_file(self.path, name)
            return description


@contextmanager
def _named(path: Path, kind: str) -> Iterator[None]:
    """Turn whatever a library raises about a file into an error that names the file."""
    try:
        yield
    except (ImportError, MemoryError):
        raise
    except Exception as reason:
        ours = isinstance(reason, ValueError) and str(reason).startswith(f"{path}: ")
        of_system = isinstance(reason, OSError) and reason.filename is not None
        if ours or of_system:
            raise
        raise ValueError(
            f"{path}: expected {kind}, found one that can't be read: {reason}"
        ) from reason


def checked_path(path: object, name: str = "path") -> Path:
    """Return a file's path; TypeError for anything else."""
    if not isinstance(path, str | PathLike):
        raise TypeError(f"{name}: expected a str or a path, got {_validate.described(path)}")
    text: str | bytes = fspath(path)
    if isinstance(text, bytes):
        raise TypeError(f"{name}: expected a str or a path, got bytes")
    return Path(text)


def reader_of(path: Path) -> Reader:
    """Return the reader for a file's ending, once the file is known to be there."""
    format = _FORMATS.get(path.suffix.lower())
    if format is None:
        raise ValueError(
            f"{path}: expected a name that ends in {', '.join(_FORMATS)}, got {path.name!r}"
        )
    if path.is_dir():
        raise IsADirectoryError(f"{path}: expected a file, found a folder")
    if not path.exists():
        raise FileNotFoundError(f"{path}: no such file")
    module = import_module(f"lstm_native._loaders.{format.module}")
    return Reader(path, format.argument, format.kind, module)
