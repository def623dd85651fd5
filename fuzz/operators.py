"""Calls of `LSTM` and `LSTMGrad`, with reserves and states whose bytes were changed."""

from __future__ import annotations

import inspect
import struct
import warnings
from typing import Any

import numpy as np

import lstm_native
from fuzz import expected
from fuzz.arrays import REALS, draw, plain, spoil
from fuzz.check import FindingError, close, expect, outcome, refused
from fuzz.functions import ODD_SCALARS
from fuzz.reader import Reader
from reference_dropout import drop_with

CALL_NAMES = tuple(inspect.signature(lstm_native.LSTM.__call__).parameters)
GRAD_NAMES = tuple(inspect.signature(lstm_native.LSTMGrad.__call__).parameters)
WEIGHTS_NAMES = tuple(inspect.signature(lstm_native.LSTMGrad.weights).parameters)
BUILD_NAMES = tuple(inspect.signature(lstm_native.LSTM).parameters)
# docs/reserve.md: magic, version, bytes of an element, eight sizes, dropout, key, counter,
# elements, form, cell. Any key and counter will do, unless `state` says which.
HEADER = struct.Struct("<8sII8qdQQqII")
KEY_AND_COUNTER = slice(12, 14)


def draw_sizes(reader: Reader) -> dict[str, Any]:
    """Return arguments of a constructor."""
    return {
        "input_size": reader.integer(1, 9),
        "hidden_size": reader.integer(1, 37),
        "num_layers": reader.integer(1, 3),
        "has_bias": reader.once_in(2),
        "bidirectional": reader.once_in(2),
        "dropout": reader.choose([0.0, 0.4, 1.0]),
        "batch_first": reader.once_in(3),
        "weight_layout": reader.choose(["mindspore_gpu", "mindspore_cpu"]),
    }


def of_constructor(reader: Reader) -> None:
    """Build operators of odd sizes."""
    sizes = draw_sizes(reader)
    for _ in range(reader.integer(0, 2)):
        sizes[reader.choose(list(sizes))] = reader.choose(ODD_SCALARS)
    right = (
        all(expected.is_int(sizes[name], 1, 2**63 - 1) for name in ("input_size", "hidden_size"))
        and expected.is_int(sizes["num_layers"], 1, expected.MOST_LAYERS)
        and all(map(expected.is_flag, (sizes[n] for n in ("has_bias", "bidirectional"))))
        and expected.is_flag(sizes["batch_first"])
        and expected.is_rate(sizes["dropout"], integers=False)
        and isinstance(sizes["weight_layout"], str)
        and sizes["weight_layout"] in ("mindspore_gpu", "mindspore_cpu")
    )
    for kind in (lstm_native.LSTM, lstm_native.LSTMGrad):
        net = outcome(lambda kind=kind: kind(**sizes), BUILD_NAMES)
        if refused(net) and right and "an index can" in str(net):
            continue  # sizes whose weight is larger than any memory
        if expect(right, net, kind.__name__):
            size = (reader.choose([0, 1, 5, 2**31, 2**62]), reader.choose([0, 3, 2**40]))
            outcome(lambda net=net, size=size: net.reserve_size(*size), ("seq_len", "batch"))


class Trained:
    """A training call, its arguments and what it returned."""

    def __init__(self, reader: Reader) -> None:
        self.sizes = sizes = draw_sizes(reader)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # dropout with one layer
            self.net = lstm_native.LSTM(**sizes)
        steps, batch = reader.integer(1, 5), reader.integer(0, 7)
        dtype = reader.choose(REALS)
        cells = sizes["num_layers"] * (2 if sizes["bidirectional"] else 1)
        lead = (batch, steps) if sizes["batch_first"] else (steps, batch)
        self.x = draw(reader, (*lead, sizes["input_size"]), dtype)
        state = (cells, batch, sizes["hidden_size"])
        self.h, self.c = (draw(reader, state, dtype) for _ in range(2))
        scale = 0.5 * sizes["hidden_size"] ** -0.5
        self.w = draw(reader, (self.net.weight_size,), dtype, scale)
        self.dtype = dtype

    def arguments(self) -> list[Any]:
        return [self.x, self.h, self.c, self.w]


