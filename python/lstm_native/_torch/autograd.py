"""A call's part in PyTorch's autograd: forward with a tape, backward from it, its derivatives."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import torch

from lstm_native._torch import composed, kernels
from lstm_native._torch.calls import are_plain, is_batched, is_watched
from lstm_native._torch.kernels import Needs, Options, OutputGradients, Recording, Tensors


class LSTMFunction(torch.autograd.Function):
    """Takes what runs forward, the options, input, h_0, c_0 and the weights.

    Returns output, h_n and c_n; where an operator runs forward, the tape, too.
    """

    @staticmethod
    def forward(ctx: Any, run: Recording, options: Options, *tensors: Any) -> tuple[Any, ...]:
        x, h_0, c_0, *weights = tensors
        (output, h_n, c_n, tape), checked = run(Tensors(x, h_0, c_0, weights), options)
        # Saved tensors are freed with the graph, and checked for changes; attributes aren't.
        ctx.save_for_backward(*tensors, tape, options.batch_sizes, options.seed)
        ctx.options = options._replace(batch_sizes=None, seed=None)
        ctx.set_materialize_grads(False)
        ctx.checked = checked
        if checked is not None:
            return output, h_n, c_n
        ctx.mark_non_differentiable(tape)
        return output, h_n, c_n, tape

    @staticmethod
    def backward(ctx: Any, *gradients: Any) -> tuple[Any, ...]:
        x, h_0, c_0, *weights, tape, batch_sizes, seed = ctx.saved_tensors
        options = ctx.options._replace(batch_sizes=batch_sizes, seed=seed)
        needed = ctx.needs_input_grad[2:]
        needs = Needs(needed[0], any(needed[1:3]), any(needed[3:]))
        given = OutputGradients(*gradients[:3])
        tensors = Tensors(x, h_0, c_0, weights)
        present = [gradient for gradient in given if gradient is not None]
        # Plain calls run the kernels; tracers and graphs of gradients see the operator.
        by_kernels = (
            ctx.checked is not None
            and not torch.is_grad_enabled()
            and not is_watched()
            and not any(map(is_batched, present))
            and are_plain(present, x.dtype)
        )
        call = (tensors, options, tape, given, needs)
        d_x, d_h, d_c, d_weights = (
            kernels.backward(*call, ctx.checked) if by_kernels else operator_backward(*call)
        )
        found = (d_x, d_h, d_c, *(d_weights or [None] * len(weights)))
        return (
            None,
            None,
            *(gradient if wanted else None for gradient, wanted in zip(found, needed, strict=True)),
        )


def operator_backward(
    tensors: Tensors, options: Options, tape: Any, given: OutputGradients, needs: Needs
) -> tuple[Any, Any, Any, Sequence[Any]]:
    """Call the operator that does what `kernels.backward` does."""
    x, h_0, c_0, weights = tensors
    if h_0 is None:
        h_0, c_0 = kernels.zero_states(x, weights, options)
    arguments = (x, h_0, c_0, list(weights), tape, *options, *needs)
    return named(torch.ops.lstm_native.lstm_backward(*given, *arguments), needs)


def named(found: Sequence[Any], needs: Needs) -> tuple[Any, Any, Any, Sequence[Any]]:
    """Return d_input, d_h_0, d_c_0 and the weights' gradients, from a list of those needed."""
    rest: Iterator[Any] = iter(found)
    d_x = next(rest) if needs.input else None
    d_h, d_c = (next(rest), next(rest)) if needs.states else (None, None)
    return d_x, d_h, d_c, list(rest)


def listed(d_x: Any, d_h: Any, d_c: Any, d_weights: Sequence[Any], needs: Needs) -> list[Any]:
    """Return the gradients that are needed."""
    states = (d_h, d_c) if needs.states else ()
    return [*((d_x,) if needs.input else ()), *states, *(d_weights if needs.weights else ())]


class BackwardFunction(torch.autograd.Function):
    """Takes what runs backward, options, needs, three gradients, input, h_0, c_0, weights, tape.

    Returns the gradients that are needed. Their derivatives are PyTorch's own.
    """

    @staticmethod
    def forward(
        ctx: Any, run: Callable[..., list[Any]], options: Options, needs: Needs, *tensors: Any
    ) -> tuple[Any, ...]:
        ctx.save_for_backward(*tensors[:-1], options.batch_sizes, options.seed)
        ctx.options = options._replace(batch_sizes=None, seed=None)
        ctx.needs = needs
        return tuple(run(*tensors))

    @staticmethod
    def backward(ctx: Any, *gradients: Any) -> tuple[Any, ...]:
        *saved, batch_sizes, seed = ctx.saved_tensors
        options = ctx.options._replace(batch_sizes=batch_sizes, seed=seed)
        places = [place for place, tensor in enumerate(saved) if tensor is not None]

        def first(*present: Any) -> tuple[Any, ...]:
            whole = list(saved)
            for place, tensor in zip(places, present, strict=True):
                whole[place] = tensor
            given, (x, h_0, c_0, *weights) = OutputGradients(*whole[:3]), whole[3:]
            tensors = Tensors(x, h_0, c_0, weights)
            return tuple(listed(*composed.backward(tensors, options, given), ctx.needs))

        _, pullback = torch.func.vjp(first, *(saved[place] for place in places))
        found = dict(zip(places, pullback(gradients), strict=True))
        return None, None, None, *(found.get(place) for place in range(len(saved))), None
