"""Files in the safetensors format, with PyTorch's names."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from lstm_native._loaders._description import HALVES, Array, Description
from lstm_native._loaders._found import Found, library, refuse
from lstm_native._loaders._int8 import restored, rounded
from lstm_native._loaders._metadata import KEY, Metadata
from lstm_native._loaders._metadata import read as read_metadata
from lstm_native._loaders._torch_keys import INT8, Tensors, choose_prefix, find

_DTYPES = {"F64": "float64", "F32": "float32", "F16": "float16", "BF16": "bfloat16", "I8": "int8"}
# The suffix of the scales of an array in 8 bits.
_SCALE = "_scale"


def find_in_file(path: Path) -> list[Found]:
    """Return the LSTMs of a file."""
    return find(_tensors(path)[0])


def from_file(path: Path, prefix: str | None) -> Description:
    """Describe the LSTM of a file."""
    tensors, text = _tensors(path)
    found = choose_prefix(tensors, prefix or "")
    description = found.read()
    metadata = read_metadata(text, str(path))
    if metadata is None:
        return description
    first = description.layers[0][0]
    for name, bias in (("has_ih_bias", first.input_bias), ("has_hh_bias", first.hidden_bias)):
        if getattr(metadata, name) != (bias is not None):
            refuse(
                str(path),
                f"key '{found.names[0]}bias_{name[4:6]}_l0'",
                f"{name}={getattr(metadata, name)}, as the metadata say",
                f"{bias is not None}",
            )
    if metadata.cell.peepholes != (first.peephole is not None):
        refuse(
            str(path),
            f"key '{found.names[0]}peephole_l0'",
            f"peepholes={metadata.cell.peepholes}, as the metadata say",
            f"{first.peephole is not None}",
        )
    if metadata.weight_dtype != description.weight_dtype:
        refuse(
            str(path),
            f"key '{found.names[0]}weight_hh_l0'",
            f"dtype {metadata.weight_dtype or 'float32 or float64'}, as the metadata say",
            description.weight_dtype or str(first.hidden.dtype),
        )
    return replace(
        description,
        batch_first=metadata.batch_first,
        gate_order=metadata.gate_order,
        cells=(replace(metadata.cell, proj_size=description.cells[0].proj_size),),
        reverse=metadata.reverse,
        compute=metadata.compute,
    )


def write(path: Path, state: Mapping[str, Array], metadata: Metadata) -> None:
    """Write arrays by name; matrices in 16 or 8 bits where the metadata say so, without a loss."""
    save_file = library("safetensors.numpy", f"{path}: a safetensors file").save_file
    stored: Any = metadata.weight_dtype
    if stored == "bfloat16":
        stored = library("ml_dtypes", f"{path}: bfloat16 in a safetensors file").bfloat16
    arrays: dict[str, Array] = {}
    for key, array in state.items():
        if stored is None or array.ndim != 2:
            arrays[key] = np.ascontiguousarray(array)
        elif stored == "int8":
            arrays[key], arrays[key + _SCALE] = rounded(array)
        else:
            arrays[key] = np.ascontiguousarray(array.astype(stored))
    try:
        save_file(arrays, path, metadata={KEY: metadata.text()})
    except MemoryError:
        raise
    except Exception as reason:  # safetensors has a type of its own, and a temporary file's name
        _raise_what_the_system_says(path)
        raise OSError(f"{path}: can't be written: {reason}") from reason


def _raise_what_the_system_says(path: Path) -> None:
    """Open a file that could not be written, for the system's own error; leave no new file."""
    existed = path.exists()
    with path.open("ab"):
        pass
    if not existed:
        path.unlink()


def _tensors(path: Path) -> tuple[Tensors, str | None]:
    """Return a file's tensors, and the metadata that `write` added."""
    safetensors = library("safetensors", f"{path}: a safetensors file")
    shapes: dict[str, tuple[int, ...]] = {}
    dtypes: dict[str, str] = {}
    with safetensors.safe_open(path, framework="np") as file:
        text = (file.metadata() or {}).get(KEY)
        for key in file.keys():  # noqa: SIM118  # the file is no mapping
            piece = file.get_slice(key)
            shapes[key] = tuple(piece.get_shape())
            dtypes[key] = _DTYPES.get(piece.get_dtype(), piece.get_dtype())
    for key in [key for key, dtype in dtypes.items() if dtype == "int8"]:
        if dtypes.pop(key + _SCALE, None) is None:
            dtypes[key] = f"int8 without {key + _SCALE!r}"
        else:
            dtypes[key] = INT8
            del shapes[key + _SCALE]

    def read(key: str) -> Array:
        if dtypes[key] == "bfloat16":  # so that NumPy knows it
            library("ml_dtypes", f"{path}: bfloat16 in a safetensors file")
        with safetensors.safe_open(path, framework="np") as file:
            array: Array = file.get_tensor(key)
            if dtypes[key] == INT8:
                return _in_8_bits(array, file.get_tensor(key + _SCALE), str(path), key)
        return array.astype(np.float32) if dtypes[key] in HALVES else array

    return Tensors(str(path), shapes, dtypes, read), text


def _in_8_bits(integers: Array, scales: Array, file: str, key: str) -> Array:
    """Return a matrix; refuse one that would not be packed into the same integers and scales."""
    rows = integers.shape[:1]
    if scales.shape != rows or scales.dtype != np.float32:
        found = f"{scales.shape}, {scales.dtype}"
        refuse(file, f"key {key + _SCALE!r}", f"shape {rows}, float32", found)
    with np.errstate(all="ignore"):  # values that are not finite are refused
        matrix = restored(integers, scales)
        again = rounded(matrix)
    if not (np.array_equal(integers, again[0]) and np.array_equal(scales, again[1])):
        expected = "integers up to 127 in each row and its scale, as Model.save writes them"
        refuse(file, f"keys {key!r} and {key + _SCALE!r}", expected, "others")
    return matrix
