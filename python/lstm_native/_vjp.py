"""The function `lstm_vjp`."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any, Generic, TypeAlias, cast, get_args, overload

from lstm_native import _validate
from lstm_native._arrays import RealArray, as_real
from lstm_native._backward import GradientNeeds, OutputGradients, backward
from lstm_native._cell import Cell
from lstm_native._extension import core
from lstm_native._functional import draw_masks, forward_drawn, prepare
from lstm_native._packing import PackedWeights, Weights, unpacked
from lstm_native._run import ForwardCall, take
from lstm_native._types import (
    Array,
    ArrayLike,
    BooleansLike,
    Direction,
    IntegersLike,
    MaskedOutput,
    Need,
    States,
)
from lstm_native.cuda import DeviceLike

Gradients: TypeAlias = tuple[Array, tuple[Array, Array], tuple[Array, ...]]
SomeGradients: TypeAlias = tuple[
    Array | None, tuple[Array | None, Array | None], tuple[Array, ...] | None
]

_NEEDS: tuple[Need, ...] = get_args(Need)


@dataclass(frozen=True, eq=False, repr=False)
class Pullback(Generic[Array]):
    """Computes the gradients of an `lstm_vjp` call's arguments from those of its results.

    It holds the call's tape, and refers to the call's arrays, which must not change before the
    pullback's last call. It may be called any number of times, by any number of threads.

    Attributes
    ----------
    nbytes : int
        Memory of the tape, in bytes.
    """

    __slots__ = ("_call", "_tape", "_transposed")

    _call: ForwardCall
    _tape: RealArray
    _transposed: bool

    @property
    def nbytes(self) -> int:
        return self._tape.nbytes

    def __reduce__(self) -> str | tuple[Any, ...]:
        raise TypeError(
            "a Pullback can't be pickled or copied; keep the arguments of lstm_vjp, and call it "
            "again (dropout: with the same seed=)"
        )

    @overload
    def __call__(
        self,
        d_output: ArrayLike | None = None,
        d_h_outs: ArrayLike | None = None,
        d_c_outs: ArrayLike | None = None,
    ) -> Gradients[Array]: ...
    @overload
    def __call__(
        self,
        d_output: ArrayLike | None = None,
        d_h_outs: ArrayLike | None = None,
        d_c_outs: ArrayLike | None = None,
        *,
        needs: Collection[Need],
    ) -> SomeGradients[Array]: ...
    def __call__(
        self,
        d_output: Any = None,
        d_h_outs: Any = None,
        d_c_outs: Any = None,
        *,
        needs: Collection[Need] = _NEEDS,
    ) -> SomeGradients[Any]:
        """Compute gradients.

        Parameters
        ----------
        d_output, d_h_outs, d_c_outs : array, optional
            Gradients of `lstm_vjp`'s results, with their shapes and dtype. None: zero.
        needs : collection of {"input", "states", "weights"}
            What to compute. The rest costs nothing and comes back as None.

        Returns
        -------
        d_input : numpy.ndarray
            As input. Zero past a sequence's end, and at masked steps.
        (d_h_0, d_c_0) : tuple of numpy.ndarray
            As initial_states.
        d_all_weights : tuple of numpy.ndarray
            As all_weights.

        Raises
        ------
        TypeError
            If a gradient is no array of input's dtype, or `needs` no collection.
        ValueError
            If a gradient has the wrong shape, or `needs` has another name.
        MemoryError
            If the results or the working memory can't be allocated.
        """
        call, tape = self._call, self._tape
        wanted = _ALL[self._transposed] if needs is _NEEDS else _wanted(needs, self._transposed)
        given = (d_output, d_h_outs, d_c_outs)
        results = None
        if call.target is None and call.steps is None:
            results = core.backward_if_plain(call, tape, given, wanted)
        if results is None:  # something to convert
            converted = OutputGradients(
                _like(call, d_output, "d_output", call.output_shape),
                _like(call, d_h_outs, "d_h_outs", call.h_0.shape),
                _like(call, d_c_outs, "d_c_outs", call.c_0.shape),
            )
            results = backward(call, tape, converted, wanted)
        d_input, d_h, d_c, d_weights = results
        return d_input, (d_h, d_c), d_weights


@overload
def lstm_vjp(
    input: Array,
    initial_states: States | None,
    all_weights: Weights,
    num_layers: int | None = None,
    dropout: float = 0.0,
    train: bool = False,
    bidirectional: bool | None = None,
    batch_first: bool = False,
    batch_sizes: IntegersLike | None = None,
    weights_transposed: bool = False,
    has_ih_bias: bool = True,
    has_hh_bias: bool = True,
    *,
    seed: int | None = None,
    num_threads: int | None = None,
    lengths: IntegersLike | None = None,
    recompute: bool = False,
    device: DeviceLike = "cpu",
    cell: Cell | None = None,
    direction: Direction = "forward",
    mask: BooleansLike | None = None,
    masked_output: MaskedOutput = "zero",
) -> tuple[tuple[Array, Array, Array], Pullback[Array]]: ...
@overload
def lstm_vjp(
    input: ArrayLike,
    initial_states: States | None,
    all_weights: Weights,
    num_layers: int | None = None,
    dropout: float = 0.0,
    train: bool = False,
    bidirectional: bool | None = None,
    batch_first: bool = False,
    batch_sizes: IntegersLike | None = None,
    weights_transposed: bool = False,
    has_ih_bias: bool = True,
    has_hh_bias: bool = True,
    *,
    seed: int | None = None,
    num_threads: int | None = None,
    lengths: IntegersLike | None = None,
    recompute: bool = False,
    device: DeviceLike = "cpu",
    cell: Cell | None = None,
    direction: Direction = "forward",
    mask: BooleansLike | None = None,
    masked_output: MaskedOutput = "zero",
) -> tuple[tuple[Any, Any, Any], Pullback[Any]]: ...
def lstm_vjp(
    input: ArrayLike,
    initial_states: States | None,
    all_weights: Weights,
    num_layers: int | None = None,
    dropout: float = 0.0,
    train: bool = False,
    bidirectional: bool | None = None,
    batch_first: bool = False,
    batch_sizes: IntegersLike | None = None,
    weights_transposed: bool = False,
    has_ih_bias: bool = True,
    has_hh_bias: bool = True,
    *,
    seed: int | None = None,
    num_threads: int | None = None,
    lengths: IntegersLike | None = None,
    recompute: bool = False,
    device: DeviceLike = "cpu",
    cell: Cell | None = None,
    direction: Direction = "forward",
    mask: BooleansLike | None = None,
    masked_output: MaskedOutput = "zero",
) -> tuple[tuple[Any, Any, Any], Pullback[Any]]:
    """Apply `lstm`, and keep what gradients of it need.

    Parameters
    ----------
    input, initial_states, all_weights, num_layers, dropout, train, bidirectional, batch_first,
    batch_sizes, weights_transposed, has_ih_bias, has_hh_bias, seed, num_threads, lengths, device,
    cell, direction, mask, masked_output
        As for `lstm`. PackedWeights count as the arrays that their `unpack()` returns, and
        gradients are of those. `num_threads` and `device` also hold for the pullback.
    recompute : bool, default False
        Keep hidden and cell states only, and compute the gates again in each call of the pullback:
        the same gradients, bit for bit (on CUDA, but for rounding), with 2 / 5 of the tape.

    Returns
    -------
    (output, h_outs, c_outs) : tuple of numpy.ndarray
        What `lstm` returns.
    pullback : Pullback
        `pullback(d_output, d_h_outs, d_c_outs, needs=...)`, each gradient optional, returns
        `(d_input, (d_h_0, d_c_0), d_all_weights)`, in the shapes and the order of the arguments.

    Raises
    ------
    TypeError, ValueError, MemoryError
        As `lstm`; the pullback likewise.

    Warns
    -----
    UserWarning
        As `lstm`.

    Notes
    -----
    The tape takes 5 * H elements for each step of each sequence, per layer and direction, or 2 * H
    with `recompute`. Dropout masks are not on it: the pullback computes them again. Gradients don't
    depend on the number of threads.

    Examples
    --------
    >>> import numpy as np
    >>> import lstm_native
    >>> x, state = np.ones((5, 2, 10), np.float32), np.ones((1, 2, 2), np.float32)
    >>> weights = [np.ones(s, np.float32) for s in [(8, 10), (8, 2), (8,), (8,)]]
    >>> outputs, pullback = lstm_native.lstm_vjp(x, (state, state), weights, 1, 0.0, True, False)
    >>> d_input, (d_h_0, d_c_0), d_weights = pullback(np.ones_like(outputs[0]))
    >>> d_input.shape, [d.shape for d in d_weights]
    ((5, 2, 10), [(8, 10), (8, 2), (8,), (8,)])
    """
    again = _validate.boolean(recompute, "recompute")
    call = prepare(
        input,
        initial_states,
        all_weights,
        num_layers,
        dropout,
        train,
        bidirectional,
        batch_first,
        batch_sizes,
        weights_transposed,
        has_ih_bias,
        has_hh_bias,
        seed=seed,
        num_threads=num_threads,
        lengths=lengths,
        device=device,
        cell=cell,
        direction=direction,
        mask=mask,
        masked_output=masked_output,
    )
    transposed = weights_transposed
    if isinstance(all_weights, PackedWeights):
        transposed = all_weights.weights_transposed
        call = call._replace(weights=unpacked(all_weights)[1])
    call = draw_masks(call._replace(tape="hidden" if again else "gates"), seed, stacklevel=2)
    output, h_n, c_n, tape = forward_drawn(call, seed)
    kept = cast("RealArray", tape)  # the call says tape=
    pullback: Pullback[Any] = Pullback(call.with_contiguous_rows(), kept, transposed)
    return (output, h_n, c_n), pullback


_ALL = {transposed: GradientNeeds(True, True, True, transposed) for transposed in (False, True)}


def _wanted(needs: object, transposed: bool) -> GradientNeeds:
    """Return what is asked for."""
    expected = "needs: expected a collection of 'input', 'states' and 'weights', got"
    if isinstance(needs, str) or not isinstance(needs, Collection):
        raise TypeError(f"{expected} {_validate.described(needs)}")
    for need in needs:
        if not isinstance(need, str) or need not in _NEEDS:
            raise ValueError(f"{expected} one with {_validate.described(need)}")
    wanted = GradientNeeds("input" in needs, "states" in needs, None, transposed)
    return wanted._replace(weights=True) if "weights" in needs else wanted


def _like(
    call: ForwardCall, value: ArrayLike | None, name: str, expected: tuple[int, ...]
) -> RealArray | None:
    if value is None:
        return None
    array = as_real(take(call, value, name), name, call.input, "input")
    _validate.shape(array, name, expected, tuple(map(str, expected)))
    return array