def of_operator(reader: Reader) -> None:
    """Call `LSTM`, against the reference."""
    call = Trained(reader)
    arguments = call.arguments()
    right = True
    if reader.once_in(2):
        place = reader.integer(0, 3)
        original = plain(arguments[place])
        arguments[place] = spoil(reader, arguments[place])
        same = plain(arguments[place])
        right = same is not None and same.dtype.newbyteorder("=") == call.dtype
        if place == 3:
            right = right and same.size == original.size
        else:
            right = right and same.shape == original.shape
    longer = False
    if not right and plain(arguments[0]) is not None and plain(call.h).shape[1] == 0:
        longer = True  # an empty batch of any length is an empty batch
    state = reader.choose([None, np.array([[3], [1]]), np.array([[3], [1]], np.uint64)])
    if reader.once_in(4):
        state = reader.choose([np.zeros((2, 2), "i8"), np.zeros((2, 1), "i4"), 3, "x", [[1], [2]]])
    given = np.asarray(state) if state is not None else np.zeros((2, 1), "i8")
    right = right and given.shape == (2, 1) and given.dtype in (np.int64, np.uint64)
    if _takes_long(arguments[0]):
        return
    result = outcome(lambda: call.net(*arguments, state=state), (*CALL_NAMES, "input"))
    steps_changed = not refused(result) and not right and _only_steps_differ(call, arguments)
    if longer or steps_changed:
        return
    if not expect(right, result, "LSTM"):
        return
    drops = call.net.dropout > 0 and call.net.num_layers > 1
    if state is None or (drops and call.net.batch_first):
        return
    key, counter = (int(word) for word in given[:, 0])
    drop = drop_with(call.net.dropout, key, counter) if drops else None
    compare(call, arguments, result, drop)


def _takes_long(x: Any) -> bool:
    """Whether an input is so long that a valid call with it would compute for minutes."""
    array = plain(x)
    return array is not None and array.size > 100_000


def _only_steps_differ(call: Trained, arguments: list[Any]) -> bool:
    """Whether input has another seq_len, which any may be, and all else is right."""
    x, original = plain(arguments[0]), plain(call.x)
    axis = 1 if call.net.batch_first else 0
    if x is None or x.ndim != 3 or x.dtype.newbyteorder("=") != call.dtype:
        return False
    return [n for k, n in enumerate(x.shape) if k != axis] == [
        n for k, n in enumerate(original.shape) if k != axis
    ]


