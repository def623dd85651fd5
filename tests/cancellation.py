"""Cancels calls at any of their checks, without a clock: those at which a signal could."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

from lstm_native._core import testing


class CancelledError(Exception):
    pass


class Check(NamedTuple):
    place: str  # the function of the core that checks
    work: int  # what has been done since the check before: multiply-adds, or what takes as long


# For the other threads of a call, any number of times.
WAITING = {"spin_until", "yield_until", "wait_for_others"}


@contextmanager
def hook(function: Callable[[str, int], None]) -> Iterator[None]:
    """Run it at every check of this thread's calls; they are cancelled if it raises."""

    def run(place: str, work: int) -> None:
        name, *_ = place.split("<")  # GCC names a template's arguments, too
        function(name, work)
        if name in WAITING:
            os.sched_yield()

    testing.set_hook(run)
    try:
        yield
    finally:
        testing.set_hook(None)


def checks(call: Callable[[], Any]) -> list[Check]:
    """What a call that runs to its end checks."""
    seen: list[Check] = []
    with hook(lambda *check: seen.append(Check(*check))):
        call()
    return seen


def cancel_at(call: Callable[[], Any], number: int, place: str | None = None) -> Any:
    """Cancel a call at its check of this number, of all or of those in one place.

    Returns what a call returns that has fewer of them; raises CancelledError for any other.
    """
    count = 0

    def cancel(where: str, _: int) -> None:
        nonlocal count
        count += place in (None, where)
        if count == number + 1:
            raise CancelledError

    with hook(cancel):
        results = call()
    assert count <= number, "a call that was cancelled went on to its end"
    return results
