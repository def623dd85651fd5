"""A function for JAX: `lstm_native.jax.lstm`, with gradients, under `jit` and `vmap`.

The only part of the package that needs JAX; `import lstm_native` does not import it.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import Any, NamedTuple, TypeAlias

import numpy as np

from lstm_native import _validate
from lstm_native._backward import GradientNeeds, OutputGradients, backward
from lstm_native._cell import Cell
from lstm_native._extension import core
from lstm_native._functional import prepare
from lstm_native._run import ForwardCall, forward
from lstm_native._types import Direction

try:
    import jax
except ImportError as reason:
    raise ImportError(
        f"lstm_native.jax: expected JAX to be installed (pip install jax), got: {reason}"
    ) from reason

import jax.numpy as jnp
from jax.custom_batching import custom_vmap, sequential_vmap
from jax.custom_derivatives import SymbolicZero

from lstm_native import _xla_call

__all__ = ["lstm"]

ArrayLike: TypeAlias = Any
Results: TypeAlias = tuple[jax.Array, jax.Array, jax.Array]

_INTEGERS = "iu"


class _Options(NamedTuple):
    """What a call is compiled for."""

    num_layers: Any
    dropout: float
    bidirectional: bool
    batch_first: bool
    has_ih_bias: bool
    has_hh_bias: bool
    num_threads: int | None
    recompute: bool
    cell: Cell | None
    direction: Direction
    drops: bool
    """Whether masks are drawn, between layers or of hidden states."""


class _Arrays(NamedTuple):
    """What a call computes with."""

    input: Any
    h_0: Any
    c_0: Any
    weights: Any
    lengths: Any
    seed: Any


class _Kept(NamedTuple):
    """What a backward pass reads.

    `needs` has () for each gradient to compute and None for each other one, because flags travel
    from a forward to a backward pass only as the structure of a tree.
    """

    arrays: _Arrays
    tape: Any
    needs: tuple[tuple[()] | None, tuple[()] | None, tuple[()] | None]


def lstm(
    input: ArrayLike,
    initial_states: tuple[ArrayLike, ArrayLike] | None,
    all_weights: Sequence[ArrayLike],
    num_layers: int,
    dropout: float = 0.0,
    train: bool = False,
    bidirectional: bool = False,
    batch_first: bool = False,
    *,
    has_ih_bias: bool = True,
    has_hh_bias: bool = True,
    seed: ArrayLike | None = None,
    num_threads: int | None = None,
    lengths: ArrayLike | None = None,
    recompute: bool = False,
    cell: Cell | None = None,
    direction: Direction = "forward",
) -> Results:
    """Apply `lstm_native.lstm` to JAX's arrays, on the CPU.

    Parameters
    ----------
    input, initial_states, all_weights
        Shapes as for `lstm_native.lstm`; float32, or float64 where JAX has it enabled.
    num_layers, dropout, train, bidirectional, batch_first, has_ih_bias, has_hh_bias, num_threads
        As for `lstm_native.lstm`. They are not traced.
    seed : integer array of no dimensions, or int
        The seed of this call's dropout masks, at least 0. Needed where dropout is applied, because
        JAX functions have no state. `jax.random.bits(key)` makes one. May be traced.
    lengths : integer array, shape (N,), optional
        The steps of each sequence, from 0 to T. May be traced.
    recompute : bool, default False
        As for `lstm_native.lstm_vjp`: a smaller tape, and backward computes the gates again.
    cell : Cell, optional
    direction : {"forward", "reverse"}, default "forward"
        As for `lstm_native.lstm`.

    Returns
    -------
    output, h_n, c_n : jax.Array
        As `lstm_native.lstm` returns them.

    Raises
    ------
    TypeError, ValueError
        As `lstm_native.lstm`, when the call is traced. Values of traced `lengths` and `seed` are
        checked when the call runs: there JAX raises its own error, with the same text.

    Notes
    -----
    `jax.grad`, `jax.vjp`, `jax.jit` and `jax.vmap` work. A tape is kept only where a gradient may
    be asked for, and only gradients that are asked for are computed. Without gradients and without
    dropout, `vmap` over inputs, states and lengths is one call with a larger batch; in all other
    cases its examples run one after the other, so give a batch as the batch. Forward-mode and
    second derivatives raise errors of JAX. See docs/jax.md.

    Examples
    --------
    >>> import jax
    >>> import jax.numpy as jnp
    >>> import lstm_native.jax
    >>> x = jnp.ones((5, 2, 10))
    >>> weights = [jnp.ones(s) for s in [(8, 10), (8, 2), (8,), (8,)]]
    >>> output, h_n, c_n = lstm_native.jax.lstm(x, None, weights, 1)
    >>> loss = lambda weights: lstm_native.jax.lstm(x, None, weights, 1)[0].sum()
    >>> [d.shape for d in jax.jit(jax.grad(loss))(weights)]
    [(8, 10), (8, 2), (8,), (8,)]
    """
    rate = _validate.dropout_rate(dropout, "dropout", integers=True)
    train = _validate.boolean(train, "train")
    drops = train and (rate > 0.0 or _validate.cell(cell).recurrent_dropout > 0.0)
    if drops and seed is None:
        raise ValueError(
            "seed: expected an integer or a JAX array where dropout is applied, got None"
        )
    options = _Options(
        num_layers,
        rate,
        _validate.boolean(bidirectional, "bidirectional"),
        _validate.boolean(batch_first, "batch_first"),
        _validate.boolean(has_ih_bias, "has_ih_bias"),
        _validate.boolean(has_hh_bias, "has_hh_bias"),
        num_threads,
        _validate.boolean(recompute, "recompute"),
        cell,
        direction,
        drops,
    )
    hidden, cell_state = (None, None)
    if initial_states is not None:
        hidden, cell_state = _validate.pair(initial_states, "initial_states", ("h_0", "c_0"))
    arrays = _Arrays(
        jnp.asarray(input),
        None if hidden is None else jnp.asarray(hidden),
        None if cell_state is None else jnp.asarray(cell_state),
        tuple(map(jnp.asarray, all_weights)),
        _integers(lengths, "lengths"),
        _integers(seed, "seed") if drops else None,
    )
    described = _described(options, arrays)
    if initial_states is None:
        zeros = jnp.zeros(described.h_0.shape, described.input.dtype)
        arrays = arrays._replace(h_0=zeros, c_0=zeros)
    return _lstm(options, arrays)


def _integers(value: Any, name: str) -> jax.Array | None:
    if value is None:
        return None
    array = jnp.asarray(value)
    if array.dtype.kind not in _INTEGERS:
        raise TypeError(f"{name}: expected integers, got {array.dtype}")
    return array


# --- one call, in NumPy ---------------------------------------------------------------------------


def _call(options: _Options, arrays: _Arrays) -> ForwardCall:
    return prepare(
        arrays.input,
        None if arrays.h_0 is None else (arrays.h_0, arrays.c_0),
        arrays.weights,
        options.num_layers,
        options.dropout,
        options.drops,
        options.bidirectional,
        options.batch_first,
        None,
        False,
        options.has_ih_bias,
        options.has_hh_bias,
        seed=None if arrays.seed is None else int(arrays.seed),
        num_threads=options.num_threads,
        lengths=arrays.lengths,
        cell=options.cell,
        direction=options.direction,
    )


def _described(options: _Options, arrays: _Arrays) -> ForwardCall:
    """Check shapes, dtypes, and the values that are known now; return the call without values."""

    def without_values(array: Any) -> Any:
        return np.broadcast_to(np.zeros((), array.dtype), array.shape)

    def known(array: Any) -> Any:
        return without_values(array) if isinstance(array, jax.core.Tracer) else np.asarray(array)

    described = jax.tree.map(without_values, arrays)
    return _call(
        options,
        described._replace(
            lengths=jax.tree.map(known, arrays.lengths), seed=jax.tree.map(known, arrays.seed)
        ),
    )


def _tape(options: _Options) -> Any:
    return "hidden" if options.recompute else "gates"


def _most_elements(options: _Options, call: ForwardCall) -> int:
    """Return the elements of a tape where all sequences are as long as the padded batch."""
    return core.tape_elements(call.problem._replace(lengths=()), options.recompute)


def _like(array: Any) -> jax.ShapeDtypeStruct:
    return jax.ShapeDtypeStruct(array.shape, array.dtype)


def _called(host: Any, results: Any, *arguments: Any) -> Any:
    """Call a function of NumPy's arrays in a program; arguments and results are trees."""
    operands, structure = jax.tree.flatten(arguments)
    shapes, of_results = jax.tree.flatten(results)
    returned = _xla_call.call(_named(host, structure), shapes, operands)
    return jax.tree.unflatten(of_results, returned)


