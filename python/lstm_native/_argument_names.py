"""Errors of an inner function, with the argument names of the function that was called."""

from __future__ import annotations

import re


class ArgumentNames:
    """Own names for the arguments of an inner function, as `with ArgumentNames(input="x"):`.

    A TypeError or ValueError that leaves the block has them in its message. The block keeps no
    state: threads can share it.
    """

    __slots__ = ("_own", "_pattern")

    def __init__(self, **own: str) -> None:
        self._own = own
        # Messages begin with the argument; others follow as "the same as input".
        self._pattern = re.compile(rf"(^|\b(?:as|of) )({'|'.join(own)})\b")

    def __enter__(self) -> None:
        pass

    def __exit__(self, _kind: object, error: BaseException | None, _trace: object) -> None:
        if isinstance(error, TypeError | ValueError) and len(error.args) == 1:
            text = str(error.args[0])
            error.args = (self._pattern.sub(lambda m: m[1] + self._own[m[2]], text),)
