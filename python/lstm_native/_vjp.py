"""The function `lstm_vjp`."""

from collections.abc import Collection
from typing import Any, TypeAlias

from lstm_native import _config, _validate
from lstm_native._arrays import RealArray, as_real
from lstm_native._backward import OutputGradients, Wanted, backward, tape_elements
from lstm_native._extension import core
from lstm_native._functional import draw_masks, forward_drawn, prepare
from lstm_native._packing import PackedWeights, unpacked
from lstm_native._run import DirectionWeights, ForwardCall, empty, returned, take

Outputs: TypeAlias = tuple[RealArray, RealArray, RealArray]
Gradients: TypeAlias = tuple[
    RealArray | None,
    tuple[RealArray | None, RealArray | None],
    tuple[RealArray, ...] | None,
]

_NEEDS = ("input", "states", "weights")
_ALL_NEEDS = frozenset(_NEEDS)


class Pullback:
    """Takes the gradients of an `lstm_vjp` call's results to those of its arguments.

    It holds the call's tape, and refers to the call's arrays, which must not change before the last
    call. It may be called any number of times, by any number of threads.

    Attributes
    ----------
    nbytes : int
        Memory of the tape.
    """

    __slots__ = ("_call", "_default_threads", "_tape", "_transposed")

    def __init__(
        self, call: ForwardCall, tape: RealArray, transposed: bool, default_threads: bool = False
    ) -> None:
        self._call = call
        self._tape = tape
        self._transposed = transposed
        self._default_threads = default_threads

    @property
    def nbytes(self) -> int:
        return self._tape.nbytes

    def __call__(
        self,
        d_output: Any = None,
        d_h_outs: Any = None,
        d_c_outs: Any = None,
        *,
        needs: Collection[str] = _NEEDS,
    ) -> Gradients:
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
            As input. Zero past a sequence's end.
        (d_h_0, d_c_0) : tuple of numpy.ndarray
            As initial_states.
        d_all_weights : tuple of numpy.ndarray
            As all_weights.
        """
        call = self._call
        if self._default_threads:  # as it is now
            call = call._replace(threads=_config.get_num_threads())
        wanted = check_needs(needs)
        output = _like(call, d_output, "d_output", call.output_shape)
        h_n = _like(call, d_h_outs, "d_h_outs", call.h_0.shape)
        c_n = _like(call, d_c_outs, "d_c_outs", call.h_0.shape)
        arrays, cells = self._empty_weights() if "weights" in wanted else (None, None)
        d_input, d_h, d_c = backward(
            call,
            self._tape,
            OutputGradients(output, h_n, c_n),
            Wanted("input" in wanted, "states" in wanted, cells),
        )
        d_weights = None if arrays is None else tuple(returned(call, array) for array in arrays)
        return d_input, (d_h, d_c), d_weights

    def _empty_weights(self) -> tuple[list[RealArray], list[DirectionWeights]]:
        """Return arrays for the gradients in the order of all_weights, and as the core has them."""
        arrays: list[RealArray] = []
        cells: list[Any] = []
        assert not isinstance(self._call.weights, core.PackedWeights)
        for cell in self._call.weights:
            gradients: list[RealArray | None] = [None] * len(cell)
            for k, weight in enumerate(cell):
                if weight is None:
                    continue
                shape = weight.shape[::-1] if self._transposed else weight.shape
                arrays.append(empty(self._call, shape))
                gradients[k] = arrays[-1].T if self._transposed else arrays[-1]
            cells.append(tuple(gradients))
        return arrays, cells


def lstm_vjp(
    input: Any,
    initial_states: Any,
    all_weights: Any,
    num_layers: int,
    dropout: float,
    train: bool,
    bidirectional: bool,
    batch_first: bool = False,
    batch_sizes: Any = None,
    weights_transposed: bool = False,
    has_ih_bias: bool = True,
    has_hh_bias: bool = True,
    *,
    seed: int | None = None,
    num_threads: int | None = None,
    lengths: Any = None,
    recompute: bool = False,
    device: Any = "cpu",
) -> tuple[Outputs, Pullback]:
    """Apply `lstm`, and keep what gradients of it need.

    Parameters
    ----------
    input, initial_states, all_weights, num_layers, dropout, train, bidirectional, batch_first,
    batch_sizes, weights_transposed, has_ih_bias, has_hh_bias, seed, num_threads, lengths, device
        As for `lstm`. Of PackedWeights the arrays are used that `unpack()` returns; gradients are
        theirs. `num_threads` and `device` also hold for the pullback.
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
    with `recompute`. Dropout
    masks are not on it: the pullback computes them again. Gradients don't depend on the number of
    threads.

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
    )
    transposed = weights_transposed
    if isinstance(all_weights, PackedWeights):
        transposed = all_weights.weights_transposed
        call = call._replace(weights=unpacked(all_weights)[1])
    call = call._replace(recompute=again, tape_elements=tape_elements(call, again))
    call = draw_masks(call, seed, stacklevel=2)
    output, h_n, c_n, tape = forward_drawn(call, seed)
    assert tape is not None
    return (output, h_n, c_n), Pullback(call, tape, transposed, num_threads is None)


def check_needs(needs: Any) -> frozenset[str]:
    """Return which gradients are asked for."""
    if needs is _NEEDS:
        return _ALL_NEEDS
    expected = "needs: expected a collection of 'input', 'states' and 'weights', got"
    if isinstance(needs, str) or not isinstance(needs, Collection):
        raise TypeError(f"{expected} {_validate.described(needs)}")
    for need in needs:
        if not isinstance(need, str) or need not in _NEEDS:
            raise ValueError(f"{expected} one with {_validate.described(need)}")
    return frozenset(needs)


def _like(call: ForwardCall, value: Any, name: str, expected: tuple[int, ...]) -> RealArray | None:
    if value is None:
        return None
    array = as_real(take(call, value, name), name, call.input, "input")
    _validate.shape(array, name, expected, tuple(map(str, expected)))
    return array
