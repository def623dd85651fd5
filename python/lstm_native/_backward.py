"""Hands one validated backward call to the C++ core."""

from collections.abc import Sequence
from typing import NamedTuple, TypeAlias

from lstm_native import _cuda_run
from lstm_native._arrays import RealArray
from lstm_native._extension import core
from lstm_native._memory import new_array, zeros
from lstm_native._run import DirectionWeights, ForwardCall, contiguous_rows
from lstm_native._sizes import Sizes


class OutputGradients(NamedTuple):
    """Gradients of what a forward call returned; None: zero."""

    output: RealArray | None
    h_n: RealArray | None
    c_n: RealArray | None


class Wanted(NamedTuple):
    """Which gradients a call computes, and where those of the weights go."""

    input: bool
    states: bool
    weights: list[DirectionWeights] | None
    accumulate: bool = False


InputGradients: TypeAlias = tuple[RealArray | None, RealArray | None, RealArray | None]


def sizes_of(call: ForwardCall) -> Sizes:
    """Return the sizes of a validated call."""
    directions = 2 if call.bidirectional else 1
    layers = len(call.h_0) // directions
    return Sizes(call.input.shape[-1], call.h_0.shape[-1], layers, call.bidirectional)


def tape_elements(call: ForwardCall, recompute: bool) -> int:
    """Return the number of elements of the tape of a call."""
    if call.batch_sizes:
        seq_len, batch = len(call.batch_sizes), call.batch_sizes[0]
    else:
        first, second = call.input.shape[:2]
        seq_len, batch = (second, first) if call.batch_first else (first, second)
    return core.tape_elements(
        seq_len,
        batch,
        *sizes_of(call),
        batch_sizes=call.batch_sizes,
        lengths=call.lengths,
        recompute=recompute,
    )


def backward(
    call: ForwardCall,
    tape: RealArray,
    given: OutputGradients,
    wanted: Wanted,
    workspace: RealArray | None = None,
) -> InputGradients:
    """Return the gradients of input, h_0 and c_0 that are wanted.

    workspace: filled, where it is given, with what `weight_gradients` needs.
    """
    if call.target is not None:
        return _cuda_run.backward(
            call, tape, given, wanted, workspace, sizes_of(call), has_steps=False
        )
    dtype = call.input.dtype
    # What lies past a sequence's end is zero; the core writes the rest.
    allocate = zeros if call.lengths else new_array
    d_input = allocate(call.input.shape, dtype) if wanted.input else None
    d_h = new_array(call.h_0.shape, dtype) if wanted.states else None
    d_c = new_array(call.c_0.shape, dtype) if wanted.states else None
    _run(call, tape, given, wanted, (d_input, d_h, d_c), workspace, has_steps=False)
    return d_input, d_h, d_c


def weight_gradients(
    call: ForwardCall,
    tape: RealArray,
    workspace: RealArray,
    gradients: list[DirectionWeights],
    accumulate: bool,
) -> None:
    """Compute the gradients of the weights from what an earlier `backward` left."""
    wanted = Wanted(False, False, gradients, accumulate)
    nothing = OutputGradients(None, None, None)
    if call.target is not None:
        sizes = sizes_of(call)
        _cuda_run.backward(call, tape, nothing, wanted, workspace, sizes, has_steps=True)
        return
    _run(call, tape, nothing, wanted, (None, None, None), workspace, has_steps=True)


def _run(
    call: ForwardCall,
    tape: RealArray,
    given: OutputGradients,
    wanted: Wanted,
    results: InputGradients,
    workspace: RealArray | None,
    *,
    has_steps: bool,
) -> None:
    d_input, d_h, d_c = results
    sizes = sizes_of(call)
    weights: Sequence[DirectionWeights] = ()
    if not has_steps:
        assert not isinstance(call.weights, core.PackedWeights)
        weights = call.weights
    core.backward(
        call.time_major(contiguous_rows(call.input)),
        contiguous_rows(call.h_0),
        contiguous_rows(call.c_0),
        weights,
        tape,
        None if given.output is None else call.time_major(contiguous_rows(given.output)),
        None if given.h_n is None else contiguous_rows(given.h_n),
        None if given.c_n is None else contiguous_rows(given.c_n),
        None if d_input is None else call.time_major(d_input),
        d_h,
        d_c,
        wanted.weights,
        workspace,
        hidden_size=sizes.hidden_size,
        num_layers=sizes.num_layers,
        accumulate=wanted.accumulate,
        has_steps=has_steps,
        threads=call.threads,
        **call.core_options(),
    )