@functools.cache
def _named(host: Any, structure: Any) -> str:
    def of_arrays(*arrays: Any) -> Any:
        return jax.tree.leaves(host(*jax.tree.unflatten(structure, arrays)))

    return _xla_call.named(of_arrays)


@functools.cache
def _forward(options: _Options, keeps: bool) -> Any:
    """Return the forward pass of `_Arrays`: output, h_n, c_n, and the tape if it ``keeps`` one."""

    def host(arrays: _Arrays) -> tuple[Any, ...]:
        call = _call(options, arrays)
        output, h_n, c_n, tape = forward(call._replace(tape=_tape(options) if keeps else None))
        if tape is None:
            return output, h_n, c_n
        if call.problem.lengths:
            space = np.empty((_most_elements(options, call), 1), tape.dtype)
            space[: len(tape)] = tape
            tape = space
        return output, h_n, c_n, tape

    def run(arrays: _Arrays) -> Any:
        call = _described(options, arrays)
        dtype = call.input.dtype
        results = [jax.ShapeDtypeStruct(call.output_shape, dtype), _like(call.h_0), _like(call.c_0)]
        if keeps:
            results.append(jax.ShapeDtypeStruct((_most_elements(options, call), 1), dtype))
        return _called(host, tuple(results), arrays)

    one_by_one = sequential_vmap(run)
    if keeps or options.drops:  # a tape belongs to one call; so do masks
        return one_by_one

    @custom_vmap
    def at_once(arrays: _Arrays) -> Any:
        return run(arrays)

    @at_once.def_vmap
    def _(axis_size: int, batched_arguments: Any, arrays: _Arrays) -> tuple[Any, Any]:
        (in_batched,) = batched_arguments
        if any(jax.tree.leaves(in_batched.weights)):
            batched = (True, True, True)
            return jax.vmap(one_by_one, in_axes=(_axes(in_batched),))(arrays), batched
        return _merged(at_once, options, axis_size, in_batched, arrays), (True, True, True)

    return at_once