def compare(call: Trained, arguments: list[Any], result: Any, drop: Any) -> None:
    """Compare with the reference, whose weights are apart."""
    net, sizes = call.net, call.sizes
    flat = np.array(plain(arguments[3]), np.float64).reshape(-1)
    directions = 2 if net.bidirectional else 1
    shapes = expected.weight_shapes(
        net.input_size, net.hidden_size, net.num_layers, net.bidirectional, (False, False, False)
    )
    if sizes["weight_layout"] == "mindspore_cpu":
        shapes = [*shapes[::2], *shapes[1::2]]
    matrices, at = [], 0
    for shape in shapes:
        matrices.append(flat[at : at + shape[0] * shape[1]].reshape(shape))
        at += shape[0] * shape[1]
    cells = net.num_layers * directions
    if sizes["weight_layout"] == "mindspore_cpu":
        matrices = [
            m for pair in zip(matrices[:cells], matrices[cells:], strict=True) for m in pair
        ]
    biases = np.split(flat[at:], (flat.size - at) // (4 * net.hidden_size) or 1)
    if not net.has_bias:
        summed = [np.zeros(4 * net.hidden_size)] * cells
    elif sizes["weight_layout"] == "mindspore_cpu":
        summed = biases
    else:
        summed = [a + b for a, b in zip(biases[::2], biases[1::2], strict=True)]
    weights = [a for k in range(cells) for a in (*matrices[2 * k : 2 * k + 2], summed[k])]
    x = plain(arguments[0])
    described = {
        **{"input": x, "initial_states": (arguments[1], arguments[2]), "all_weights": weights},
        **{"weights_transposed": False, "has_ih_bias": True, "has_hh_bias": False},
        **{"bidirectional": net.bidirectional, "batch_first": net.batch_first},
    }
    steps, batch = x.shape[1::-1] if net.batch_first else x.shape[:2]
    with np.errstate(all="ignore"):
        answer = expected.answer(described, (steps, batch, net.input_size, net.hidden_size), drop)
    close(result[:3], answer, call.dtype, "LSTM")


def changed_bytes(reader: Reader, array: Any) -> Any:
    """Return a copy with some bytes changed, most of them in the header."""
    raw = bytearray(np.ascontiguousarray(array).tobytes())
    for _ in range(reader.integer(0, 3) if raw else 0):
        end = len(raw) if reader.once_in(4) else min(len(raw), HEADER.size + 16)
        raw[reader.integer(0, end - 1)] = reader.byte()
    return np.frombuffer(bytes(raw), array.dtype).reshape(array.shape)


def same_call(tape: Any, other: Any, state_given: bool) -> bool:
    """Whether two tapes are of the same call, by their headers."""
    ours, theirs = (list(HEADER.unpack_from(t.tobytes())) for t in (tape, other))
    if not state_given:
        ours[KEY_AND_COUNTER] = theirs[KEY_AND_COUNTER]
    return ours == theirs


def of_gradient(reader: Reader) -> None:
    """Call `LSTMGrad`: what a call returned is taken, a changed header or state is not."""
    call = Trained(reader)
    y, hy, cy, reserve, state = call.net(*call.arguments())
    state = None if reader.once_in(2) else state
    changed = changed_bytes(reader, reserve)
    wrong = not same_call(reserve, changed, state_given=False)
    reserve = changed
    if state is not None:
        state = changed_bytes(reader, state)
        # Both may have changed alike.
        recorded = HEADER.unpack_from(reserve.tobytes())[KEY_AND_COUNTER]
        wrong = wrong or recorded != tuple(state.astype("<i8").view("<u8").ravel().tolist())
    gradients = [draw(reader, a.shape, a.dtype) for a in (y, hy, cy)]
    arguments = [*call.arguments(), y, hy, cy, *gradients, reserve, state]
    if reader.once_in(3):
        place = reader.integer(0, 10)
        original = plain(arguments[place])
        arguments[place] = spoil(reader, arguments[place])
        same = plain(arguments[place])
        fits = same is not None and same.dtype.newbyteorder("=") == call.dtype
        if place == 3:
            wrong = wrong or not (fits and same.size == original.size)
        else:
            wrong = wrong or not (fits and same.shape == original.shape)
        if place == 10 and not wrong:
            wrong = not np.array_equal(same, original, equal_nan=True)
            if not wrong:
                arguments[place] = original
            elif fits:
                return  # another reserve of the right size, whatever it holds
    net = lstm_native.LSTMGrad(**call.sizes)
    if reader.once_in(2):
        of_halves(reader, call, net, arguments, wrong)
        return
    got = outcome(lambda: net(*arguments), GRAD_NAMES)
    if expect(not wrong, got, "LSTMGrad"):
        shapes = [a.shape for a in got]
        if shapes != [plain(a).shape for a in arguments[:4]]:
            raise FindingError(f"LSTMGrad: gradients of shapes {shapes}")


def of_halves(reader: Reader, call: Trained, net: Any, arguments: list[Any], wrong: bool) -> None:
    """Call the two halves; the second also with a changed workspace and any `out`."""
    got = outcome(lambda: net.data(*arguments), GRAD_NAMES)
    if not expect(not wrong, got, "LSTMGrad.data"):
        return
    state = arguments[11]
    workspace = changed_bytes(reader, got[3])
    wrong = not same_call(got[3], workspace, state is not None)
    out: Any = reader.choose([None, np.zeros(net.weight_size, call.dtype)])
    accumulate = reader.once_in(2)
    if reader.once_in(3):
        out = spoil(reader, np.zeros(net.weight_size, call.dtype))
    usable = type(out) is np.ndarray and out.dtype == call.dtype and out.size == net.weight_size
    usable = usable and out.flags.c_contiguous and out.flags.writeable and out.flags.aligned
    wrong = wrong or not (usable or (out is None and not accumulate))
    dw = outcome(
        lambda: net.weights(
            arguments[0], arguments[10], workspace, state, out=out, accumulate=accumulate
        ),
        WEIGHTS_NAMES,
    )
    expect(not wrong, dw, "LSTMGrad.weights")


SURFACES = (of_constructor, of_operator, of_gradient)
