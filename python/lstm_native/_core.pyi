from collections.abc import Sequence
from typing import Any

import numpy.typing as npt

def forward(
    input: npt.NDArray[Any],
    hidden_initial: npt.NDArray[Any],
    cell_initial: npt.NDArray[Any],
    weights: Sequence[
        tuple[npt.NDArray[Any], npt.NDArray[Any], npt.NDArray[Any] | None, npt.NDArray[Any] | None]
    ],
    output: npt.NDArray[Any],
    hidden_final: npt.NDArray[Any],
    cell_final: npt.NDArray[Any],
    *,
    bidirectional: bool,
    batch_sizes: Sequence[int],
    dropout: float,
    dropout_key: int,
    dropout_counter: int,
    tape: npt.NDArray[Any] | None,
    threads: int,
) -> None: ...
def tape_elements(
    seq_len: int,
    batch: int,
    input_size: int,
    hidden_size: int,
    num_layers: int,
    bidirectional: bool,
) -> int: ...
def version() -> str: ...
def compiler() -> str: ...
def openmp_version() -> int: ...
def most_threads() -> int: ...
def blas() -> dict[str, Any]: ...
def isa() -> dict[str, Any]: ...