def _axes(in_batched: Any) -> Any:
    return jax.tree.map(lambda batched: 0 if batched else None, in_batched)


def _merged(
    function: Any, options: _Options, axis_size: int, in_batched: Any, arrays: _Arrays
) -> tuple[Any, ...]:
    """Call `function` once, on a batch of all examples' rows."""
    sequence_axis = 0 if options.batch_first else 1

    def merge(array: Any, batched: bool, axis: int) -> Any:
        """Move the axis of examples before the axis of rows, and make them one."""
        whole = array if batched else jnp.broadcast_to(array, (axis_size, *array.shape))
        moved = jnp.moveaxis(whole, 0, axis)
        return moved.reshape(*moved.shape[:axis], -1, *moved.shape[axis + 2 :])

    def split(array: Any, axis: int) -> Any:
        rows = array.shape[axis] // axis_size
        apart = array.reshape(*array.shape[:axis], axis_size, rows, *array.shape[axis + 1 :])
        return jnp.moveaxis(apart, axis, 0)

    lengths = arrays.lengths
    merged = arrays._replace(
        input=merge(arrays.input, in_batched.input, sequence_axis),
        h_0=merge(arrays.h_0, in_batched.h_0, 1),
        c_0=merge(arrays.c_0, in_batched.c_0, 1),
        lengths=None if lengths is None else merge(lengths, in_batched.lengths, 0),
    )
    output, h_n, c_n = function(merged)
    return split(output, sequence_axis), split(h_n, 1), split(c_n, 1)


@functools.cache
def _backward(options: _Options) -> Any:
    """Return the backward pass, of `_Kept` and the gradients of results; None: zero."""

    def host(kept: _Kept, given: tuple[Any, Any, Any]) -> Any:
        call = _call(options, kept.arrays)._replace(tape=_tape(options))
        of_input, of_states, of_weights = (need is not None for need in kept.needs)
        wanted = GradientNeeds(of_input, of_states, True if of_weights else None)
        tape = kept.tape[: core.tape_elements(call.problem, options.recompute)]
        return backward(call, tape, OutputGradients(*given), wanted)

    @sequential_vmap
    def run(kept: _Kept, given: tuple[Any, Any, Any]) -> Any:
        arrays = kept.arrays
        of_input, of_states, of_weights = (need is not None for need in kept.needs)
        results = (
            _like(arrays.input) if of_input else None,
            _like(arrays.h_0) if of_states else None,
            _like(arrays.c_0) if of_states else None,
            tuple(map(_like, arrays.weights)) if of_weights else None,
        )
        return _called(host, results, kept, given)

    return run


# --- what JAX differentiates ----------------------------------------------------------------------


@functools.partial(jax.custom_vjp, nondiff_argnums=(0,))
def _lstm(options: _Options, arrays: _Arrays) -> Results:
    output, h_n, c_n = _forward(options, keeps=False)(arrays)
    return output, h_n, c_n


def _lstm_forward(options: _Options, primals: Any) -> tuple[Results, _Kept]:
    """Run forward; each leaf of ``primals`` says whether its gradient may be asked for."""

    def need(part: Any) -> tuple[()] | None:
        return () if any(leaf.perturbed for leaf in _primals(part)) else None

    needs = need(primals.input), need((primals.h_0, primals.c_0)), need(primals.weights)
    arrays = jax.tree.map(lambda leaf: leaf.value, primals, is_leaf=_is_primal)
    output, h_n, c_n, tape = _forward(options, keeps=True)(arrays)
    return (output, h_n, c_n), _Kept(arrays, tape, needs)


def _is_primal(leaf: Any) -> bool:
    return hasattr(leaf, "perturbed")


def _primals(tree: Any) -> list[Any]:
    return jax.tree.leaves(tree, is_leaf=_is_primal)


def _lstm_backward(
    options: _Options, kept: _Kept, gradients: tuple[Any, Any, Any]
) -> tuple[_Arrays]:
    given = tuple(None if isinstance(g, SymbolicZero) else g for g in gradients)
    d_input, d_h, d_c, d_weights = _backward(options)(kept, given)
    return (_Arrays(d_input, d_h, d_c, d_weights, None, None),)


_lstm.defvjp(_lstm_forward, _lstm_backward, symbolic_zeros=True)
