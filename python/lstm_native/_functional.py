"""The function `lstm`."""

from __future__ import annotations

from typing import Any, overload

import numpy as np

from lstm_native import _config, _device, _random, _validate, cuda
from lstm_native._arrays import RealArray, as_real, narrowed, widened, widened_pair
from lstm_native._cell import Cell
from lstm_native._extension import core
from lstm_native._packing import (
    PackedWeights,
    Weights,
    cell_of_call,
    check_out_dtype,
    check_sequence,
    from_packed,
    unpacked,
)
from lstm_native._run import (
    NO_DROPOUT,
    CellWeights,
    Dropout,
    ForwardCall,
    ForwardResults,
    Problem,
    forward,
)
from lstm_native._sizes import Sizes
from lstm_native._types import (
    Array,
    ArrayLike,
    BooleansLike,
    Direction,
    IntegersLike,
    MaskedOutput,
    OutDtypeLike,
    States,
)
from lstm_native._weights import Present, from_sequence
from lstm_native.cuda import DeviceLike

_CPU: DeviceLike = "cpu"
_FORWARD: Direction = "forward"
_ZERO: MaskedOutput = "zero"


@overload
def lstm(
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
    device: DeviceLike = "cpu",
    cell: Cell | None = None,
    direction: Direction = "forward",
    mask: BooleansLike | None = None,
    masked_output: MaskedOutput = "zero",
    out_dtype: None = None,
) -> tuple[Array, Array, Array]: ...
@overload
def lstm(
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
) -> tuple[Any, Any, Any]: ...
def lstm(
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
    device: DeviceLike = _CPU,
    cell: Cell | None = None,
    direction: Direction = _FORWARD,
    mask: BooleansLike | None = None,
    masked_output: MaskedOutput = _ZERO,
    out_dtype: OutDtypeLike | None = None,
) -> tuple[Any, Any, Any]:
    """Apply a multi-layer long short-term memory to an input sequence.

    With T = seq_len, N = batch, I = input_size, H = hidden_size, L = num_layers and
    D = num_directions (2 when bidirectional, otherwise 1), each layer computes for t = 1 .. T::

        i, f, o = sigmoid(W x_t + b_ih + U h_(t-1) + b_hh)     input, forget, output gate
        g       = tanh(W x_t + b_ih + U h_(t-1) + b_hh)        cell candidate
        c_t     = f * c_(t-1) + i * g
        h_t     = o * tanh(c_t)

    w_ih holds the four W below each other in the order i, f, g, o; w_hh the four U; PyTorch,
    cuDNN and Keras use the same order.

    Parameters
    ----------
    input : array, float32 or float64
        Shape (T, N, I), or (N, T, I) if `batch_first`, or (sum(batch_sizes), I) for a packed
        sequence. T, I and H are at least 1; N may be 0.
    initial_states : tuple of two arrays, or None
        (h_0, c_0), both of shape (L * D, N, H). Row l * D + d is layer l, direction d
        (0 forward, 1 reverse). For a packed sequence N is batch_sizes[0]. None: zeros. With a
        projection (`cell`), h has P columns in place of H, here and below.
    all_weights : sequence of arrays, or PackedWeights
        For each layer, for each direction (forward before reverse): w_ih of shape (4 * H, I), or
        (4 * H, D * H) from the second layer on; w_hh (4 * H, H); b_ih (4 * H,) if `has_ih_bias`;
        b_hh (4 * H,) if `has_hh_bias`; peepholes (3 * H,) if `cell` has them; with a projection
        w_hr (P, H), and P columns in place of H elsewhere. Packed once by `pack_weights`, they are
        ready at each call: `num_layers`, `bidirectional`, `weights_transposed`, `has_ih_bias` and
        `has_hh_bias` are then those that were packed, or left out.
    num_layers : int
        Number of stacked layers, from 1 to 65536. May be left out with PackedWeights only.
    dropout : float, default 0.0
        From 0 to 1: the rate at which the outputs of each layer but the last are dropped while
        training; kept values are scaled by 1 / (1 - dropout).
    train : bool, default False
        Whether to apply dropout.
    bidirectional : bool
        Whether every layer also runs over the reversed sequence; outputs are concatenated. May be
        left out with PackedWeights only.
    batch_first : bool, default False
        Whether input and output are (N, T, ...). Has no effect on a packed sequence.
    batch_sizes : sequence of int, optional
        The number of sequences active at each step, positive and not increasing. Input is then a
        packed sequence, as `torch.nn.utils.rnn.pack_padded_sequence` makes them.
    weights_transposed : bool, default False
        Whether the matrices are (I, 4 * H) and (H, 4 * H) instead.
    has_ih_bias, has_hh_bias : bool, default True
        Whether `all_weights` includes b_ih, b_hh.
    seed : int, optional
        The seed of this call's dropout masks, from 0 to 2**64 - 1. Without it the masks come from
        the process-wide generator, see `manual_seed`.
    num_threads : int, optional
        From 1 to 128; see `set_num_threads` for the default. The result is the same, bit for bit.
    lengths : sequence of int, optional
        The steps of each of the N sequences of a padded batch, from 0 to T, in any order. Steps
        past a sequence's end are not computed, whatever input holds there, so the cost is that of
        the sum of the lengths. Not together with `batch_sizes`.
    device : {"cpu", "cuda"} or lstm_native.cuda.Device
        Where to compute. On CUDA, arrays may be on the device, and results are there where input
        is (`lstm_native.cuda.DeviceArray`); NumPy arrays are copied over, and results back.
    cell : Cell, optional
        The cell, where it is not the standard one above. By default that of PackedWeights. CUDA
        has the standard one only.
    direction : {"forward", "reverse"}
        Which end of a sequence the one direction begins with, where `bidirectional` is false:
        "reverse" computes what the second direction of two does. Not on CUDA.
    mask : array of bool, optional
        Shape (T, N), or (N, T) if `batch_first`: True where a step is computed, as Keras has it.
        Masked steps may be anywhere. Each direction of each layer goes from one computed step to
        the next; the state does not change in between. So the cost is that of the computed steps.
        Not together with `lengths` or `batch_sizes`, and not on CUDA.
    masked_output : {"zero", "last"}
        What output holds at masked steps: zero, or what the direction returned for the computed
        step before, in the order in which it takes them; zero where there is none. "last" is for
        calls with `mask` only.
    out_dtype : {"float32", "float16", "bfloat16"} or numpy.dtype, optional
        The dtype of the results, where weights are packed in a `weight_dtype`: float32 by default.
        "bfloat16" is that of the package `ml_dtypes`.

    Returns
    -------
    output : numpy.ndarray
        The last layer's hidden states: shape (T, N, D * H), or (N, T, D * H) if `batch_first`, or
        (sum(batch_sizes), D * H) for a packed sequence. Zero past a sequence's end, and at masked
        steps unless `masked_output` says otherwise.
    h_outs, c_outs : numpy.ndarray
        Final hidden and cell state, shape (L * D, N, H). For a packed sequence or with `lengths`,
        the state of each sequence after its last step (in the reverse direction, after its first);
        the initial state where a length is 0. With `mask`, only computed steps count.

    Raises
    ------
    TypeError
        If an argument has the wrong type, or an array is not of input's dtype, or that dtype is
        neither float32 nor float64.
    ValueError
        If a shape, a size or a rate is wrong. The message names the argument, what was expected
        and what came.
    MemoryError
        If the results or the working memory can't be allocated.
    RuntimeError
        If `device` asks for CUDA in a build without it or on a machine without a device, or CUDA
        reports an error.

    Warns
    -----
    UserWarning
        If `dropout` is set and `train` is true but there is one layer only.

    Notes
    -----
    Arrays are NumPy arrays of any strides and byte order, nested lists (as float64), or whatever
    offers `__array__`, the buffer protocol or `__dlpack__` from CPU memory; they are never written
    to. With weights packed in a `weight_dtype`, input and states may also be float16 or bfloat16
    (`ml_dtypes`, PyTorch). The signature is the one that ivy documents for `ivy.lstm`; for values,
    `torch.nn.LSTM` is the reference.

    Examples
    --------
    >>> import numpy as np
    >>> import lstm_native
    >>> x = np.ones((5, 2, 10), np.float32)
    >>> h_0 = c_0 = np.ones((1, 2, 2), np.float32)
    >>> weights = (np.ones((8, 10)), np.ones((8, 2)), np.ones(8), np.ones(8))
    >>> weights = [w.astype(np.float32) for w in weights]
    >>> output, h_n, c_n = lstm_native.lstm(x, (h_0, c_0), weights, 1, 0.0, False, False)
    >>> output.shape, h_n.shape
    ((5, 2, 2), (1, 2, 2))
    """
    narrow = None if out_dtype is None else check_out_dtype(out_dtype, all_weights, device)
    weights: object = all_weights
    if type(all_weights) is PackedWeights:
        weights = all_weights._core
        if num_layers is None:
            num_layers = all_weights.num_layers
        if bidirectional is None:
            bidirectional = all_weights.bidirectional
    if (  # fast path, for calls that take microseconds
        type(dropout) is float
        and dropout == 0.0
        and type(num_layers) is int
        and 0 < num_layers <= _validate.MOST_LAYERS
        and (bidirectional is False or bidirectional is True)
        and (train is False or (train is True and not _drops_states(all_weights)))
        and (batch_first is False or batch_first is True)
        and seed is None
        and weights_transposed is False
        and has_ih_bias is has_hh_bias is True
        and device is _CPU
        and cell is None
        and direction is _FORWARD
        and mask is None
        and masked_output is _ZERO
    ):
        results = core.lstm_if_plain(
            input,
            initial_states,
            weights,
            (num_layers, bidirectional, batch_first),
            None if batch_sizes is None and lengths is None else (batch_sizes, lengths),
            0 if num_threads is None else _config.threads_for_call(num_threads),
        )
        if results is not None:  # nothing to convert
            return results if narrow is None else narrowed(results, narrow)
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
    call = draw_masks(call, seed, stacklevel=2)
    output, h_n, c_n, _ = forward_drawn(call, seed)
    return (output, h_n, c_n) if narrow is None else narrowed((output, h_n, c_n), narrow)


