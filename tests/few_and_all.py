"""Parameters: a few are always tried, all of them with `--thorough`."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import pytest


def few_of(
    name: str, values: Iterable[Any], few: Iterable[Any], ids: Callable[[Any], str] | None = None
) -> pytest.MarkDecorator:
    """Parametrize a test; all values but the few are marked as thorough.

    A test with several such parameters is always tried with the few of each.
    """
    wanted = list(few)
    marked = [
        value if value in wanted else pytest.param(value, marks=pytest.mark.thorough)
        for value in values
    ]
    return pytest.mark.parametrize(name, marked, ids=ids)
