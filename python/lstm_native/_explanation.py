"""Says what a call does, what it costs, and what bounds it."""

from __future__ import annotations

import math
from dataclasses import dataclass
from inspect import signature
from typing import Any, Literal, NamedTuple, TypeAlias, get_args, overload

import numpy as np

from lstm_native import _config, _limits, _validate
from lstm_native._cell import Cell
from lstm_native._extension import core
from lstm_native._functional import lstm, prepare
from lstm_native._packing import (
    Weights,
    check_compute,
    check_out_dtype,
    check_weight_dtype,
    dtypes_of_format,
    format_name,
)
from lstm_native._run import ForwardCall, Problem, has_gaps
from lstm_native._sizes import Sizes
from lstm_native._types import (
    ArrayLike,
    BooleansLike,
    Compute,
    Direction,
    IntegersLike,
    MaskedOutput,
    OutDtypeLike,
    States,
    WeightDtype,
)
from lstm_native.cuda import DeviceLike

Dtype: TypeAlias = Literal["float32", "float64"]
Path: TypeAlias = Literal["packed", "widened", "packed_per_call", "in_place", "blas"]

_DTYPES: tuple[Dtype, ...] = get_args(Dtype)
_PATHS: dict[Path, str] = {
    "packed": "packed beforehand",
    "widened": "packed beforehand, and copied in 32 bits at every call",
    "packed_per_call": "packed at every call",
    "in_place": "read in place",
    "blas": "read in place, by BLAS",
}


@dataclass(frozen=True)
class LayerExplanation:
    """What happens in one layer, in all its directions.

    Attributes
    ----------
    layer : int
        Its index, from 0.
    input_size : int
        The features that it reads: I in the first layer, those of the layer below in others.
    input_weights : {"packed", "widened", "packed_per_call", "in_place", "blas"}
        How W_ih is read.
    recurrent_weights : {"packed", "widened", "packed_per_call", "in_place", "blas"}
        How W_hh is read.
    projection_weights : {"packed", "widened", "packed_per_call", "in_place", "blas"} or None
        How W_hr is read; None: there is no projection.
    direction_groups : int
        Groups of threads that the directions are split into.
    row_groups : int
        Groups of threads that the batch rows of each such group are split into.
    unit_groups : int
        Groups of threads that the hidden units of each of those are split into. Above 1, each step
        has a barrier.
    bound : {"multiply-adds", "reading weights"}
        What a step waits for.
    seconds : float
        The least time of the layer, in seconds: that of its multiply-adds, or of reading its
        recurrent weights at each step, whichever is longer. The best speed of this machine is
        measured once per process.
    """

    layer: int
    input_size: int
    input_weights: Path
    recurrent_weights: Path
    projection_weights: Path | None
    direction_groups: int
    row_groups: int
    unit_groups: int
    bound: Literal["multiply-adds", "reading weights"]
    seconds: float