def _drops_states(weights: object) -> bool:
    """Return whether packed weights are of a cell that drops hidden states."""
    return isinstance(weights, PackedWeights) and weights.cell.recurrent_dropout > 0.0


def forward_drawn(call: ForwardCall, seed: int | None) -> ForwardResults:
    """Run a call that `draw_masks` returned."""
    _, key, counter = call.problem.dropout
    with _random.MasksOfCall(key, counter, drawn=seed is None and call.problem.drops):
        return forward(call)


def draw_masks(call: ForwardCall, seed: int | None, stacklevel: int) -> ForwardCall:
    """Return the call with its place in the generator's stream.

    Warns where there is one layer only, and leaves out the dropout between layers.
    """
    masks = call.problem.dropout
    if masks.rate > 0.0 and call.problem.sizes.num_layers == 1:
        _validate.warn_single_layer(masks.rate, stacklevel=stacklevel + 1)
        masks = masks._replace(rate=0.0)
        call = call.with_dropout(masks)
    if not call.problem.drops:
        return call.with_dropout(NO_DROPOUT)
    if seed is not None:
        return call
    return call.with_dropout(Dropout(masks.rate, *_random.generator.take()))


def prepare(
    input: Any,
    initial_states: Any,
    all_weights: Any,
    num_layers: Any = None,
    dropout: Any = 0.0,
    train: Any = False,
    bidirectional: Any = None,
    batch_first: Any = False,
    batch_sizes: Any = None,
    weights_transposed: Any = False,
    has_ih_bias: Any = True,
    has_hh_bias: Any = True,
    *,
    seed: Any = None,
    num_threads: Any = None,
    lengths: Any = None,
    device: Any = "cpu",
    cell: Any = None,
    direction: Any = "forward",
    mask: Any = None,
    masked_output: Any = "zero",
) -> ForwardCall:
    """Check the arguments of `lstm`; return the call, with dropout's key where `seed` gives one."""
    is_packed = isinstance(all_weights, PackedWeights)
    if not is_packed:
        check_sequence(all_weights, ", or PackedWeights")
        _validate.not_left_out(num_layers, bidirectional)
    if not (is_packed and num_layers is None):
        num_layers = _validate.layer_count(num_layers)
    rate = _validate.dropout_rate(dropout, "dropout", integers=True)
    train = _validate.boolean(train, "train")
    if not (is_packed and bidirectional is None):
        bidirectional = _validate.boolean(bidirectional, "bidirectional")
    batch_first = _validate.boolean(batch_first, "batch_first")
    flags = (
        _validate.boolean(weights_transposed, "weights_transposed"),
        _validate.boolean(has_ih_bias, "has_ih_bias"),
        _validate.boolean(has_hh_bias, "has_hh_bias"),
    )
    repeats_last = _validate.repeats_last(masked_output, mask)
    _validate.mask_alone(mask, batch_sizes, lengths)
    key = 0 if seed is None else _random.check_seed(seed)
    threads = _config.threads_for_call(num_threads)
    cell = cell_of_call(cell, all_weights, bidirectional)
    reverse = _validate.direction(
        direction, all_weights.bidirectional if is_packed else bidirectional
    )

    target = cuda.target_of(device, input)
    if target is not None:
        _validate.of_cuda(cell, reverse, mask)
        input = _device.take(input, "input", target)
        initial_states = _device.take_each(initial_states, "initial_states", target)
        all_weights = _device.take_each(all_weights, "all_weights", target)
    if target is None and is_packed and all_weights.weight_dtype is not None:
        input, initial_states = widened(input), widened_pair(initial_states)
    x = as_real(input, "input")
    packed = None if batch_sizes is None else _validate.batch_sizes(batch_sizes, x)
    _validate.input_rank(x, batch_first, packed)
    weights: list[CellWeights] | core.PackedWeights
    if is_packed:
        sizes, weights = from_packed(all_weights, x, num_layers, bidirectional, flags)
        if target is not None:
            _, weights = unpacked(all_weights)
    else:
        sizes, weights = from_sequence(
            all_weights,
            x,
            num_layers,
            bidirectional,
            flags[0],
            Present(*flags[1:], cell.peepholes, cell.proj_size),
        )
    seq_len, batch = _validate.input_shape(x, sizes, batch_first, packed)
    padded: list[int] = []
    if lengths is not None:
        if packed is not None:
            raise ValueError("lengths: expected None together with batch_sizes, got both")
        padded = _validate.lengths(lengths, seq_len, batch)
    h_0, c_0 = states_of_call(initial_states, x, sizes, batch)
    call = ForwardCall(
        problem=Problem(
            sizes,
            seq_len,
            batch,
            packed or (),
            padded,
            Dropout(rate, key, 0) if train else NO_DROPOUT,
            threads,
            cell=cell,
            reverse=reverse,
            recurrent_dropout=cell.recurrent_dropout if train else 0.0,
        ),
        input=x,
        h_0=h_0,
        c_0=c_0,
        weights=weights,
        batch_first=batch_first and packed is None,
        target=target,
    )
    return call if mask is None else _with_mask(call, mask, repeats_last)


