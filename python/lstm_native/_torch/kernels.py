"""Runs the core on the memory of PyTorch's tensors: forward, and backward from a tape."""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, TypeAlias

import torch

from lstm_native._arrays import as_real
from lstm_native._cell import Cell
from lstm_native._config import get_num_threads
from lstm_native._functional import lstm, prepare, states_of_call
from lstm_native._packing import PackedWeights
from lstm_native._run import Dropout, ForwardCall, Problem
from lstm_native._run import forward as run_forward
from lstm_native._torch.errors import as_torch_errors
from lstm_native._types import Need
from lstm_native._vjp import Pullback
from lstm_native._weights import Present, grouped


class Options(NamedTuple):
    """The options of a call. The operators take the fields in this order."""

    batch_sizes: Any
    """Of a packed sequence: a tensor of integers."""
    seed: Any
    """Of the dropout masks: a tensor of one integer, or None where nothing is dropped."""
    num_layers: int
    bidirectional: bool
    batch_first: bool
    dropout: float


class Needs(NamedTuple):
    """Which gradients a backward pass computes."""

    input: bool
    states: bool
    weights: bool

    def names(self) -> list[Need]:
        return [name for name, wanted in self._asdict().items() if wanted]  # type: ignore[misc]


class Tensors(NamedTuple):
    """What a call reads; None for states that are zero."""

    input: Any
    h_0: Any
    c_0: Any
    weights: Sequence[Any]


class OutputGradients(NamedTuple):
    """Gradients of a call's results; None: zero."""

    output: Any
    h_n: Any
    c_n: Any


# output, h_n, c_n and the tape.
Results: TypeAlias = tuple[Any, Any, Any, Any]
Recording: TypeAlias = "Callable[[Tensors, Options], tuple[Results, Checked | None]]"


def forward(tensors: Tensors, options: Options, keep_tape: bool) -> Results:
    """Return output, h_n, c_n and the tape, which is None unless it is kept."""
    with as_torch_errors:
        call = _call(_arrays(tensors), options)
        results = run_forward(call._replace(tape="gates") if keep_tape else call)
    output, h_n, c_n, tape = map(_tensor, results)
    return output, h_n, c_n, tape


class Checked(NamedTuple):
    """A call that was checked, without its memory. A call like it need not be checked again."""

    problem: Problem
    fixed: tuple[Any, ...]
    """The options that are not tensors."""
    kinds: list[Any]
    """Shapes and dtypes of the arrays."""

    def is_alike(self, arrays: Tensors, options: Options) -> bool:
        return self.kinds == _kinds(arrays) and self.fixed == _fixed(options)


class Recorder:
    """Runs calls that keep a tape. A call like the last one is not checked again."""

    __slots__ = ("_last",)

    def __init__(self) -> None:
        self._last: Checked | None = None

    def __call__(self, tensors: Tensors, options: Options) -> tuple[Results, Checked]:
        """Return what `forward` does, and what its backward pass need not check."""
        last = self._last  # replaced as a whole, so threads may call at once
        with as_torch_errors:
            arrays = _arrays(tensors)
            if last and options.batch_sizes is None and last.is_alike(arrays, options):
                call, checked = _call_again(arrays, options, last.problem), last
            else:
                call = _call(arrays, options)
                checked = Checked(call.problem, _fixed(options), _kinds(arrays))
                self._last = checked
            output, h_n, c_n, tape = map(_tensor, run_forward(call._replace(tape="gates")))
        return (output, h_n, c_n, tape), checked


def infer(x: Any, states: Any, packed: PackedWeights, options: Options) -> tuple[Any, Any, Any]:
    """Return output, h_n, c_n of a call without a tape, with weights that are packed."""
    sizes = options.batch_sizes
    with as_torch_errors:
        results = lstm(
            _array(x),
            tuple(map(_array, states)) if states else None,
            packed,
            batch_first=options.batch_first,
            batch_sizes=None if sizes is None else _array(sizes),
            num_threads=_threads(),
        )
    output, h_n, c_n = map(torch.from_numpy, results)
    return output, h_n, c_n