@dataclass(frozen=True)
class Explanation:
    """What a call of `lstm` does. str() of it is a short report.

    Attributes
    ----------
    isa : str
        The kernels in use.
    dtype : {"float32", "float64"}
        What states are computed in.
    weight_dtype : {"float32", "float64", "float16", "bfloat16", "int8"}
        What the matrices are stored in.
    compute : {"float32", "float64", "bfloat16", "int8"}
        What products multiply. Their sums are float32 (float64 in float64, integers in int8).
    instructions : str
        Which instructions multiply.
    expected_error : float
        The largest absolute error of any result, over 1 to 100 steps of 32 to 512 units with
        weights drawn from +-1 / sqrt(hidden_size), as `make accuracy` found it. See
        docs/precision.md.
    lanes : int
        Hidden units per vector.
    tile_rows : int
        Batch rows that the step kernel holds in registers at once.
    threads : int
        The threads that the call uses, of those that it may use.
    wavefront : bool
        Whether each thread runs whole layers, some steps behind the thread of the layer below.
    layers : tuple of LayerExplanation
        Each layer, the first one at index 0.
    rows : int
        Steps of all sequences together.
    operations : int
        Floating-point operations of all matrix products, two per multiply-add.
    weight_bytes : int
        Bytes of all matrices. A step reads the recurrent ones of its layer.
    workspace_bytes : int
        Bytes of working memory that the call allocates beside its results, and frees.
    seconds : float
        The least time of the call, in seconds: the sum over its layers, in a wavefront over the
        threads.
    slow_paths : tuple of str
        What makes the call slower than it could be, and what would help.
    """

    isa: str
    dtype: Dtype
    weight_dtype: Dtype | WeightDtype
    compute: Dtype | Compute
    instructions: str
    expected_error: float
    lanes: int
    tile_rows: int
    threads: int
    wavefront: bool
    layers: tuple[LayerExplanation, ...]
    rows: int
    operations: int
    weight_bytes: int
    workspace_bytes: int
    seconds: float
    slow_paths: tuple[str, ...]

    def __str__(self) -> str:
        lines = [
            f"{self.isa} kernels, {self.lanes} units per vector, {self.dtype}"
            + (f" with {self.weight_dtype} weights" if self.weight_dtype != self.dtype else "")
            + (f" and {self.compute} products" if self.compute != self.dtype else "")
            + f" ({self.instructions})"
            + f", {self.threads} thread{'s' if self.threads > 1 else ''}"
            + (", layers in a wavefront" if self.wavefront else ""),
            f"{self.operations / 1e6:.4g} million operations, {self.weight_bytes / 1e6:.4g} MB of "
            f"weights, {self.workspace_bytes / 1e6:.4g} MB of working memory, "
            f"errors up to {self.expected_error:.0e}",
        ]
        for layer in self.layers:
            split = [
                f"{count} {what}"
                for count, what in (
                    (layer.direction_groups, "directions"),
                    (layer.row_groups, "groups of batch rows"),
                    (layer.unit_groups, "groups of units"),
                )
                if count > 1
            ]
            lines.append(
                f"layer {layer.layer}: W_ih {_PATHS[layer.input_weights]}, "
                f"W_hh {_PATHS[layer.recurrent_weights]}; "
                + (f"W_hr {_PATHS[layer.projection_weights]}; " if layer.projection_weights else "")
                + (f"split into {' x '.join(split)}; " if split else "not split; ")
                + f"bound by {layer.bound}; at least {time_text(layer.seconds)}"
            )
        lines.extend(f"slow: {reason}" for reason in self.slow_paths)
        return "\n".join(lines)


def time_text(seconds: float) -> str:
    """Return the time in the unit that suits it: `37 us`, `3.9 ms`, `1.2 s`."""
    unit, scale = next(
        ((unit, scale) for unit, scale in (("s", 1.0), ("ms", 1e3)) if seconds * scale >= 1.0),
        ("us", 1e6),
    )
    return (
        f"{seconds * scale:.2g} {unit}"
        if seconds * scale < 100
        else f"{seconds * scale:.0f} {unit}"
    )


@overload
def explain(
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
    device: DeviceLike = "cpu",
    cell: Cell | None = None,
    direction: Direction = "forward",
    mask: BooleansLike | None = None,
    masked_output: MaskedOutput = "zero",
    out_dtype: OutDtypeLike | None = None,
) -> Explanation: ...
@overload
def explain(
    *,
    seq_len: int,
    batch: int,
    input_size: int,
    hidden_size: int,
    num_layers: int = 1,
    bidirectional: bool = False,
    dtype: Dtype = "float32",
    packed: bool = True,
    weight_dtype: WeightDtype | None = None,
    compute: Compute | None = None,
    batch_first: bool = False,
    lengths: IntegersLike | None = None,
    num_threads: int | None = None,
    cell: Cell | None = None,
    direction: Direction = "forward",
) -> Explanation: ...
def explain(*arguments: Any, **keywords: Any) -> Explanation:
    """Say what a call of `lstm` would do, without doing it.

    Takes the arguments of `lstm`, or these sizes as keywords:

    Parameters
    ----------
    seq_len, batch, input_size, hidden_size : int
        T, N, I and H.
    num_layers : int, default 1
        From 1 to 65536.
    bidirectional : bool, default False
    dtype : {"float32", "float64"}, default "float32"
    packed : bool, default True
        Whether the weights come from `pack_weights`.
    weight_dtype : {"float16", "bfloat16", "int8"}, optional
    compute : {"bfloat16", "int8"}, optional
        Of packed weights, as for `pack_weights`.
    batch_first : bool, default False
    lengths : sequence of int, optional
    num_threads : int, optional
    cell : Cell, optional
    direction : {"forward", "reverse"}, default "forward"

    Returns
    -------
    Explanation
        Kernels, threads and their split, how weights are read, working memory, operations, the time
        that the roofline allows, and whatever is not on the fast path.

    Raises
    ------
    TypeError, ValueError
        As `lstm` does; TypeError for a keyword that it does not know, or one that is missing.
    MemoryError
        If the sizes mean more elements than any memory holds.

    Examples
    --------
    >>> import lstm_native
    >>> about = lstm_native.explain(seq_len=1, batch=1, input_size=64, hidden_size=64)
    >>> about.threads, about.operations, about.layers[0].recurrent_weights
    (1, 65536, 'packed')
    """
    if not arguments and _ARRAYS.isdisjoint(keywords):
        return _of_sizes(**keywords)
    try:
        given = signature(lstm).bind(*arguments, **keywords).arguments
    except TypeError as error:
        raise TypeError(f"explain() {error}") from None
    out_dtype = given.pop("out_dtype", None)
    narrow = None
    if out_dtype is not None:
        narrow = check_out_dtype(out_dtype, given["all_weights"], given.get("device", "cpu"))
    if narrow == np.float32:  # as results are anyway
        narrow = None
    return _of_call(prepare(**given), given["input"], narrow)


