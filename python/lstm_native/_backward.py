"""Hands one validated backward call to the C++ core."""

from typing import Any, Literal, NamedTuple, TypeAlias

from lstm_native import _cuda_run
from lstm_native._arrays import RealArray
from lstm_native._extension import core
from lstm_native._run import CellWeights, ForwardCall, contiguous_rows


class OutputGradients(NamedTuple):
    """Gradients of what a forward call returned; None: zero."""

    output: RealArray | None
    h_n: RealArray | None
    c_n: RealArray | None

    def with_contiguous_rows(self) -> "OutputGradients":
        return OutputGradients(*(None if g is None else contiguous_rows(g) for g in self))


class GradientNeeds(NamedTuple):
    """Which gradients a call computes."""

    input: bool
    states: bool
    weights: list[CellWeights] | Literal[True] | None
    """Where the gradients of the weights go; True: into new arrays."""
    transposed: bool = False
    """Whether new arrays hold the transpose of each matrix's gradient."""
    workspace: RealArray | None = None
    """Where to leave what `weight_gradients` needs."""


# The gradients of input, h_0, c_0 and the weights. None: not wanted.
Gradients: TypeAlias = tuple[Any, Any, Any, tuple[RealArray, ...] | None]


def backward(
    call: ForwardCall, tape: RealArray, given: OutputGradients, wanted: GradientNeeds
) -> Gradients:
    """Return the gradients of input, h_0 and c_0 that are wanted, and new ones of the weights.

    The gradients of the weights are in the order of all_weights.
    """
    if call.target is not None:
        return _cuda_run.backward(call, tape, given, wanted)
    steps = call.steps
    if steps is not None and given.output is not None:
        given = given._replace(output=steps.of_output_gradient(given.output))
    results = core.backward(call.with_contiguous_rows(), tape, given.with_contiguous_rows(), wanted)
    if steps is None or not wanted.input:
        return results
    d_input, d_h, d_c, d_weights = results
    return steps.input_gradient(d_input), d_h, d_c, d_weights


def weight_gradients(
    call: ForwardCall,
    tape: RealArray,
    workspace: RealArray,
    gradients: list[CellWeights],
    accumulate: bool,
) -> None:
    """Compute the gradients of the weights from what an earlier `backward` left.

    The call needs neither states nor weights.
    """
    run = core.weight_gradients if call.target is None else _cuda_run.weight_gradients
    run(call.with_contiguous_rows(), tape, workspace, gradients, accumulate)
