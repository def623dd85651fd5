"""`mask=`: the steps that a call computes, moved to the front of their sequences, and back."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from lstm_native._arrays import RealArray
from lstm_native._memory import new_array
from lstm_native._sizes import Sizes

if TYPE_CHECKING:
    import numpy.typing as npt

    Booleans = npt.NDArray[np.bool_]
    Integers = npt.NDArray[np.intp]


@dataclass(frozen=True, eq=False)
class _Sources:
    """The source of each row of a batch as given."""

    rows: Integers
    """The row of the computed batch."""
    zero: Booleans
    """True where the row has no source, and is zero."""


@dataclass(frozen=True, eq=False)
class ComputedSteps:
    """Where the computed steps of a batch stand, among masked ones.

    With T = seq_len, N = batch and S = the most computed steps of a sequence: arrays as given are
    (T, N, F), those of the computed batch (S, N, F), where each sequence's steps follow each other
    from the first on. With batch_first both have N first. A row is an index of the two first axes
    taken as one.
    """

    shape: tuple[int, int]
    """(T, N), or (N, T)."""
    computed_shape: tuple[int, int]
    """(S, N), or (N, S)."""
    _given: Integers
    """For each row of the computed batch, its row as given; past a sequence's end, any row."""
    _steps: _Sources
    _outputs: tuple[_Sources, ...]
    """The sources of equal shares of an output's columns."""

    @property
    def nbytes(self) -> int:
        """Memory of the indices."""
        sources = (self._steps, *(one for one in self._outputs if one is not self._steps))
        return self._given.nbytes + sum(one.rows.nbytes + one.zero.nbytes for one in sources)

    def working_bytes(self, sizes: Sizes, element_bytes: int, inside: int) -> int:
        """Return the memory that a forward call takes at most beside its results.

        inside: what the call of the computed batch takes.
        """
        given, computed = math.prod(self.shape), math.prod(self.computed_shape)
        lists = 3 + (0 if self._outputs[0] is self._steps else len(self._outputs))
        making = lists * given * self._given.itemsize
        columns = sizes.directions * sizes.output_size
        shares = len(self._outputs)
        # NumPy gathers between copies of the columns that are not all.
        gathering = (given + computed) * (columns // shares) if shares > 1 else 0
        copies = computed * (sizes.input_size + columns)
        return self.nbytes + max(
            making, copies * element_bytes + max(inside, gathering * element_bytes)
        )

    def of_input(self, array: RealArray) -> RealArray:
        """Return an input's computed steps: (S, N, F) of (T, N, F)."""
        width = array.shape[-1]
        steps: RealArray = array.reshape(-1, width).take(self._given, axis=0)
        return steps.reshape(*self.computed_shape, width)

    def output(self, computed: RealArray) -> RealArray:
        """Return an output as the caller gets it: (T, N, F) of (S, N, F)."""
        return self._spread(computed, self._outputs)

    def of_output_gradient(self, gradient: RealArray) -> RealArray:
        """Return the gradient of the computed output: (S, N, F) of (T, N, F)."""
        if self._outputs[0] is self._steps:
            return self.of_input(gradient)
        width = gradient.shape[-1]
        result: RealArray = np.zeros((*self.computed_shape, width), gradient.dtype)
        rows, given = result.reshape(-1, width), gradient.reshape(-1, width)
        for columns, sources in _shares(width, self._outputs):
            # For each row of the computed batch, the sum over all copies of it.
            copies = np.flatnonzero(~sources.zero)
            origins = sources.rows.take(copies)
            order = np.argsort(origins, kind="stable")
            copies, origins = copies.take(order), origins.take(order)
            if copies.size:
                first = np.flatnonzero(np.diff(origins, prepend=-1))
                sums = np.add.reduceat(given[:, columns].take(copies, axis=0), first, axis=0)
                places, here = origins.take(first), np.arange(len(rows))
                found = np.searchsorted(places, here)
                missing = places.take(found, mode="clip") != here
                _gather(sums, _Sources(found, missing), rows[:, columns])
        return result

    def input_gradient(self, computed: RealArray) -> RealArray:
        """Return the gradient of the input as given: (T, N, F) of (S, N, F)."""
        return self._spread(computed, (self._steps,))

    def _spread(self, computed: RealArray, sources: tuple[_Sources, ...]) -> RealArray:
        width = computed.shape[-1]
        result = new_array((*self.shape, width), computed.dtype)
        rows, given = result.reshape(-1, width), computed.reshape(-1, width)
        for columns, source in _shares(width, sources):
            _gather(given[:, columns], source, rows[:, columns])
        return result


# By take and copyto: where memory runs out, indexing by arrays may raise a SystemError (NumPy 2.4).
def _gather(rows: RealArray, sources: _Sources, to: RealArray) -> None:
    # Without mode="clip" NumPy makes a copy. Rows without a source have any index.
    np.take(rows, sources.rows, axis=0, out=to, mode="clip")
    np.copyto(to, 0, where=sources.zero[:, np.newaxis])


def _shares(width: int, sources: tuple[_Sources, ...]) -> list[tuple[slice, _Sources]]:
    """Return the columns of each source."""
    share = width // len(sources)
    return [
        (slice(place * share, (place + 1) * share), source) for place, source in enumerate(sources)
    ]


def computed_steps(
    mask: Booleans, batch_first: bool, repeats_last: bool, reverse: Sequence[bool]
) -> tuple[ComputedSteps | None, list[int]]:
    """Return the steps that a mask leaves, and the lengths of the sequences that they make.

    None where the computed steps are at the front and no output is repeated: then the lengths
    suffice. No lengths where all are the same: a batch without padding.

    mask: True where a step is computed. repeats_last: whether the output of a masked step is the
    last one before it. reverse: for each direction, whether it takes the steps from the end.
    """
    kept = mask if batch_first else mask.T
    batch, seq_len = kept.shape
    counts = np.cumsum(kept, axis=1)
    lengths: list[int] = counts[:, -1].tolist()
    if min(lengths, default=seq_len) == seq_len:
        return None, []
    most = max(1, *lengths)
    if not repeats_last and not (kept[:, 1:] > kept[:, :-1]).any():
        return None, lengths
    sequences = np.arange(batch)[:, np.newaxis]

    def sources(places: Integers, zero: Booleans) -> _Sources:
        """Return the sources, from places (N, T) among each sequence's computed steps."""
        if batch_first:
            return _Sources((sequences * most + places).reshape(-1), zero.reshape(-1))
        return _Sources((places * batch + sequences).T.reshape(-1), zero.T.reshape(-1))

    steps = sources(counts - 1, ~kept)
    outputs: tuple[_Sources, ...] = (steps,)
    if repeats_last:
        # A masked step has `counts` computed steps before it. It repeats the last of them, or the
        # next one after it.
        places = [counts - kept if of_end else counts - 1 for of_end in reverse]
        outputs = tuple(sources(p, (p < 0) | (p >= counts[:, -1:])) for p in places)
    rows = np.flatnonzero(~steps.zero)
    given = np.zeros(most * batch, np.intp)
    np.put(given, steps.rows.take(rows), rows)
    computed = (batch, most) if batch_first else (most, batch)
    return (
        ComputedSteps(mask.shape, computed, given, steps, outputs),
        [] if min(lengths) == most else lengths,
    )