def _with_mask(call: ForwardCall, mask: Any, repeats_last: bool) -> ForwardCall:
    """Return the call of the steps that a mask leaves."""
    from lstm_native._mask import computed_steps  # noqa: PLC0415  # when needed: imports stay fast

    problem = call.problem
    checked = _validate.mask(mask, problem.seq_len, problem.batch, call.batch_first)
    reverse = (problem.reverse, True)[: problem.sizes.directions]
    steps, lengths = computed_steps(checked, call.batch_first, repeats_last, reverse)
    problem = problem._replace(lengths=lengths)
    if steps is None:
        return call._replace(problem=problem)
    x = steps.of_input(call.input)
    problem = problem._replace(seq_len=x.shape[1 if call.batch_first else 0])
    return call._replace(problem=problem, input=x, steps=steps)


def states_of_call(
    initial_states: Any, x: RealArray, sizes: Sizes, batch: int
) -> tuple[RealArray, RealArray]:
    """Return h_0 and c_0, checked; zeros where none are given."""
    if initial_states is None:
        zeros: RealArray = np.zeros((sizes.cell_count, batch, sizes.hidden_size), x.dtype)
        return zeros[..., : sizes.output_size], zeros
    hidden, cell = _validate.pair(initial_states, "initial_states", ("h_0", "c_0"))
    names = ("initial_states[0] (h_0)", "initial_states[1] (c_0)")
    h_0 = as_real(hidden, names[0], x, "input")
    c_0 = as_real(cell, names[1], x, "input")
    _validate.hidden_shape(h_0, names[0], sizes, batch)
    _validate.cell_shape(c_0, names[1], sizes, batch)
    return h_0, c_0