def backward(
    tensors: Tensors,
    options: Options,
    tape: Any,
    given: OutputGradients,
    needs: Needs,
    checked: Checked | None = None,
) -> tuple[Any, Any, Any, Sequence[Any]]:
    """Return the gradients of input, h_0, c_0 and the weights; None or [] where not needed."""
    # Users can convert what autograd saved, so it may come back as something else.
    arrays = _arrays(tensors)
    if checked is not None and checked.is_alike(arrays, options):
        call = _call_again(arrays, options, checked.problem)
    else:
        call = _call(arrays, options)
    pullback: Pullback[Any] = Pullback(call, _array(tape), False)
    d_input, (d_h, d_c), d_weights = pullback(*map(_array, given), needs=needs.names())
    return _tensor(d_input), _tensor(d_h), _tensor(d_c), [*map(_tensor, d_weights or ())]


def _arrays(tensors: Tensors) -> Tensors:
    """Return the tensors' own memory as NumPy arrays."""
    x, h_0, c_0, weights = tensors
    return Tensors(_array(x), _array(h_0), _array(c_0), [*map(_array, weights)])


def _fixed(options: Options) -> tuple[Any, ...]:
    return options[2:]


def _kinds(arrays: Tensors) -> list[Any]:
    x, h_0, c_0, weights = arrays
    given = (x, *weights) if h_0 is None else (x, h_0, c_0, *weights)
    return [(array.shape, array.dtype) for array in given]


def zero_states(x: Any, weights: Sequence[Any], options: Options) -> tuple[Any, Any]:
    """Return h_0 and c_0 of a call that was given none."""
    cells = options.num_layers * (2 if options.bidirectional else 1)
    if options.batch_sizes is not None:
        batch = options.batch_sizes[0].item()  # an exported program reads it when it runs
        torch._check(batch >= 1)
    else:
        batch = x.shape[0 if options.batch_first else 1]
    gates, hidden_size = weights[1].shape
    return x.new_zeros(cells, batch, hidden_size), x.new_zeros(cells, batch, gates // 4)


def _call(arrays: Tensors, options: Options) -> ForwardCall:
    """Return the checked call."""
    x, h_0, c_0, weights = arrays
    bias, proj_size = form_of(weights, options.num_layers, options.bidirectional)
    sizes, seed = options.batch_sizes, options.seed
    return prepare(
        x,
        None if h_0 is None else (h_0, c_0),
        weights,
        options.num_layers,
        options.dropout,
        True,
        options.bidirectional,
        options.batch_first,
        None if sizes is None else _array(sizes),
        False,
        bias,
        bias,
        seed=0 if seed is None else int(seed),
        num_threads=_threads(),
        cell=cell_of(proj_size),
    )


def _call_again(arrays: Tensors, options: Options, problem: Problem) -> ForwardCall:
    """Return the call on arrays and options like those that were checked."""
    x, *weights = (as_real(array, "saved") for array in (arrays.input, *arrays.weights))
    states = None if arrays.h_0 is None else (arrays.h_0, arrays.c_0)
    h_0, c_0 = states_of_call(states, x, problem.sizes, problem.batch)
    bias, proj_size = form_of(weights, options.num_layers, options.bidirectional)
    if options.seed is not None:
        problem = problem._replace(dropout=Dropout(options.dropout, int(options.seed), 0))
    return ForwardCall(
        problem._replace(threads=_threads()),
        x,
        h_0,
        c_0,
        grouped(weights, Present(bias, bias, proj_size=proj_size)),
        options.batch_first and options.batch_sizes is None,
    )


def form_of(weights: Sequence[Any], num_layers: int, bidirectional: bool) -> tuple[bool, int]:
    """Return whether there are biases, and the size of the projection, 0 for none.

    Arrays per layer and direction: two matrices, perhaps two biases, perhaps a projection's matrix.
    """
    each = len(weights) // (num_layers * (2 if bidirectional else 1))
    return each >= _WITH_BIASES, weights[1].shape[1] if each % 2 else 0


def cell_of(proj_size: int) -> Cell | None:
    return Cell(proj_size=proj_size) if proj_size else None


def _threads() -> int:
    """Return the threads of a call, from both settings as they are now."""
    theirs: int = torch.get_num_threads()
    return min(theirs, get_num_threads())


_WITH_BIASES = 4


def _array(tensor: Any) -> Any:
    """Return the tensor's own memory as a NumPy array."""
    return None if tensor is None else tensor.numpy(force=True)


def _tensor(array: Any) -> Any:
    return None if array is None else torch.from_numpy(array)
