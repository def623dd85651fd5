"""The types of what public calls take and return."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Literal, Protocol, TypeAlias, TypedDict, TypeVar, Union

import numpy as np

from lstm_native._device import DeviceArray

if TYPE_CHECKING:
    import numpy.typing as npt

if TYPE_CHECKING:
    from typing_extensions import Buffer

# Results are arrays of the input's kind and dtype.
Array = TypeVar("Array", "npt.NDArray[np.float32]", "npt.NDArray[np.float64]", DeviceArray)
# The same where a call computes on the CPU only.
HostArray = TypeVar("HostArray", "npt.NDArray[np.float32]", "npt.NDArray[np.float64]")
# An `out=` is returned as it was given.
Out = TypeVar("Out", "npt.NDArray[np.float32]", "npt.NDArray[np.float64]", DeviceArray)

_Scalar_co = TypeVar("_Scalar_co", bound=np.generic, covariant=True)


class SupportsArray(Protocol[_Scalar_co]):
    """Converts itself into a NumPy array: NumPy's arrays, PyTorch's tensors, pandas' tables."""

    def __array__(self) -> npt.NDArray[_Scalar_co]: ...


class SupportsDLPack(Protocol):
    """Shares its memory through DLPack: the arrays of most libraries."""

    def __dlpack__(self) -> Any: ...
    def __dlpack_device__(self) -> tuple[Any, Any]: ...


class SupportsCudaArray(Protocol):
    """Names its memory on a CUDA device: the arrays of CuPy and Numba."""

    @property
    def __cuda_array_interface__(self) -> dict[str, Any]: ...


# Nested sequences are spelled out: a recursive alias would accept a str, a sequence of str.
ArrayLike: TypeAlias = Union[
    SupportsArray[np.float32 | np.float64],
    SupportsDLPack,
    SupportsCudaArray,
    "Buffer",
    Sequence[float],
    Sequence[Sequence[float]],
    Sequence[Sequence[Sequence[float]]],
    Sequence[SupportsArray[np.float32 | np.float64]],
]
BooleansLike: TypeAlias = SupportsArray[np.bool_] | Sequence[Sequence[bool]]
IntegersLike: TypeAlias = SupportsArray[np.integer[Any]] | Sequence[int] | Sequence[Sequence[int]]
States: TypeAlias = tuple[ArrayLike, ArrayLike]

Need: TypeAlias = Literal["input", "states", "weights"]
HalfDtype: TypeAlias = Literal["float16", "bfloat16"]
WeightDtype: TypeAlias = Literal["float16", "bfloat16", "int8"]
# The dtype of results, where weights are stored in a weight_dtype.
OutDtype: TypeAlias = Literal["float32", "float16", "bfloat16"]
OutDtypeLike: TypeAlias = Union[OutDtype, "np.dtype[Any]", type[np.generic]]
# What products are computed in, where not in float32.
Compute: TypeAlias = Literal["bfloat16", "int8"]
# Which end of a sequence the one direction begins with.
Direction: TypeAlias = Literal["forward", "reverse"]
# What output holds at masked steps.
MaskedOutput: TypeAlias = Literal["zero", "last"]


class BlasConfig(TypedDict):
    """Which BLAS this build calls."""

    name: str
    version: str
    kernel: str
    threads: int
    """The threads of its pool; 0: not known."""
    bundled: bool


class IsaConfig(TypedDict):
    """The instruction sets that this build has kernels for."""

    variants: dict[str, str]
    """The instruction set that a variant belongs to, by the variant's name."""
    built: list[str]
    supported: list[str]
    in_use: str
    vector_bytes: int


class Config(TypedDict):
    """What `get_config` returns."""

    version: str
    compiler: str
    numpy: str
    blas: BlasConfig
    openmp: int
    """The year and month of the OpenMP standard; 0: none."""
    isa: IsaConfig
    threads: int
    adaptive_threads: bool
    flush_subnormals: bool
