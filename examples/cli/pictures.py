"""Writes pictures."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from cli.errors import InputError

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def check_folder(path: Path) -> None:
    """Refuse before the work a file that can't be written after it."""
    if not path.parent.is_dir():
        raise InputError(f"{path}: no such folder: {path.parent}")


def save(figure: Figure, path: Path) -> None:
    """Write a figure as PNG."""
    # Without pyplot, which would look for a screen.
    from matplotlib.backends.backend_agg import FigureCanvasAgg  # noqa: PLC0415

    FigureCanvasAgg(figure)
    try:
        figure.savefig(path, format="png")
    except OSError as error:
        raise InputError(f"{path}: cannot be written: {error.strerror}") from None