_ARRAYS = frozenset(("input", "initial_states", "all_weights"))


def _of_sizes(
    *,
    seq_len: Any,
    batch: Any,
    input_size: Any,
    hidden_size: Any,
    num_layers: Any = 1,
    bidirectional: Any = False,
    dtype: Any = "float32",
    packed: Any = True,
    weight_dtype: Any = None,
    compute: Any = None,
    batch_first: Any = False,
    lengths: Any = None,
    num_threads: Any = None,
    cell: Any = None,
    direction: Any = "forward",
) -> Explanation:
    seq_len = _validate.integer(seq_len, "seq_len", 1)
    batch = _validate.integer(batch, "batch", 0)
    packed = _validate.boolean(packed, "packed")
    dtype = _validate.choice(dtype, "dtype", _DTYPES)
    stored = check_weight_dtype(weight_dtype)
    if stored is not None and (dtype != "float32" or not packed):
        raise ValueError(
            f"weight_dtype: expected None unless dtype is 'float32' and packed is true, "
            f"got {stored!r}"
        )
    computed_in = check_compute(compute, stored)
    batch_first = _validate.boolean(batch_first, "batch_first")
    rows = [] if lengths is None else _validate.lengths(lengths, seq_len, batch)
    cell = _validate.cell(cell)
    sizes = Sizes(
        _validate.integer(input_size, "input_size", 1),
        _validate.integer(hidden_size, "hidden_size", 1),
        _validate.layer_count(num_layers),
        _validate.boolean(bidirectional, "bidirectional"),
        cell.proj_size,
    )
    _validate.cell_of_directions(cell, sizes.bidirectional)
    _validate.projection(sizes.proj_size, sizes.hidden_size)
    problem = Problem(
        sizes,
        seq_len,
        batch,
        lengths=rows,
        threads=_config.threads_for_call(num_threads),
        cell=cell,
        reverse=_validate.direction(direction, sizes.bidirectional),
    )
    stored_in = format_name(stored, computed_in) if packed else None
    plan = core.explain_sizes(problem, batch_first, np.dtype(dtype).itemsize, stored_in)
    return _explanation(problem, plan, dtype, () if packed else (_PLAIN_ADVICE,))


# Python's errors about keywords name the function; callers know it by this name.
_of_sizes.__qualname__ = "explain"


def _of_call(call: ForwardCall, given: object, narrow: np.dtype[Any] | None) -> Explanation:
    """Explain a call.

    given: its input, before a mask left out steps. narrow: the dtype of its results, where it is
    not that of input.
    """
    copied = [
        (array, name)
        for array, name in ((call.input, "input"), (call.h_0, "h_0"), (call.c_0, "c_0"))
        if has_gaps(array)
    ]
    slow = [f"{name} is copied, because its last axis is not contiguous" for _, name in copied]
    plan = core.explain(call)
    working = plan["workspace_bytes"] + plan["copied_bytes"]
    working += sum(array.nbytes for array, _ in copied)
    element_bytes = call.input.itemsize
    if call.steps is not None:
        slow.append(_MASK_ADVICE)
        working = call.steps.working_bytes(call.problem.sizes, element_bytes, working)
        if isinstance(given, np.ndarray) and not given.flags.c_contiguous:
            slow.append("input is copied, because mask takes steps of an array in C order")
            working = max(working, call.steps.nbytes + given.nbytes + call.input.nbytes)
    if narrow is not None:
        slow.append(f"results are rounded to {narrow}, in copies")
        states = call.h_0.nbytes + call.c_0.nbytes
        wide = math.prod(call.output_shape) * element_bytes + states
        results = wide // element_bytes * narrow.itemsize
        working = wide + max(0, working - results)
    if not isinstance(call.weights, core.PackedWeights):
        slow.append(_PLAIN_ADVICE)
    plan["workspace_bytes"] = working
    dtype: Dtype = "float32" if call.input.dtype == np.float32 else "float64"
    return _explanation(call.problem, plan, dtype, tuple(slow))


