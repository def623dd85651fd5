from collections.abc import Sequence
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
from typing_extensions import Self

_DirectionWeights: TypeAlias = tuple[
    npt.NDArray[Any], npt.NDArray[Any], npt.NDArray[Any] | None, npt.NDArray[Any] | None
]

testing: Any  # for the project's tests

class MemoryPool:
    def __init__(self) -> None: ...
    @property
    def nbytes(self) -> int: ...
    def clear(self) -> None: ...
    def __enter__(self) -> Self: ...
    def __exit__(self, *args: object) -> None: ...

def in_pool() -> bool: ...
def new_array(shape: Sequence[int], dtype: np.dtype[Any]) -> npt.NDArray[Any]: ...

class PackedWeights:
    def __init__(
        self,
        weights: Sequence[_DirectionWeights],
        bidirectional: bool,
        weight_dtype: str,
    ) -> None: ...
    def matrices(self, cell: int) -> tuple[npt.NDArray[Any], npt.NDArray[Any]]: ...
    @property
    def nbytes(self) -> int: ...
    @property
    def weight_dtype(self) -> str | None: ...

class Stream:
    def __init__(self, packed: PackedWeights, batch: int, threads: int) -> None: ...
    def run(self, x: object, out: object, several: bool) -> Any: ...
    def repeat(self, x: object, out: object, count: int) -> None: ...
    def state(self) -> tuple[Any, Any]: ...
    def set_state(self, hidden: npt.NDArray[Any], cell: npt.NDArray[Any]) -> None: ...
    def reset(self) -> None: ...
    @property
    def nbytes(self) -> int: ...

def run_if_usual(
    input: object,
    initial_states: object,
    weights: object,
    num_layers: int,
    bidirectional: bool,
    threads: int,
) -> tuple[Any, Any, Any] | None: ...
def explain(
    seq_len: int,
    batch: int,
    input_size: int,
    hidden_size: int,
    num_layers: int,
    bidirectional: bool,
    batch_sizes: Sequence[int],
    lengths: Sequence[int],
    threads: int,
    element_bytes: int,
    weight_dtype: str,
    packed: bool,
    even_rows: bool,
    drops: bool,
) -> dict[str, Any]: ...
def forward(
    input: npt.NDArray[Any],
    hidden_initial: npt.NDArray[Any],
    cell_initial: npt.NDArray[Any],
    weights: PackedWeights | Sequence[_DirectionWeights],
    output: npt.NDArray[Any],
    hidden_final: npt.NDArray[Any],
    cell_final: npt.NDArray[Any],
    *,
    bidirectional: bool,
    batch_sizes: Sequence[int],
    lengths: Sequence[int],
    dropout: float,
    dropout_key: int,
    dropout_counter: int,
    tape: npt.NDArray[Any] | None,
    threads: int,
    split: tuple[int, int, int] | None = None,
    recompute: bool = False,
) -> None: ...
def tape_elements(
    seq_len: int,
    batch: int,
    input_size: int,
    hidden_size: int,
    num_layers: int,
    bidirectional: bool,
    batch_sizes: Sequence[int] = [],
    lengths: Sequence[int] = [],
    recompute: bool = False,
) -> int: ...
def backward(
    input: npt.NDArray[Any],
    hidden_initial: npt.NDArray[Any],
    cell_initial: npt.NDArray[Any],
    weights: Sequence[_DirectionWeights],
    tape: npt.NDArray[Any],
    output_gradient: npt.NDArray[Any] | None,
    hidden_final_gradient: npt.NDArray[Any] | None,
    cell_final_gradient: npt.NDArray[Any] | None,
    input_gradient: npt.NDArray[Any] | None,
    hidden_gradient: npt.NDArray[Any] | None,
    cell_gradient: npt.NDArray[Any] | None,
    weight_gradients: Sequence[_DirectionWeights] | None,
    workspace: npt.NDArray[Any] | None,
    *,
    hidden_size: int,
    num_layers: int,
    bidirectional: bool,
    batch_sizes: Sequence[int],
    lengths: Sequence[int],
    dropout: float,
    dropout_key: int,
    dropout_counter: int,
    accumulate: bool,
    has_steps: bool,
    recompute: bool,
    threads: int,
) -> None: ...
def version() -> str: ...
def compiler() -> str: ...
def openmp_version() -> int: ...
def most_threads() -> int: ...
def default_threads() -> int: ...
def choose_threads(threads: int) -> None: ...
def set_fallback_threads(threads: int) -> None: ...
def adapts_threads() -> bool: ...
def set_adapts_threads(adapts: bool) -> None: ...
def flushes_subnormals() -> bool: ...
def set_flush_subnormals(flush: bool) -> None: ...
def probe_multiply_adds(rounds: int, isa: str) -> int: ...
def probe_read(array: npt.NDArray[np.float32], rounds: int, isa: str) -> float: ...
def cache_bytes() -> list[int]: ...
def blas() -> dict[str, Any]: ...
def isa() -> dict[str, Any]: ...
