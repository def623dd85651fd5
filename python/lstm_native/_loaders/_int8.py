"""Matrices in 8 bits, as files hold them: integers, and a scale for each row."""

import numpy as np
import numpy.typing as npt

from lstm_native._loaders._description import Array

Integers = npt.NDArray[np.int8]
Scales = npt.NDArray[np.float32]


def rounded(matrix: Array) -> tuple[Integers, Scales]:
    """Return integers and scales of a float32 matrix.

    For a matrix that was packed in int8 they are those of the packed form. The core's scale is the
    largest magnitude of a row over 127, rounded up to 16 bits, so that `restored` is exact.
    """
    largest = np.abs(matrix).max(axis=1).astype(np.float64)
    mantissas, exponents = np.frexp(largest / 127.0)
    scales = np.ldexp(np.ceil(np.ldexp(mantissas, 16)), exponents - 16).astype(np.float32)
    columns = np.where(scales == 0.0, np.float32(1.0), scales)[:, np.newaxis]
    return np.clip(np.rint(matrix / columns), -127, 127).astype(np.int8), scales


def restored(integers: Integers, scales: Scales) -> Array:
    """Return the matrix that integers and scales stand for."""
    matrix: Array = integers.astype(np.float32) * scales[:, np.newaxis]
    return matrix