_PLAIN_ADVICE = "weights are checked and read anew at every call; pack_weights() does it once"
_MASK_ADVICE = (
    "computed steps are copied from input and to output, because masked steps are before them or "
    "masked_output is 'last'"
)


class _Work(NamedTuple):
    """What all layers of a call have in common."""

    isa: str
    element_bytes: int
    weight_bytes: int
    columns_at_once: int
    input_terms: int
    steps: int
    rows: int
    sizes: Sizes

    @property
    def projection(self) -> int:
        """The elements of one W_hr."""
        return self.sizes.proj_size * self.sizes.hidden_size


def _least_seconds(work: _Work, step_columns: int, layer: dict[str, Any]) -> float:
    """Return the least time of a layer.

    step_columns: the columns of its weights that each step reads.
    """
    gates, directions = work.sizes.gates, work.sizes.directions
    threads = layer["direction_groups"] * layer["row_groups"] * layer["unit_groups"]
    columns = work.sizes.output_size + work.input_terms * layer["input_size"]
    products = gates * columns + work.input_terms * work.projection
    multiply_adds = directions * work.rows * products / work.columns_at_once
    weights = gates * step_columns + work.projection
    share = weights * work.weight_bytes / layer["unit_groups"]
    turns = -(-directions // layer["direction_groups"])
    seconds: float = max(
        multiply_adds / threads * _limits.multiply_add_seconds(work.isa, work.element_bytes),
        work.steps * turns * _limits.read_seconds(work.isa, share),
    )
    return seconds


def _explanation(
    problem: Problem,
    plan: dict[str, Any],
    dtype: Dtype,
    slow_paths: tuple[str, ...],
) -> Explanation:
    weight_dtype, compute = dtypes_of_format(plan["format"])
    element_bytes = np.dtype(dtype).itemsize
    sizes, hidden = problem.sizes, problem.sizes.hidden_size
    work = _Work(
        isa=plan["isa"],
        element_bytes=element_bytes,
        weight_bytes=plan["weight_bytes"],
        columns_at_once=plan["columns_at_once"],
        input_terms=plan["input_terms"],
        steps=problem.seq_len,
        rows=plan["rows"],
        sizes=sizes,
    )
    layers = tuple(
        LayerExplanation(
            layer=index, seconds=_least_seconds(work, step_columns, described), **described
        )
        for index, (step_columns, described) in enumerate(
            (described.pop("step_columns"), described) for described in plan["layers"]
        )
    )
    seconds = sum(layer.seconds for layer in layers)
    columns = sum(layer.input_size + sizes.output_size for layer in layers) * sizes.directions
    weights = 4 * hidden * columns + work.projection * sizes.cell_count
    idle = -hidden % plan["lanes"]
    slow = list(slow_paths)
    if problem.cell.core is not None:
        slow.append("gates of a cell other than the standard one follow the products, unfused")
    if idle:
        slow.append(
            f"hidden_size {hidden} is no multiple of {plan['lanes']}: "
            f"{idle / (hidden + idle):.0%} of the vector lanes compute nothing"
        )
    idle = -sizes.proj_size % (4 * plan["lanes"])
    if idle:
        slow.append(
            f"proj_size {sizes.proj_size} is no multiple of {4 * plan['lanes']}: "
            f"{idle / (sizes.proj_size + idle):.0%} of the lanes of W_hr's product compute nothing"
        )
    if plan["isa"] == "baseline":
        slow.append("baseline kernels: this CPU, or LSTM_NATIVE_ISA, allows no wider vectors")
    if plan["copied_bytes"]:
        slow.append("weights are copied into C order at every call")
    return Explanation(
        isa=plan["isa"],
        dtype=dtype,
        weight_dtype=weight_dtype or dtype,
        compute=compute or dtype,
        instructions=plan["instructions"],
        expected_error=plan["expected_error"],
        lanes=plan["lanes"],
        tile_rows=plan["tile_rows"],
        threads=plan["threads"],
        wavefront=plan["wavefront"],
        layers=layers,
        rows=plan["rows"],
        operations=2 * weights * plan["rows"],
        weight_bytes=weights * plan["weight_bytes"],
        workspace_bytes=plan["workspace_bytes"],
        seconds=seconds / plan["threads"] if plan["wavefront"] else seconds,
        slow_paths=tuple(slow),
    )
