"""Checks that the packages an example needs are installed."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.util import find_spec

from cli.errors import InputError


def check_packages(names: Sequence[str], where: str) -> None:
    """Refuse early if a package is missing, rather than from the middle of the work.

    `where` names what lists the packages.
    """
    missing = [name for name in names if find_spec(name) is None]
    if missing:
        raise InputError(f"not installed: {', '.join(missing)}; see {where}")
