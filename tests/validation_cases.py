"""Wrong calls: for every argument of every interface every kind of mistake, and what is raised.

The valid calls that they depart from have T = 5, N = 3, I = 10, H = 2, L = 1 and one direction:
sizes that all differ, so a message can't show one of them in another's place unnoticed.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

import lstm_native
import lstm_native.onnx

KINDS = ("type", "rank", "size", "value", "dtype")

BUILD = "LSTM(...)"
CALL = "LSTM(...)(...)"
RESERVE_SIZE = "LSTM(...).reserve_size"
STREAM = "Stream(...)"
STEP = "Stream(...).step"
RUN = "Stream(...).run"
STATE_OF_STREAM = "Stream(...).state"
SESSIONS = "Sessions(...)"
SESSIONS_STEP = "Sessions(...).step"
SESSIONS_RUN = "Sessions(...).run"
CLOSE = "Sessions(...).close"
STATE_OF_SESSION = "Sessions(...).state"
SET_STATE = "Sessions(...).set_state"
RESET = "Sessions(...).reset"
DUMP = "Sessions(...).dump"
LOAD = "Sessions(...).load"
VJP = "lstm_vjp"
PULLBACK = "lstm_vjp(...)[1]"
GRAD_BUILD = "LSTMGrad(...)"
GRAD = "LSTMGrad(...)(...)"
GRAD_WEIGHTS = "LSTMGrad(...).weights"
ONNX = "onnx.lstm"

# What the table must hold. A rate or a seed has no shape, NaN in an array is data, `w` may have any
# rank; of the flags, those have a wrong value that contradicts `all_weights`.
ARRAY = ("type", "rank", "size", "dtype")
SCALAR = ("type", "value")
APPLICABLE: dict[str, dict[str, tuple[str, ...]]] = {
    "lstm": {
        "input": ARRAY,
        "initial_states": ARRAY,
        "all_weights": ARRAY,
        "num_layers": SCALAR,
        "dropout": SCALAR,
        "train": ("type",),
        "bidirectional": SCALAR,
        "batch_first": ("type",),
        "batch_sizes": KINDS,
        "weights_transposed": SCALAR,
        "has_ih_bias": SCALAR,
        "has_hh_bias": SCALAR,
        "seed": SCALAR,
        "num_threads": SCALAR,
        "lengths": KINDS,
        "device": SCALAR,
        "cell": SCALAR,
        "direction": SCALAR,
        "mask": KINDS,
        "masked_output": SCALAR,
        "out_dtype": SCALAR,
    },
    BUILD: {
        "input_size": SCALAR,
        "hidden_size": SCALAR,
        "num_layers": SCALAR,
        "has_bias": ("type",),
        "bidirectional": ("type",),
        "dropout": SCALAR,
        "batch_first": ("type",),
        "weight_layout": SCALAR,
        "training": ("type",),
        "device": SCALAR,
        "cell": SCALAR,
        "direction": SCALAR,
    },
    CALL: {
        "input": ARRAY,
        "h": ARRAY,
        "c": ARRAY,
        "w": ("type", "size", "value", "dtype"),
        "state": ARRAY,
        "training": ("type",),
        "num_threads": SCALAR,
        "device": SCALAR,
    },
    RESERVE_SIZE: {"seq_len": SCALAR, "batch": SCALAR},
    PULLBACK: {"d_output": ARRAY, "d_h_outs": ARRAY, "d_c_outs": ARRAY, "needs": SCALAR},
    GRAD: {
        **dict.fromkeys(("x", "hx", "cx"), ARRAY),
        "w": ("type", "size", "dtype"),
        **dict.fromkeys(("y", "hy", "cy", "dy", "dhy", "dcy"), ARRAY),
        "reserve": KINDS,
        "state": KINDS,
        "num_threads": SCALAR,
        "device": SCALAR,
    },
    GRAD_WEIGHTS: {
        "x": ARRAY,
        "reserve": KINDS,
        "workspace": KINDS,
        "state": KINDS,
        "out": ("type", "size", "value", "dtype"),
        "accumulate": ("type",),
        "num_threads": SCALAR,
        "device": SCALAR,
    },
    "manual_seed": {"seed": SCALAR},
    "set_num_threads": {"num_threads": SCALAR},
    "set_adaptive_threads": {"adapt": ("type",)},
    "set_flush_subnormals": {"flush": ("type",)},
    "pack_weights": {
        "all_weights": KINDS,
        "num_layers": SCALAR,
        "bidirectional": SCALAR,
        "weights_transposed": SCALAR,
        "has_ih_bias": SCALAR,
        "has_hh_bias": SCALAR,
        "weight_dtype": ("type", "value", "dtype"),
        "compute": SCALAR,
        "gate_order": SCALAR,
        "cell": SCALAR,
    },
    STREAM: {
        "packed": SCALAR,
        "batch": SCALAR,
        "initial_states": ARRAY,
        "num_threads": SCALAR,
        "cell": SCALAR,
        "direction": SCALAR,
    },
    STEP: {"x": ARRAY, "out": (*ARRAY, "value")},
    RUN: {"x": ARRAY, "out": (*ARRAY, "value")},
    STATE_OF_STREAM: {"state": ARRAY},
    SESSIONS: {
        "packed": SCALAR,
        "capacity": SCALAR,
        "num_threads": SCALAR,
        "cell": SCALAR,
        "direction": SCALAR,
    },
    SESSIONS_STEP: {"ids": KINDS, "x": ARRAY},
    SESSIONS_RUN: {"ids": ("value",), "x": ARRAY},
    SET_STATE: {"id": SCALAR, "state": ARRAY},
    LOAD: {"id": SCALAR, "data": SCALAR},
    **{method: {"id": SCALAR} for method in (CLOSE, RESET, STATE_OF_SESSION, DUMP)},
    "Cell": {
        "activations": SCALAR,
        "alphas": SCALAR,
        "betas": SCALAR,
        "clip": SCALAR,
        "input_forget": ("type",),
        "peepholes": ("type",),
        "proj_size": SCALAR,
        "recurrent_dropout": SCALAR,
    },
    ONNX: {
        **dict.fromkeys(("X", "W", "R", "B"), ARRAY),
        "sequence_lens": KINDS,
        **dict.fromkeys(("initial_h", "initial_c", "P"), ARRAY),
        "hidden_size": SCALAR,
        "direction": SCALAR,
        "layout": SCALAR,
        "activations": SCALAR,
        "activation_alpha": SCALAR,
        "activation_beta": SCALAR,
        "clip": SCALAR,
        "input_forget": SCALAR,
        "num_threads": SCALAR,
    },
    "explain": {
        "seq_len": SCALAR,
        "batch": SCALAR,
        "input_size": SCALAR,
        "hidden_size": SCALAR,
        "num_layers": SCALAR,
        "bidirectional": ("type",),
        "dtype": SCALAR,
        "packed": ("type",),
        "weight_dtype": SCALAR,
        "compute": SCALAR,
        "batch_first": ("type",),
        "lengths": KINDS,
        "num_threads": SCALAR,
        "cell": SCALAR,
        "direction": SCALAR,
    },
}

APPLICABLE[VJP] = {**APPLICABLE["lstm"], "recompute": ("type",)}
del APPLICABLE[VJP]["out_dtype"]
APPLICABLE[GRAD_BUILD] = {
    argument: kinds for argument, kinds in APPLICABLE[BUILD].items() if argument != "training"
}


@dataclass(frozen=True)
class Mistake:
    """One wrong call.

    `message` is the whole text, or ends in an ellipsis where another library's words follow, or
    numbers that another CPU would change.
    `given` replaces or adds arguments of the interface's valid call; for a call of the operator,
    `built` does so for its constructor.
    """

    interface: str
    argument: str
    kind: str
    passed: str
    exception: type[Exception]
    message: str
    given: Mapping[str, Any]
    built: Mapping[str, Any]

    @property
    def is_possible(self) -> bool:
        """NumPy before 1.24 makes an array of objects of lists of unequal lengths, and warns."""
        return not (OLD_NUMPY and self.message.endswith(RAGGED))

    @property
    def label(self) -> str:
        return f"{self.interface}-{self.argument}-{self.kind}-{self.passed}"

    def run(self) -> object:
        return call(self.interface, self.given, self.built)

    def raised(self) -> Exception:
        try:
            self.run()
        except Exception as error:
            return error
        raise AssertionError(f"accepted: {self.label}")


def zeros(*shape: int, dtype: Any = np.float32) -> Any:
    return np.zeros(shape, dtype)


WEIGHTS = (zeros(8, 10), zeros(8, 2), zeros(8), zeros(8))
STATE = zeros(1, 3, 2)
PACKED = {"input": zeros(7, 10), "batch_sizes": [3, 2, 1, 1]}
PACKED_WEIGHTS = lstm_native.pack_weights(WEIGHTS, 1, False)
MODEL = lstm_native.Model(PACKED_WEIGHTS)
NARROW_WEIGHTS = lstm_native.pack_weights(WEIGHTS, 1, False, weight_dtype="float16")
OF_TWO_DIRECTIONS = lstm_native.Cell(activations=("relu", *["tanh"] * 5))
PEEPHOLES = lstm_native.Cell(peepholes=True)
VALID: dict[str, dict[str, Any]] = {
    "lstm": {
        "input": zeros(5, 3, 10),
        "initial_states": (STATE, STATE),
        "all_weights": WEIGHTS,
        "num_layers": 1,
        "dropout": 0.0,
        "train": False,
        "bidirectional": False,
    },
    BUILD: {
        "input_size": 10,
        "hidden_size": 2,
        "num_layers": 1,
        "has_bias": True,
        "bidirectional": False,
        "dropout": 0.0,
    },
    CALL: {"input": zeros(5, 3, 10), "h": STATE, "c": STATE, "w": zeros(112)},
    RESERVE_SIZE: {"seq_len": 5, "batch": 3},
    "manual_seed": {"seed": 1},
    "set_num_threads": {"num_threads": 1},
    "set_adaptive_threads": {"adapt": True},
    "set_flush_subnormals": {"flush": True},
    "pack_weights": {"all_weights": WEIGHTS, "num_layers": 1, "bidirectional": False},
    STREAM: {"packed": PACKED_WEIGHTS, "batch": 3},
    STEP: {"x": zeros(3, 10)},
    RUN: {"x": zeros(5, 3, 10)},
    STATE_OF_STREAM: {"state": (STATE, STATE)},
    SESSIONS: {"packed": PACKED_WEIGHTS, "capacity": 4},
    SESSIONS_STEP: {"ids": [0, 1, 2], "x": zeros(3, 10)},
    SESSIONS_RUN: {"ids": [0, 1, 2], "x": zeros(5, 3, 10)},
    SET_STATE: {"id": 0, "state": (zeros(1, 2), zeros(1, 2))},
    **{method: {"id": 0} for method in (CLOSE, RESET, STATE_OF_SESSION, DUMP)},
    "Cell": {"input_forget": True},
    ONNX: {"X": zeros(5, 3, 10), "W": zeros(1, 8, 10), "R": zeros(1, 8, 2)},
    "explain": {"seq_len": 5, "batch": 3, "input_size": 10, "hidden_size": 2},
}


RESERVE, SEED_STATE = lstm_native.LSTM(**VALID[BUILD])(**VALID[CALL])[3:]


def three_sessions(packed: Any = PACKED_WEIGHTS) -> lstm_native.Sessions:
    """Sessions with ids 0, 1 and 2; one with id 3 was closed."""
    sessions = lstm_native.Sessions(**{**VALID[SESSIONS], "packed": packed})
    *_, last = (sessions.open() for _ in range(4))
    sessions.close(last)
    return sessions


VALID[LOAD] = {"id": 0, "data": three_sessions().dump(0)}
VALID[VJP] = VALID["lstm"]
VALID[PULLBACK] = {}
VALID[GRAD_BUILD] = VALID[BUILD]
VALID[GRAD] = {
    "x": zeros(5, 3, 10),
    "w": zeros(112),
    **dict.fromkeys(("y", "dy"), zeros(5, 3, 2)),
    **dict.fromkeys(("hx", "cx", "hy", "cy", "dhy", "dcy"), STATE),
    "reserve": RESERVE,
}
WORKSPACE = lstm_native.LSTMGrad(**VALID[BUILD]).data(**VALID[GRAD])[3]
VALID[GRAD_WEIGHTS] = {"x": zeros(5, 3, 10), "reserve": RESERVE, "workspace": WORKSPACE}


def target(  # noqa: PLR0911
    interface: str, built: Mapping[str, Any] | None = None
) -> Callable[..., Any]:
    """The callable that an interface's name stands for."""
    if interface == CALL:
        return lstm_native.LSTM(**{**VALID[BUILD], **(built or {})})
    if interface == RESERVE_SIZE:
        return lstm_native.LSTM(**VALID[BUILD]).reserve_size
    if interface == PULLBACK:
        return lstm_native.lstm_vjp(**VALID[VJP])[1]
    if interface in (GRAD, GRAD_WEIGHTS):
        net = lstm_native.LSTMGrad(**{**VALID[BUILD], **(built or {})})
        return net if interface == GRAD else net.weights
    if interface in (STEP, RUN, STATE_OF_STREAM):
        stream = lstm_native.Stream(**VALID[STREAM])
        if interface == STATE_OF_STREAM:
            return lambda state: setattr(stream, "state", state)
        return stream.step if interface == STEP else stream.run
    if interface.startswith("Sessions(...)."):
        method: Callable[..., Any] = getattr(three_sessions(), interface.rpartition(".")[2])
        return method
    if interface == ONNX:
        return lstm_native.onnx.lstm
    found: Callable[..., Any] = getattr(lstm_native, interface.removesuffix("(...)"))
    return found


def call(
    interface: str, given: Mapping[str, Any] | None = None, built: Mapping[str, Any] | None = None
) -> Any:
    """Make the interface's valid call with some arguments replaced."""
    return target(interface, built)(**{**VALID[interface], **(given or {})})


class Unreadable:
    """Refuses to become an array, as a tensor that records gradients does."""

    def __array__(self, dtype: Any = None, copy: Any = None) -> Any:
        raise RuntimeError("detach() it first")


class OnGpu:
    """Offers memory that is not the CPU's."""

    def __dlpack__(self, **_options: Any) -> Any:
        raise AssertionError("the device is asked for first")

    def __dlpack_device__(self) -> tuple[int, int]:
        return 2, 0


def masked(*shape: int, dtype: Any = np.float32) -> Any:
    return np.ma.masked_array(zeros(*shape, dtype=dtype), mask=True)


def weights(index: int, replacement: Any) -> dict[str, Any]:
    """The valid weights with one array replaced."""
    return {"all_weights": (*WEIGHTS[:index], replacement, *WEIGHTS[index + 1 :])}


def more_weights(*matrices: Any, **arguments: Any) -> dict[str, Any]:
    """Weights of a second layer, or of the reverse direction, after the valid ones."""
    return {"all_weights": (*WEIGHTS, *matrices, *WEIGHTS[2:]), **arguments}


def h_0(replacement: Any, **arguments: Any) -> dict[str, Any]:
    return {"initial_states": (replacement, STATE), **arguments}


def c_0(replacement: Any, **arguments: Any) -> dict[str, Any]:
    return {"initial_states": (STATE, replacement), **arguments}


ScalarRow = tuple[str, str, type[Exception], str, Any]
Row = tuple[str, str, type[Exception], str, Mapping[str, Any]]


def scalar(interface: str, argument: str, expected: str, *rows: ScalarRow) -> list[Mistake]:
    """From rows of (kind, passed, exception, what the message says came, the value)."""
    return [
        Mistake(
            interface,
            argument,
            kind,
            passed,
            exception,
            f"{argument}: expected {expected}, got {got}",
            {argument: value},
            {},
        )
        for kind, passed, exception, got, value in rows
    ]


def other(
    interface: str, argument: str, *rows: Row, built: Mapping[str, Any] | None = None
) -> list[Mistake]:
    """From rows of (kind, passed, exception, message, the arguments that differ)."""
    return [
        Mistake(interface, argument, kind, passed, exception, message, given, built or {})
        for kind, passed, exception, message, given in rows
    ]


def packed_like(*matrices: Any, dtype: Any = np.float32, **arguments: Any) -> Any:
    """Packed weights that differ from the valid ones."""
    listed = matrices or WEIGHTS
    arguments = {"num_layers": 1, "bidirectional": False, **arguments}
    return lstm_native.pack_weights([w.astype(dtype) for w in listed], **arguments)


def devices_of(interface: str) -> list[Mistake]:
    return scalar(
        interface,
        "device",
        "'cpu', 'cuda' or a lstm_native.cuda.Device",
        ("type", "an index", TypeError, "int 0", 0),
        ("type", "a bool", TypeError, "bool True", True),
        ("value", "another name", ValueError, "str 'gpu'", "gpu"),
        ("value", "an index behind the name", ValueError, "str 'cuda:0'", "cuda:0"),
    )


def cells_of(interface: str) -> list[Mistake]:
    return scalar(
        interface,
        "cell",
        "a Cell or None",
        ("type", "a name", TypeError, "str 'coupled'", "coupled"),
        ("type", "the class", TypeError, "type", lstm_native.Cell),
        ("type", "what a Cell is made of", TypeError, "dict", {"input_forget": True}),
    ) + other(
        interface,
        "cell",
        (
            "value",
            "activations for each of two directions",
            ValueError,
            "cell: expected the activations of one direction, because bidirectional is False, "
            f"got {OF_TWO_DIRECTIONS}",
            {"cell": OF_TWO_DIRECTIONS},
        ),
    )


def directions_of(interface: str) -> list[Mistake]:
    return scalar(
        interface,
        "direction",
        "'forward' or 'reverse'",
        ("type", "a bool", TypeError, "bool True", True),
        ("type", "None", TypeError, "None", None),
        ("value", "another name", ValueError, "'backward'", "backward"),
    )


def lengths_of(interface: str) -> list[Mistake]:
    """Of two interfaces that take the same `lengths` for the same batch."""
    return [
        *scalar(interface, "lengths", ONE_PER_ROW,
            ("type", "an int", TypeError, "int 5", 5),
            ("type", "a bool", TypeError, "bool True", True),
            ("type", "a set", TypeError, "set", {5, 2, 1}),
            ("type", "a generator", TypeError, "generator", (n for n in [5, 2, 1])),
            ("type", "a string", TypeError, "str '521'", "521"),
        ),
        *other(interface, "lengths",
            ("type", "a masked array", TypeError, f"lengths: {UNMASKED}",
             {"lengths": masked(3, dtype=np.int64)}),
            ("rank", "a matrix", ValueError, "lengths: expected shape (batch,) = (3,), got (3, 1)",
             {"lengths": [[5], [2], [1]]}),
            ("size", "nothing", ValueError, "lengths: expected shape (batch,) = (3,), got (0,)",
             {"lengths": []}),
            ("size", "one too few", ValueError,
             "lengths: expected shape (batch,) = (3,), got (2,)", {"lengths": [5, 2]}),
            ("size", "one too many", ValueError,
             "lengths: expected shape (batch,) = (3,), got (4,)", {"lengths": [5, 2, 1, 1]}),
            ("size", "lists of unequal lengths", ValueError, f"lengths: {RAGGED}",
             {"lengths": [[5], [2, 1], []]}),
            ("value", "longer than seq_len", ValueError,
             "lengths: expected lengths from 0 to 5, the seq_len of input, got 6 for row 2",
             {"lengths": [5, 0, 6]}),
            ("value", "a negative length", ValueError,
             "lengths: expected lengths from 0 to 5, the seq_len of input, got -1 for row 0",
             {"lengths": [-1, 5, 5]}),
            ("value", "an unsigned length past every signed one", ValueError,
             "lengths: expected lengths from 0 to 5, the seq_len of input, "
             "got 18446744073709551615 for row 1",
             {"lengths": np.array([5, 2**64 - 1, 1], np.uint64)}),
            ("dtype", "floats", TypeError, "lengths: expected ints, got dtype float64",
             {"lengths": [5.0, 2.0, 1.0]}),
            ("dtype", "booleans", TypeError, "lengths: expected ints, got dtype bool",
             {"lengths": [True, True, False]}),
            ("dtype", "strings", TypeError, "lengths: expected ints, got dtype <U1",
             {"lengths": ["5", "2", "1"]}),
            ("dtype", "a bool among ints", TypeError,
             "lengths: expected ints, got a list with bools", {"lengths": [True, 5, 2]}),
            ("dtype", "a NumPy bool among ints", TypeError,
             "lengths: expected ints, got a tuple with bools", {"lengths": (5, np.False_, 2)}),
            ("value", "2 ** 63", ValueError,
             "lengths: expected lengths from 0 to 5, the seq_len of input, "
             "got 9223372036854775808 for row 0", {"lengths": [2**63, 2, 1]}),
            ("value", "2 ** 200", ValueError,
             "lengths: expected lengths from 0 to 5, the seq_len of input, "
             "got 2**200 or more for row 1", {"lengths": [2, 2**200, 1]}),
        ),
    ]  # fmt: skip


MASK_SHAPE = "mask: expected shape (seq_len, batch) = (5, 3), got"
REAL = "expected dtype float32 or float64, got"
NO_ARRAY = "expected an array of float32 or float64, got"
NOT_INPUTS = "expected dtype float32, the same as input, got"
UNMASKED = (
    "expected an array without a mask, got a numpy.ma.MaskedArray; fill it first (its .filled())"
)
GPU = (
    "expected an array, got a validation_cases.OnGpu: its memory is on DLPack device type 2, "
    'not on the CPU; device="cuda" takes it'
)
UNREADABLE = "expected an array, got a validation_cases.Unreadable: detach() it first"
RAGGED = "expected an array, got a list: …"
OLD_NUMPY = tuple(int(part) for part in np.__version__.split(".")[:2]) < (1, 24)
INPUT_RANK = "expected shape (seq_len, batch, input_size), got"
INPUT_SHAPE = "expected shape (seq_len, batch, input_size) = (seq_len, batch, 10), got"
BATCH_FIRST_SHAPE = "expected shape (batch, seq_len, input_size) = (batch, seq_len, 10), got"
STATE_AXES = "expected shape (num_layers * num_directions, batch, hidden_size)"
STATE_SHAPE = f"{STATE_AXES} = (1, 3, 2), got"
H_0, C_0 = "initial_states[0] (h_0):", "initial_states[1] (c_0):"
W_IH = "all_weights[0] (w_ih of layer 0, forward):"
W_HH = "all_weights[1] (w_hh of layer 0, forward):"
B_IH = "all_weights[2] (b_ih of layer 0, forward):"
B_HH = "all_weights[3] (b_hh of layer 0, forward):"
W_HH_SHAPE = (
    "expected shape (4 * hidden_size, hidden_size) with sizes of at least 1 "
    "(weights_transposed=False), got"
)
W_IH_SHAPE = W_HH_SHAPE.replace(", hidden_size)", ", input_size)")
FLAGS = "num_layers=1, bidirectional=False, has_ih_bias=True, has_hh_bias=True"
ALL_ROLES = "w_ih, w_hh, b_ih, b_hh for each layer and direction"
# w_hh has one column less than it has units, and w_hr is there.
PROJECTED = (WEIGHTS[0], zeros(8, 1), *WEIGHTS[2:], zeros(1, 2))
FOUR_ARRAYS = f"all_weights: expected 4 arrays ({ALL_ROLES}; {FLAGS}), got"
AT_LEAST_1 = "an int of at least 1"
LAYERS = "an int from 1 to 65536"
INDEX = f"an int from 1 to {2**63 - 1}"
RATE = "a float from 0.0 to 1.0"
THREADS = "an int from 1 to 128"
SEED = f"an int from 0 to {2**64 - 1}"
OPERATOR = (
    "LSTM(10, 2, 1, True, False, 0.0, batch_first=False, "
    "weight_layout='mindspore_gpu', training=True)"
)
LAYOUTS = "'mindspore_gpu' or 'mindspore_cpu'"
ONE_PER_ROW = "a sequence of ints, one per batch row"
WEIGHT_DTYPES = "'float16' or 'bfloat16' or 'int8' or None"
COMPUTE = "'bfloat16' or 'int8' or None"
OUT_DTYPES = "'float32' or 'float16' or 'bfloat16' or None"
NOT_PACKEDS = "expected dtype float32, the same as packed, got"
AS_PACKED = "as all_weights were packed, got"
ARRAYS_OR_PACKED = "all_weights: expected a tuple or list of arrays, or PackedWeights"
OF_MODEL = "packed weights are the Model's attribute `packed`"
OF_PACKED_ONLY = "got None; it may be left out with PackedWeights only"
COMPLEX_RECORD = np.dtype([("re", "<f4"), ("im", "<f4")])

# One mistake per entry reads like a table; the formatter would give each part its own line.
# fmt: off
LSTM_ARRAYS = [
    *other("lstm", "input",
        ("type", "None", TypeError, f"input: {NO_ARRAY} None", {"input": None}),
        ("type", "a dict of arrays", TypeError, f"input: {NO_ARRAY} a dict",
         {"input": {"x": zeros(5, 3, 10)}}),
        ("type", "a file's name", TypeError, f"input: {NO_ARRAY} a str", {"input": "x.npy"}),
        ("type", "a generator of arrays", TypeError, f"input: {NO_ARRAY} a generator",
         {"input": (zeros(3, 10) for _ in range(5))}),
        ("type", "a masked array", TypeError, f"input: {UNMASKED}", {"input": masked(5, 3, 10)}),
        ("type", "an object whose `__array__` raises", TypeError, f"input: {UNREADABLE}",
         {"input": Unreadable()}),
        ("type", "an array in a GPU's memory", TypeError, f"input: {GPU}", {"input": OnGpu()}),
        ("rank", "one sequence, without a batch axis", ValueError,
         f"input: {INPUT_RANK} (5, 10)", {"input": zeros(5, 10)}),
        ("rank", "four axes", ValueError,
         f"input: {INPUT_RANK} (1, 5, 3, 10)", {"input": zeros(1, 5, 3, 10)}),
        ("rank", "one number", ValueError, f"input: {INPUT_RANK} ()", {"input": np.float32(1)}),
        ("rank", "padded sequences, with `batch_sizes`", ValueError,
         "input: expected shape (sum(batch_sizes), input_size) = (7, input_size), got (4, 3, 10)",
         {**PACKED, "input": zeros(4, 3, 10)}),
        ("size", "nested lists of unequal lengths", ValueError, f"input: {RAGGED}",
         {"input": [[1.0, 2.0], [3.0]]}),
        ("size", "other features than w_ih has columns", ValueError,
         f"input: {INPUT_SHAPE} (5, 3, 9)", {"input": zeros(5, 3, 9)}),
        ("size", "other features, with `batch_first=True`", ValueError,
         f"input: {BATCH_FIRST_SHAPE} (3, 5, 11)",
         {"input": zeros(3, 5, 11), "batch_first": True}),
        ("size", "no time steps", ValueError,
         "input: expected a seq_len of at least 1, got shape (0, 3, 10)",
         {"input": zeros(0, 3, 10)}),
        ("size", "no time steps, with `batch_first=True`", ValueError,
         "input: expected a seq_len of at least 1, got shape (3, 0, 10)",
         {"input": zeros(3, 0, 10), "batch_first": True}),
        ("size", "a packed sequence with a row missing", ValueError,
         "input: expected shape (sum(batch_sizes), input_size) = (7, 10), got (6, 10)",
         {**PACKED, "input": zeros(6, 10)}),
        ("dtype", "integers", TypeError, f"input: {REAL} int64",
         {"input": zeros(5, 3, 10, dtype=np.int64)}),
        ("dtype", "float16", TypeError, f"input: {REAL} float16",
         {"input": zeros(5, 3, 10, dtype=np.float16)}),
        ("dtype", "booleans", TypeError, f"input: {REAL} bool",
         {"input": zeros(5, 3, 10, dtype=bool)}),
        ("dtype", "complex numbers", TypeError, f"input: {REAL} complex64",
         {"input": zeros(5, 3, 10, dtype=np.complex64)}),
        ("dtype", "strings", TypeError, f"input: {REAL} <U3", {"input": [[["1.0", "2.0"]]]}),
        ("dtype", "objects, in an array", TypeError, f"input: {REAL} object from a numpy.ndarray",
         {"input": zeros(5, 3, 10, dtype=object)}),
        ("dtype", "numbers and None, in a list", TypeError, f"input: {REAL} object from a list",
         {"input": [[[1.0, None]]]}),
        ("dtype", "records", TypeError, f"input: {REAL} {COMPLEX_RECORD}",
         {"input": zeros(5, 3, 10, dtype=COMPLEX_RECORD)}),
    ),
    *other("lstm", "initial_states",
        ("type", "a number", TypeError,
         "initial_states: expected a tuple of two arrays (h_0, c_0), got int 0",
         {"initial_states": 0}),
        ("type", "both in one array", TypeError,
         "initial_states: expected a tuple of two arrays (h_0, c_0), "
         "got ndarray of shape (2, 1, 3, 2)",
         {"initial_states": zeros(2, 1, 3, 2)}),
        ("type", "a dict of two arrays", TypeError,
         "initial_states: expected a tuple of two arrays (h_0, c_0), got dict",
         {"initial_states": {"h": STATE, "c": STATE}}),
        ("type", "None for h_0", TypeError, f"{H_0} {NO_ARRAY} None", h_0(None)),
        ("type", "a string for c_0", TypeError, f"{C_0} {NO_ARRAY} a str", c_0("zeros")),
        ("type", "a masked array for c_0", TypeError, f"{C_0} {UNMASKED}", c_0(masked(1, 3, 2))),
        ("type", "h_0 in a GPU's memory", TypeError, f"{H_0} {GPU}", h_0(OnGpu())),
        ("rank", "h_0 without a batch axis", ValueError, f"{H_0} {STATE_SHAPE} (1, 2)",
         h_0(zeros(1, 2))),
        ("rank", "c_0 with layers and directions on axes of their own", ValueError,
         f"{C_0} {STATE_SHAPE} (1, 1, 3, 2)", c_0(zeros(1, 1, 3, 2))),
        ("rank", "one number for h_0", ValueError, f"{H_0} {STATE_SHAPE} ()", h_0(np.float32(0))),
        ("size", "h_0 alone", ValueError,
         "initial_states: expected a tuple of two arrays (h_0, c_0), got 1 item(s)",
         {"initial_states": (STATE,)}),
        ("size", "a third array", ValueError,
         "initial_states: expected a tuple of two arrays (h_0, c_0), got 3 item(s)",
         {"initial_states": [STATE, STATE, STATE]}),
        ("size", "h_0 for another batch", ValueError, f"{H_0} {STATE_SHAPE} (1, 4, 2)",
         h_0(zeros(1, 4, 2))),
        ("size", "c_0 for another batch", ValueError, f"{C_0} {STATE_SHAPE} (1, 1, 2)",
         c_0(zeros(1, 1, 2))),
        ("size", "h_0 of another hidden_size", ValueError, f"{H_0} {STATE_SHAPE} (1, 3, 8)",
         h_0(zeros(1, 3, 8))),
        ("size", "c_0 of another hidden_size", ValueError, f"{C_0} {STATE_SHAPE} (1, 3, 1)",
         c_0(zeros(1, 3, 1))),
        ("size", "c_0 for two layers", ValueError, f"{C_0} {STATE_SHAPE} (2, 3, 2)",
         c_0(zeros(2, 3, 2))),
        ("size", "h_0 for one direction, with `bidirectional=True`", ValueError,
         f"{H_0} {STATE_AXES} = (2, 3, 2), got (1, 3, 2)",
         more_weights(*WEIGHTS[:2], bidirectional=True)),
        ("size", "states of the last step's batch, with `batch_sizes`", ValueError,
         f"{H_0} {STATE_SHAPE} (1, 1, 2)", h_0(zeros(1, 1, 2), **PACKED)),
        ("dtype", "h_0 in float64, input in float32", TypeError, f"{H_0} {NOT_INPUTS} float64",
         h_0(zeros(1, 3, 2, dtype=np.float64))),
        ("dtype", "nested lists (float64) for c_0, input in float32", TypeError,
         f"{C_0} {NOT_INPUTS} float64", c_0([[[0.0, 0.0]] * 3])),
        ("dtype", "c_0 in integers", TypeError, f"{C_0} {REAL} int64",
         c_0(zeros(1, 3, 2, dtype=np.int64))),
        ("dtype", "h_0 in float16", TypeError, f"{H_0} {REAL} float16",
         h_0(zeros(1, 3, 2, dtype=np.float16))),
    ),
    *other("lstm", "all_weights",
        ("type", "None", TypeError,
         f"{ARRAYS_OR_PACKED}, got None", {"all_weights": None}),
        ("type", "None, with `num_layers` and `bidirectional` left out", TypeError,
         f"{ARRAYS_OR_PACKED}, got None",
         {"all_weights": None, "num_layers": None, "bidirectional": None}),
        ("type", "a Model", TypeError,
         f"{ARRAYS_OR_PACKED}, got Model; {OF_MODEL}",
         {"all_weights": MODEL, "num_layers": None, "bidirectional": None}),
        ("type", "one flat array, as the operator takes it", TypeError,
         f"{ARRAYS_OR_PACKED}, got ndarray of shape (112,)",
         {"all_weights": zeros(112)}),
        ("type", "a dict by name", TypeError,
         f"{ARRAYS_OR_PACKED}, got dict",
         {"all_weights": {"weight_ih_l0": WEIGHTS[0]}}),
        ("type", "a generator", TypeError,
         f"{ARRAYS_OR_PACKED}, got generator",
         {"all_weights": (w for w in WEIGHTS)}),
        ("type", "a file's content", TypeError,
         f"{ARRAYS_OR_PACKED}, got bytes b'LSTM'",
         {"all_weights": b"LSTM"}),
        ("type", "None for a bias that there is not", TypeError, f"{B_IH} {NO_ARRAY} None",
         weights(2, None)),
        ("type", "a masked array among them", TypeError, f"{W_HH} {UNMASKED}",
         weights(1, masked(8, 2))),
        ("type", "w_ih in a GPU's memory", TypeError, f"{W_IH} {GPU}", weights(0, OnGpu())),
        ("rank", "w_ih flat", ValueError, f"{W_IH} {W_IH_SHAPE} (80,)", weights(0, zeros(80))),
        ("rank", "w_hh with an axis for the gates", ValueError, f"{W_HH} {W_HH_SHAPE} (4, 2, 2)",
         weights(1, zeros(4, 2, 2))),
        ("rank", "b_ih as a column", ValueError,
         f"{B_IH} expected shape (4 * hidden_size,) = (8,), got (8, 1)", weights(2, zeros(8, 1))),
        ("rank", "one number for b_hh", ValueError,
         f"{B_HH} expected shape (4 * hidden_size,) = (8,), got ()", weights(3, np.float32(0))),
        ("size", "the matrices without the biases", ValueError, f"{FOUR_ARRAYS} 2",
         {"all_weights": WEIGHTS[:2]}),
        ("size", "a list of arrays per layer", ValueError, f"{FOUR_ARRAYS} 1",
         {"all_weights": [list(WEIGHTS)]}),
        ("size", "nothing", ValueError, f"{FOUR_ARRAYS} 0", {"all_weights": []}),
        ("size", "a projection's arrays, without `cell=`", ValueError,
         f"{FOUR_ARRAYS} 5; for a projection of the hidden state, whose w_hr (proj_size, "
         "hidden_size) is the last array of each layer and direction, write "
         "cell=lstm_native.Cell(proj_size=1)", {"all_weights": PROJECTED}),
        ("size", "those of a projection and peepholes, without `cell=`", ValueError,
         f"{FOUR_ARRAYS} 6; for a projection of the hidden state, whose w_hr (proj_size, "
         "hidden_size) is the last array of each layer and direction, write "
         "cell=lstm_native.Cell(peepholes=True, proj_size=1)",
         {"all_weights": (*PROJECTED[:4], zeros(6), PROJECTED[4])}),
        ("size", "a projection's w_hh, without `cell=`", ValueError,
         f"{W_HH} {W_HH_SHAPE} (8, 1); for a projection of the hidden state write "
         "cell=lstm_native.Cell(proj_size=1) and add its w_hr (1, 2)", weights(1, zeros(8, 1))),
        ("size", "a matrix of hidden_size by hidden_size", ValueError,
         f"{W_HH} {W_HH_SHAPE} (2, 2)", weights(1, zeros(2, 2))),
        ("size", "transposed, without `weights_transposed=True`", ValueError,
         f"{W_HH} {W_HH_SHAPE} (2, 8)",
         {"all_weights": (zeros(10, 8), zeros(2, 8), *WEIGHTS[2:])}),
        ("size", "a hidden_size of 0", ValueError, f"{W_HH} {W_HH_SHAPE} (0, 0)",
         weights(1, zeros(0, 0))),
        ("size", "an input_size of 0", ValueError, f"{W_IH} {W_IH_SHAPE} (8, 0)",
         weights(0, zeros(8, 0))),
        ("size", "w_ih for another hidden_size than w_hh", ValueError,
         f"{W_IH} expected shape (4 * hidden_size, input_size) = (8, 10), got (12, 10)",
         weights(0, zeros(12, 10))),
        ("size", "b_ih for one gate", ValueError,
         f"{B_IH} expected shape (4 * hidden_size,) = (8,), got (2,)", weights(2, zeros(2))),
        ("size", "b_hh for another hidden_size", ValueError,
         f"{B_HH} expected shape (4 * hidden_size,) = (8,), got (12,)", weights(3, zeros(12))),
        ("size", "a second layer whose w_ih is like the first's", ValueError,
         "all_weights[4] (w_ih of layer 1, forward): expected shape "
         "(4 * hidden_size, num_directions * hidden_size) = (8, 2), got (8, 10)",
         more_weights(*WEIGHTS[:2], num_layers=2)),
        ("size", "a second layer of another hidden_size", ValueError,
         "all_weights[5] (w_hh of layer 1, forward): expected shape "
         "(4 * hidden_size, hidden_size) = (8, 2), got (12, 3)",
         more_weights(zeros(8, 2), zeros(12, 3), num_layers=2)),
        ("size", "a reverse direction that reads other features", ValueError,
         "all_weights[4] (w_ih of layer 0, reverse): expected shape "
         "(4 * hidden_size, input_size) = (8, 10), got (8, 2)",
         more_weights(zeros(8, 2), WEIGHTS[1], bidirectional=True)),
        ("size", "w_ih not transposed, with `weights_transposed=True`", ValueError,
         f"{W_IH} expected shape (input_size, 4 * hidden_size) = (8, 8), got (8, 10)",
         {"all_weights": (zeros(8, 10), zeros(2, 8), *WEIGHTS[2:]), "weights_transposed": True}),
        ("dtype", "w_ih in float64, input in float32", TypeError, f"{W_IH} {NOT_INPUTS} float64",
         weights(0, zeros(8, 10, dtype=np.float64))),
        ("dtype", "all in float32, input in float64", TypeError,
         f"{W_IH} expected dtype float64, the same as input, got float32",
         {"input": zeros(5, 3, 10, dtype=np.float64)}),
        ("dtype", "a list (float64) for b_hh, input in float32", TypeError,
         f"{B_HH} {NOT_INPUTS} float64", weights(3, [0.0] * 8)),
        ("dtype", "quantized to int8", TypeError, f"{W_HH} {REAL} int8",
         weights(1, zeros(8, 2, dtype=np.int8))),
        ("dtype", "b_ih in float16", TypeError, f"{B_IH} {REAL} float16",
         weights(2, zeros(8, dtype=np.float16))),
    ),
]

LSTM_OPTIONS = [
    *scalar("lstm", "num_layers", LAYERS,
        ("type", "a float", TypeError, "float 1.0", 1.0),
        ("type", "a string", TypeError, "str '1'", "1"),
        ("type", "a bool", TypeError, "bool True", True),
        ("type", "an array", TypeError, "ndarray of shape (1, 3, 2)", STATE),
        ("value", "0", ValueError, "0", 0),
        ("value", "-1", ValueError, "-1", -1),
        ("value", "65537", ValueError, "65537", 65537),
        ("value", "2 ** 63", ValueError, "9223372036854775808", 2**63),
        ("value", "10 ** 5000", ValueError, "2**16609 or more", 10**5000),
    ),
    *other("lstm", "num_layers",
        ("type", "None", TypeError, f"num_layers: expected {LAYERS}, {OF_PACKED_ONLY}",
         {"num_layers": None}),
        ("value", "more than there are weights for", ValueError,
         FOUR_ARRAYS.replace("4 arrays", "8 arrays").replace("layers=1", "layers=2") + " 4",
         {"num_layers": 2}),
    ),
    *scalar("lstm", "dropout", RATE,
        ("type", "a string", TypeError, "str '0.5'", "0.5"),
        ("type", "None", TypeError, "None", None),
        ("type", "a bool", TypeError, "bool False", False),
        ("type", "a complex number", TypeError, "complex 0.5j", 0.5j),
        ("type", "an array", TypeError, "ndarray of shape ()", np.array(0.5)),
        ("value", "less than 0", ValueError, "-0.1", -0.1),
        ("value", "a percentage", ValueError, "50", 50),
        ("value", "NaN", ValueError, "nan", float("nan")),
        ("value", "infinity", ValueError, "inf", float("inf")),
        ("value", "10 ** 400", ValueError, "2**1328 or more", 10**400),
    ),
    *scalar("lstm", "train", "a bool",
        ("type", "an int", TypeError, "int 1", 1),
        ("type", "a string", TypeError, "str 'eval'", "eval"),
        ("type", "None", TypeError, "None", None),
    ),
    *scalar("lstm", "bidirectional", "a bool",
        ("type", "a number of directions", TypeError, "int 2", 2),
        ("type", "a string", TypeError, "str 'reverse'", "reverse"),
    ),
    *other("lstm", "bidirectional",
        ("type", "None", TypeError, f"bidirectional: expected a bool, {OF_PACKED_ONLY}",
         {"bidirectional": None}),
        ("value", "True, with weights for one direction", ValueError,
         FOUR_ARRAYS.replace("4 arrays", "8 arrays").replace("al=False", "al=True") + " 4",
         {"bidirectional": True}),
    ),
    *scalar("lstm", "batch_first", "a bool",
        ("type", "an int", TypeError, "int 0", 0),
        ("type", "a layout's name", TypeError, "str 'NTC'", "NTC"),
        ("type", "None", TypeError, "None", None),
        ("type", "the next argument, batch_sizes", TypeError, "list", [3, 2, 1, 1]),
    ),
    *scalar("lstm", "batch_sizes", "a sequence of ints, one per time step",
        ("type", "an int", TypeError, "int 5", 5),
        ("type", "a bool", TypeError, "bool True", True),
        ("type", "a set", TypeError, "set", {3, 2, 1}),
        ("type", "a generator", TypeError, "generator", (n for n in [3, 2, 1, 1])),
        ("type", "a string", TypeError, "str '3211'", "3211"),
    ),
    *cells_of("lstm"),
    *directions_of("lstm"),
    *other("lstm", "direction",
        ("value", "reverse, with two directions", ValueError,
         "direction: expected 'forward' where bidirectional is True, got 'reverse'",
         {"direction": "reverse", "bidirectional": True}),
    ),
    *scalar("lstm", "out_dtype", OUT_DTYPES,
        ("type", "a number of bits", TypeError, "int 16", 16),
        ("value", "float64", ValueError, "'float64'", "float64"),
        ("value", "numpy.float64", ValueError, "'float64'", np.float64),
    ),
    *other("lstm", "out_dtype",
        ("value", "float16, with weights as they are", ValueError,
         "out_dtype: expected None where weights are not packed in a weight_dtype, got 'float16'",
         {"out_dtype": "float16"}),
        ("value", "float16, with PackedWeights as they are", ValueError,
         "out_dtype: expected None where weights are not packed in a weight_dtype, got 'float16'",
         {"out_dtype": np.float16, "all_weights": PACKED_WEIGHTS}),
        ("value", "float16, on a device", ValueError,
         "out_dtype: expected None on a device, got 'float16'",
         {"out_dtype": "float16", "all_weights": NARROW_WEIGHTS, "device": "cuda"}),
    ),
    *other("lstm", "all_weights",
        ("size", "peepholes, without `cell`", ValueError,
         f"{FOUR_ARRAYS} 5; with peepholes, which cell=Cell(peepholes=True) says",
         {"all_weights": (*WEIGHTS, zeros(6))}),
        ("size", "no peepholes, with a cell that has them", ValueError,
         FOUR_ARRAYS.replace("4 arrays", "5 arrays").replace("b_hh for", "b_hh, peephole for")
         + " 4", {"cell": PEEPHOLES}),
        ("size", "peepholes of another size", ValueError,
         "all_weights[4] (peephole of layer 0, forward): expected shape (3 * hidden_size,) = (6,), "
         "got (8,)", {"all_weights": (*WEIGHTS, zeros(8)), "cell": PEEPHOLES}),
    ),
    *lengths_of("lstm"),
    *other("lstm", "lengths",
        ("value", "together with `batch_sizes`", ValueError,
         "lengths: expected None together with batch_sizes, got both",
         {**PACKED, "lengths": [4, 2, 1]}),
        ("size", "one per time step", ValueError,
         "lengths: expected shape (batch,) = (3,), got (5,)",
         {"input": zeros(3, 5, 10), "batch_first": True, "lengths": [3, 3, 2, 1, 1]}),
    ),
    *scalar("lstm", "mask", "an array of booleans, one per step of each batch row",
        ("type", "a bool", TypeError, "bool True", True),
        ("type", "a set", TypeError, "set", {True}),
        ("type", "a string", TypeError, "str '1'", "1"),
    ),
    *other("lstm", "mask",
        ("type", "a masked array", TypeError, f"mask: {UNMASKED}",
         {"mask": masked(5, 3, dtype=np.bool_)}),
        ("rank", "one per step", ValueError, f"{MASK_SHAPE} (5,)", {"mask": [True] * 5}),
        ("rank", "as many axes as input", ValueError, f"{MASK_SHAPE} (5, 3, 1)",
         {"mask": zeros(5, 3, 1, dtype=np.bool_)}),
        ("size", "batch first", ValueError, f"{MASK_SHAPE} (3, 5)",
         {"mask": zeros(3, 5, dtype=np.bool_)}),
        ("size", "seq_len first, with `batch_first`", ValueError,
         "mask: expected shape (batch, seq_len) = (3, 5), got (5, 3)",
         {"input": zeros(3, 5, 10), "batch_first": True, "mask": zeros(5, 3, dtype=np.bool_)}),
        ("size", "lists of unequal lengths", ValueError, f"mask: {RAGGED}",
         {"mask": [[True], [True, True], [], [], []]}),
        ("value", "together with `lengths`", ValueError,
         "mask: expected None together with lengths, got both",
         {"mask": zeros(5, 3, dtype=np.bool_), "lengths": [5, 2, 1]}),
        ("value", "together with `batch_sizes`", ValueError,
         "mask: expected None together with batch_sizes, got both",
         {**PACKED, "mask": zeros(4, 3, dtype=np.bool_)}),
        ("dtype", "ints", TypeError, "mask: expected booleans, got dtype uint8",
         {"mask": zeros(5, 3, dtype=np.uint8)}),
        ("dtype", "floats", TypeError, "mask: expected booleans, got dtype float32",
         {"mask": zeros(5, 3)}),
        ("dtype", "objects", TypeError, "mask: expected booleans, got dtype object",
         {"mask": zeros(5, 3, dtype=object)}),
    ),
    *scalar("lstm", "masked_output", "'zero' or 'last'",
        ("type", "None", TypeError, "None", None),
        ("type", "a number", TypeError, "float 0.0", 0.0),
        ("value", "another name", ValueError, "'zeros'", "zeros"),
    ),
    *scalar("lstm", "masked_output", "'zero' without mask",
        ("value", "last, without `mask`", ValueError, "'last'", "last"),
    ),
    *other("lstm", "masked_output",
        ("value", "last, with `lengths`", ValueError,
         "masked_output: expected 'zero' without mask, got 'last'",
         {"masked_output": "last", "lengths": [5, 2, 1]}),
        ("value", "last, with `batch_sizes`", ValueError,
         "masked_output: expected 'zero' without mask, got 'last'",
         {**PACKED, "masked_output": "last"}),
    ),
    *other("lstm", "batch_sizes",
        ("type", "a masked array", TypeError, f"batch_sizes: {UNMASKED}",
         {**PACKED, "batch_sizes": masked(4, dtype=np.int64)}),
        ("rank", "a matrix", ValueError,
         "batch_sizes: expected a sequence of at least one int, one per time step, "
         "got shape (2, 2)", {**PACKED, "batch_sizes": [[3, 2], [1, 1]]}),
        ("size", "nothing", ValueError,
         "batch_sizes: expected a sequence of at least one int, one per time step, "
         "got shape (0,)", {**PACKED, "batch_sizes": []}),
        ("size", "one step too many for input", ValueError,
         "input: expected shape (sum(batch_sizes), input_size) = (8, 10), got (7, 10)",
         {**PACKED, "batch_sizes": [3, 2, 1, 1, 1]}),
        ("size", "lists of unequal lengths", ValueError, f"batch_sizes: {RAGGED}",
         {**PACKED, "batch_sizes": [[3, 2], [1]]}),
        ("value", "a step without sequences", ValueError,
         "batch_sizes: expected positive sizes, got 0 at step 3",
         {**PACKED, "batch_sizes": [4, 2, 1, 0]}),
        ("value", "a negative size", ValueError,
         "batch_sizes: expected positive sizes, got -1 at step 0",
         {**PACKED, "batch_sizes": [-1, 8]}),
        ("value", "sizes that increase", ValueError,
         "batch_sizes: expected sizes that do not increase, got 2 and then 3 at step 2",
         {**PACKED, "batch_sizes": [2, 2, 3]}),
        ("dtype", "floats", TypeError, "batch_sizes: expected ints, got dtype float64",
         {**PACKED, "batch_sizes": [3.0, 2.0, 1.0, 1.0]}),
        ("dtype", "booleans", TypeError, "batch_sizes: expected ints, got dtype bool",
         {**PACKED, "batch_sizes": [True, True]}),
        ("dtype", "strings", TypeError, "batch_sizes: expected ints, got dtype <U1",
         {**PACKED, "batch_sizes": ["3", "2", "1", "1"]}),
        ("dtype", "a bool among ints", TypeError,
         "batch_sizes: expected ints, got a list with bools",
         {**PACKED, "batch_sizes": [3, 2, True, True]}),
        ("value", "10 ** 5000", ValueError,
         f"batch_sizes: expected sizes up to {2**63 - 1}, got 2**16609 or more at step 0",
         {**PACKED, "batch_sizes": [10**5000]}),
        ("value", "-(2 ** 200)", ValueError,
         "batch_sizes: expected positive sizes, got -2**200 or less at step 0",
         {**PACKED, "batch_sizes": [-(2**200)]}),
    ),
    *scalar("lstm", "weights_transposed", "a bool",
        ("type", "an int", TypeError, "int 1", 1),
        ("type", "a permutation", TypeError, "tuple", (1, 0)),
        ("type", "None", TypeError, "None", None),
    ),
    *other("lstm", "weights_transposed",
        ("value", "True, with weights that are not", ValueError,
         f"{W_HH} expected shape (hidden_size, 4 * hidden_size) with sizes of at least 1 "
         "(weights_transposed=True), got (8, 2)", {"weights_transposed": True}),
    ),
    *scalar("lstm", "has_ih_bias", "a bool",
        ("type", "the bias itself", TypeError, "ndarray of shape (8,)", WEIGHTS[2]),
        ("type", "None", TypeError, "None", None),
        ("type", "an int", TypeError, "int 0", 0),
    ),
    *other("lstm", "has_ih_bias",
        ("value", "False, with four arrays per layer", ValueError,
         FOUR_ARRAYS.replace("4 arrays", "3 arrays").replace(" b_ih,", "")
         .replace("has_ih_bias=True", "has_ih_bias=False") + " 4", {"has_ih_bias": False}),
    ),
    *scalar("lstm", "has_hh_bias", "a bool",
        ("type", "a string", TypeError, "str 'no'", "no"),
        ("type", "None", TypeError, "None", None),
        ("type", "a float", TypeError, "float 0.0", 0.0),
    ),
    *other("lstm", "has_hh_bias",
        ("value", "False, with four arrays per layer", ValueError,
         FOUR_ARRAYS.replace("4 arrays", "3 arrays").replace(", b_hh for", " for")
         .replace("has_hh_bias=True", "has_hh_bias=False") + " 4", {"has_hh_bias": False}),
    ),
    *scalar("lstm", "seed", SEED,
        ("type", "a float", TypeError, "float 1.0", 1.0),
        ("type", "a bool", TypeError, "bool True", True),
        ("type", "a string", TypeError, "str '0x1f'", "0x1f"),
        ("type", "a generator", TypeError, "Generator", np.random.default_rng(0)),
        ("value", "-1", ValueError, "-1", -1),
        ("value", "2 ** 64", ValueError, "18446744073709551616", 2**64),
    ),
    *scalar("lstm", "num_threads", THREADS,
        ("type", "a float", TypeError, "float 2.0", 2.0),
        ("type", "a string", TypeError, "str 'all'", "all"),
        ("type", "a bool", TypeError, "bool True", True),
        ("value", "0", ValueError, "0", 0),
        ("value", "-1, for all", ValueError, "-1", -1),
        ("value", "129", ValueError, "129", 129),
    ),
    *devices_of("lstm"),
]

PACKED_FOR_LSTM = [
    *other("lstm", "all_weights",
        ("dtype", "PackedWeights of float64, input in float32", TypeError,
         "all_weights: expected dtype float32, the same as input, got PackedWeights of dtype "
         "float64", {"all_weights": packed_like(dtype=np.float64)}),
        ("dtype", "PackedWeights of float32, input in float64", TypeError,
         "all_weights: expected dtype float64, the same as input, got PackedWeights of dtype "
         "float32",
         {"all_weights": PACKED_WEIGHTS, "input": zeros(5, 3, 10, dtype=np.float64)}),
    ),
    *other("lstm", "input",
        ("size", "other features than PackedWeights have", ValueError,
         f"input: {INPUT_SHAPE} (5, 3, 9)",
         {"input": zeros(5, 3, 9), "all_weights": PACKED_WEIGHTS}),
    ),
    *other("lstm", "initial_states",
        ("size", "h_0 of another hidden_size than PackedWeights", ValueError,
         f"{H_0} {STATE_SHAPE} (1, 3, 4)",
         h_0(zeros(1, 3, 4), all_weights=PACKED_WEIGHTS)),
        ("size", "c_0 for more layers than PackedWeights have", ValueError,
         f"{C_0} {STATE_SHAPE} (2, 3, 2)",
         c_0(zeros(2, 3, 2), all_weights=PACKED_WEIGHTS)),
        ("dtype", "h_0 in float64, PackedWeights and input in float32", TypeError,
         f"{H_0} {NOT_INPUTS} float64",
         h_0(zeros(1, 3, 2, dtype=np.float64), all_weights=PACKED_WEIGHTS)),
    ),
    *other("lstm", "num_layers",
        ("value", "other than PackedWeights have", ValueError,
         f"num_layers: expected 1, {AS_PACKED} 2",
         {"num_layers": 2, "all_weights": PACKED_WEIGHTS}),
    ),
    *other("lstm", "bidirectional",
        ("value", "True, with PackedWeights of one direction", ValueError,
         f"bidirectional: expected False, {AS_PACKED} True",
         {"bidirectional": True, "all_weights": PACKED_WEIGHTS}),
        ("value", "False, with PackedWeights of two directions", ValueError,
         f"bidirectional: expected True, {AS_PACKED} False",
         {"all_weights": packed_like(*WEIGHTS * 2, bidirectional=True)}),
    ),
    *other("lstm", "weights_transposed",
        ("value", "True, with PackedWeights that were not", ValueError,
         f"weights_transposed: expected False, {AS_PACKED} True",
         {"weights_transposed": True, "all_weights": PACKED_WEIGHTS}),
    ),
    *other("lstm", "has_ih_bias",
        ("value", "False, with PackedWeights that have it", ValueError,
         f"has_ih_bias: expected True, {AS_PACKED} False",
         {"has_ih_bias": False, "all_weights": PACKED_WEIGHTS}),
    ),
    *other("lstm", "has_hh_bias",
        ("value", "False, with PackedWeights that have it", ValueError,
         f"has_hh_bias: expected True, {AS_PACKED} False",
         {"has_hh_bias": False, "all_weights": PACKED_WEIGHTS}),
    ),
    *other("lstm", "cell",
        ("value", "with peepholes, with PackedWeights without", ValueError,
         f"cell: expected Cell(), {AS_PACKED} Cell(peepholes=True)",
         {"cell": PEEPHOLES, "all_weights": PACKED_WEIGHTS}),
    ),
]

BUILDS = [
    *scalar(BUILD, "input_size", AT_LEAST_1,
        ("type", "a float", TypeError, "float 10.0", 10.0),
        ("type", "a string", TypeError, "str '10'", "10"),
        ("type", "a bool", TypeError, "bool True", True),
        ("type", "None", TypeError, "None", None),
        ("value", "0", ValueError, "0", 0),
        ("value", "-10", ValueError, "-10", -10),
    ),
    *scalar(BUILD, "input_size", INDEX,
        ("value", "2 ** 63", ValueError, "9223372036854775808", 2**63),
    ),
    *scalar(BUILD, "hidden_size", AT_LEAST_1,
        ("type", "a tuple", TypeError, "tuple", (2,)),
        ("type", "a NumPy float", TypeError, "float64 2.0", np.float64(2)),
        ("type", "an array of one int", TypeError, "ndarray of shape (1,)", np.array([2])),
        ("value", "0", ValueError, "0", 0),
        ("value", "a negative NumPy int", ValueError, "-2", np.int8(-2)),
    ),
    *scalar(BUILD, "hidden_size", INDEX,
        ("value", "2 ** 200", ValueError, "2**200 or more", 2**200),
    ),
    *scalar(BUILD, "num_layers", LAYERS,
        ("type", "a float", TypeError, "float 1.5", 1.5),
        ("type", "a bool", TypeError, "bool False", False),
        ("type", "None", TypeError, "None", None),
        ("value", "0", ValueError, "0", 0),
        ("value", "-(2 ** 200)", ValueError, "-2**200 or less", -(2**200)),
        ("value", "2 ** 40", ValueError, "1099511627776", 2**40),
    ),
    *scalar(BUILD, "has_bias", "a bool",
        ("type", "an int", TypeError, "int 1", 1),
        ("type", "None", TypeError, "None", None),
        ("type", "a string", TypeError, "str 'True'", "True"),
    ),
    *scalar(BUILD, "bidirectional", "a bool",
        ("type", "an int", TypeError, "int 0", 0),
        ("type", "the next argument, dropout", TypeError, "float 0.0", 0.0),
        ("type", "an array", TypeError, "ndarray of shape ()", np.array(True)),
    ),
    *scalar(BUILD, "dropout", RATE,
        ("type", "the int 0", TypeError, "int 0", 0),
        ("type", "the int 1", TypeError, "int 1", 1),
        ("type", "a NumPy int", TypeError, "int64 0", np.int64(0)),
        ("type", "a bool", TypeError, "bool False", False),
        ("type", "a string", TypeError, "str '0.5'", "0.5"),
        ("type", "None", TypeError, "None", None),
        ("value", "less than 0", ValueError, "-0.5", -0.5),
        ("value", "more than 1", ValueError, "1.1", 1.1),
        ("value", "NaN", ValueError, "nan", float("nan")),
        ("value", "infinity, of NumPy", ValueError, "inf", np.float32(np.inf)),
    ),
    *scalar(BUILD, "batch_first", "a bool",
        ("type", "an int", TypeError, "int 1", 1),
        ("type", "a layout's name", TypeError, "str 'TNC'", "TNC"),
        ("type", "None", TypeError, "None", None),
    ),
    *scalar(BUILD, "weight_layout", LAYOUTS,
        ("type", "an int", TypeError, "int 1", 1),
        ("type", "None", TypeError, "None", None),
        ("type", "bytes", TypeError, "bytes b'mindspore_gpu'", b"mindspore_gpu"),
        ("value", "another system's name", ValueError, "'cudnn'", "cudnn"),
        ("value", "capital letters", ValueError, "'MINDSPORE_CPU'", "MINDSPORE_CPU"),
    ),
    *scalar(BUILD, "training", "a bool",
        ("type", "an int", TypeError, "int 0", 0),
        ("type", "a string", TypeError, "str 'eval'", "eval"),
        ("type", "None", TypeError, "None", None),
    ),
    *devices_of(BUILD),
    *cells_of(BUILD),
    *directions_of(BUILD),
]

W_SIZE = "w: expected {} elements (weight_layout={!r}; the layouts need {} for 'mindspore_gpu' or "
W_SIZE += "{} for 'mindspore_cpu'), got {}"
ONE_FLAT = "w: expected one flat array of weight_size elements, 112, got a"
MANY = "4 arrays of several shapes"
W_112 = W_SIZE.format(112, "mindspore_gpu", 112, 104, "{} in shape {}")

CALL_ARRAYS = [
    *other(CALL, "input",
        ("type", "None", TypeError, f"input: {NO_ARRAY} None", {"input": None}),
        ("type", "the layer's name", TypeError, f"input: {NO_ARRAY} a str", {"input": "lstm"}),
        ("type", "a masked array", TypeError, f"input: {UNMASKED}", {"input": masked(5, 3, 10)}),
        ("type", "an array in a GPU's memory", TypeError, f"input: {GPU}", {"input": OnGpu()}),
        ("rank", "one sequence, without a batch axis", ValueError,
         f"input: {INPUT_SHAPE} (5, 10)", {"input": zeros(5, 10)}),
        ("rank", "four axes", ValueError,
         f"input: {INPUT_SHAPE} (5, 3, 10, 1)", {"input": zeros(5, 3, 10, 1)}),
        ("size", "other features than the constructor's", ValueError,
         f"input: {INPUT_SHAPE} (5, 3, 11)", {"input": zeros(5, 3, 11)}),
        ("size", "no time steps", ValueError,
         "input: expected a seq_len of at least 1, got shape (0, 3, 10)",
         {"input": zeros(0, 3, 10)}),
        ("size", "nested lists of unequal lengths", ValueError, f"input: {RAGGED}",
         {"input": [[[1.0]], [[1.0], [1.0]]]}),
        ("dtype", "integers", TypeError, f"input: {REAL} int32",
         {"input": zeros(5, 3, 10, dtype=np.int32)}),
        ("dtype", "float16", TypeError, f"input: {REAL} float16",
         {"input": zeros(5, 3, 10, dtype=np.float16)}),
        ("dtype", "complex numbers", TypeError, f"input: {REAL} complex128",
         {"input": zeros(5, 3, 10, dtype=np.complex128)}),
    ),
    *other(CALL, "input",
        ("size", "other features, with `batch_first=True`", ValueError,
         f"input: {BATCH_FIRST_SHAPE} (3, 5, 9)", {"input": zeros(3, 5, 9)}),
        ("size", "no time steps, with `batch_first=True`", ValueError,
         "input: expected a seq_len of at least 1, got shape (3, 0, 10)",
         {"input": zeros(3, 0, 10)}),
        built={"batch_first": True}),
    *other(CALL, "h",
        ("type", "None", TypeError, f"h: {NO_ARRAY} None", {"h": None}),
        ("type", "a masked array", TypeError, f"h: {UNMASKED}", {"h": masked(1, 3, 2)}),
        ("type", "an object whose `__array__` raises", TypeError, f"h: {UNREADABLE}",
         {"h": Unreadable()}),
        ("rank", "without a layer axis", ValueError, f"h: {STATE_SHAPE} (3, 2)",
         {"h": zeros(3, 2)}),
        ("rank", "one number", ValueError, f"h: {STATE_SHAPE} ()", {"h": np.float32(0)}),
        ("size", "the pair (h, c)", ValueError, f"h: {STATE_SHAPE} (2, 1, 3, 2)",
         {"h": (STATE, STATE)}),
        ("size", "for another batch", ValueError, f"h: {STATE_SHAPE} (1, 5, 2)",
         {"h": zeros(1, 5, 2)}),
        ("size", "of another hidden_size", ValueError, f"h: {STATE_SHAPE} (1, 3, 10)",
         {"h": zeros(1, 3, 10)}),
        ("dtype", "float64, input in float32", TypeError, f"h: {NOT_INPUTS} float64",
         {"h": zeros(1, 3, 2, dtype=np.float64)}),
        ("dtype", "integers", TypeError, f"h: {REAL} int64", {"h": [[[0, 0]] * 3]}),
    ),
    *other(CALL, "h",
        ("size", "for one direction, with `bidirectional=True`", ValueError,
         f"h: {STATE_AXES} = (2, 3, 2), got (1, 3, 2)", {}),
        built={"bidirectional": True}),
    *other(CALL, "c",
        ("type", "None", TypeError, f"c: {NO_ARRAY} None", {"c": None}),
        ("type", "an array in a GPU's memory", TypeError, f"c: {GPU}", {"c": OnGpu()}),
        ("rank", "flat", ValueError, f"c: {STATE_SHAPE} (6,)", {"c": zeros(6)}),
        ("rank", "layers and directions on axes of their own", ValueError,
         f"c: {STATE_SHAPE} (1, 1, 3, 2)", {"c": zeros(1, 1, 3, 2)}),
        ("size", "for two layers", ValueError, f"c: {STATE_SHAPE} (2, 3, 2)",
         {"c": zeros(2, 3, 2)}),
        ("size", "batch first", ValueError, f"c: {STATE_SHAPE} (3, 1, 2)", {"c": zeros(3, 1, 2)}),
        ("size", "of another hidden_size", ValueError, f"c: {STATE_SHAPE} (1, 3, 4)",
         {"c": zeros(1, 3, 4)}),
        ("dtype", "a list (float64), input in float32", TypeError, f"c: {NOT_INPUTS} float64",
         {"c": [[[0.0, 0.0]] * 3]}),
        ("dtype", "float16", TypeError, f"c: {REAL} float16",
         {"c": zeros(1, 3, 2, dtype=np.float16)}),
        ("dtype", "booleans", TypeError, f"c: {REAL} bool", {"c": zeros(1, 3, 2, dtype=bool)}),
    ),
    *other(CALL, "w",
        ("type", "None", TypeError, f"w: {NO_ARRAY} None", {"w": None}),
        ("type", "a masked array", TypeError, f"w: {UNMASKED}", {"w": masked(112)}),
        ("type", "an object whose `__array__` raises", TypeError, f"w: {UNREADABLE}",
         {"w": Unreadable()}),
        ("type", "a Model", TypeError,
         f"w: expected an array or PackedWeights, got Model; {OF_MODEL}", {"w": MODEL}),
        ("size", "a list of arrays, as `lstm` takes it", ValueError, f"{ONE_FLAT} list of {MANY}",
         {"w": list(WEIGHTS)}),
        ("size", "a tuple of arrays, as `lstm` takes it", ValueError,
         f"{ONE_FLAT} tuple of {MANY}", {"w": WEIGHTS}),
        ("size", "lists of unequal lengths", ValueError, f"w: {RAGGED}", {"w": [[0.0], []]}),
        ("size", "the other layout's size", ValueError, W_112.format(104, (104,)),
         {"w": zeros(104)}),
        ("size", "one element short", ValueError, W_112.format(111, (3, 37)),
         {"w": zeros(3, 37)}),
        ("size", "longer", ValueError, W_112.format(113, (113, 1, 1)), {"w": zeros(113, 1, 1)}),
        ("size", "nothing", ValueError, W_112.format(0, (0,)), {"w": zeros(0)}),
        ("size", "one number", ValueError, W_112.format(1, ()), {"w": np.float32(1)}),
        ("dtype", "float64, input in float32", TypeError, f"w: {NOT_INPUTS} float64",
         {"w": zeros(112, dtype=np.float64)}),
        ("dtype", "quantized to int8", TypeError, f"w: {REAL} int8",
         {"w": zeros(112, dtype=np.int8)}),
        ("dtype", "bytes of a file, as uint8", TypeError, f"w: {REAL} uint8",
         {"w": memoryview(bytes(448))}),
    ),
    *other(CALL, "w",
        ("size", "with biases, with `has_bias=False`", ValueError,
         W_SIZE.format(96, "mindspore_gpu", 96, 96, "112 in shape (112,)"), {}),
        built={"has_bias": False}),
    *other(CALL, "w",
        ("size", "the other layout's size, with `weight_layout=\"mindspore_cpu\"`", ValueError,
         W_SIZE.format(104, "mindspore_cpu", 112, 104, "112 in shape (112,)"), {}),
        built={"weight_layout": "mindspore_cpu"}),
]

TWO_LAYERS = packed_like(*WEIGHTS, zeros(8, 2), *WEIGHTS[1:], num_layers=2)
BOTH_DIRECTIONS = packed_like(*WEIGHTS * 2, bidirectional=True)
ANOTHER_HIDDEN_SIZE = packed_like(zeros(12, 10), zeros(12, 3), zeros(12), zeros(12))
ANOTHER_INPUT_SIZE = packed_like(zeros(8, 9), *WEIGHTS[1:])
NO_BIASES = packed_like(*WEIGHTS[:2], has_ih_bias=False, has_hh_bias=False)
ONE_BIAS = packed_like(*WEIGHTS[:3], has_hh_bias=False)


def packed_for_call(packed: Any, operator: str = OPERATOR) -> str:
    described = repr(packed).rsplit(", ", 1)[0]  # the memory held is the CPU's affair
    return f"w: expected PackedWeights of the sizes of {operator}, got {described}, …"


PACKED_FOR_CALL = [
    *other(CALL, "w",
        ("dtype", "PackedWeights of float64, input in float32", TypeError,
         "w: expected dtype float32, the same as input, got PackedWeights of dtype float64",
         {"w": packed_like(dtype=np.float64)}),
        ("value", "PackedWeights of two layers", ValueError, packed_for_call(TWO_LAYERS),
         {"w": TWO_LAYERS}),
        ("value", "PackedWeights of two directions", ValueError, packed_for_call(BOTH_DIRECTIONS),
         {"w": BOTH_DIRECTIONS}),
        ("value", "PackedWeights of another hidden_size", ValueError,
         packed_for_call(ANOTHER_HIDDEN_SIZE), {"w": ANOTHER_HIDDEN_SIZE}),
        ("value", "PackedWeights of another input_size", ValueError,
         packed_for_call(ANOTHER_INPUT_SIZE), {"w": ANOTHER_INPUT_SIZE}),
        ("value", "PackedWeights without biases", ValueError, packed_for_call(NO_BIASES),
         {"w": NO_BIASES}),
    ),
    *other(CALL, "w",
        ("value", "PackedWeights with biases, with `has_bias=False`", ValueError,
         packed_for_call(PACKED_WEIGHTS, OPERATOR.replace("True, F", "False, F", 1)),
         {"w": PACKED_WEIGHTS}),
        ("value", "PackedWeights with one of the biases, with `has_bias=False`", ValueError,
         packed_for_call(ONE_BIAS, OPERATOR.replace("True, F", "False, F", 1)), {"w": ONE_BIAS}),
        built={"has_bias": False}),
]

CALL_OPTIONS = [
    *other(CALL, "state",
        ("type", "a masked array", TypeError, f"state: {UNMASKED}",
         {"state": masked(2, 1, dtype=np.int64)}),
        ("type", "a string", TypeError, "state: expected dtype int64, got <U4", {"state": "seed"}),
        ("type", "a generator", TypeError, "state: expected dtype int64, got object",
         {"state": np.random.default_rng(0)}),
        ("type", "an object whose `__array__` raises", TypeError, f"state: {UNREADABLE}",
         {"state": Unreadable()}),
        ("rank", "a seed", ValueError, "state: expected shape (2, 1), got ()",
         {"state": np.int64(7)}),
        ("rank", "flat", ValueError, "state: expected shape (2, 1), got (2,)",
         {"state": zeros(2, dtype=np.int64)}),
        ("size", "lying", ValueError, "state: expected shape (2, 1), got (1, 2)",
         {"state": zeros(1, 2, dtype=np.int64)}),
        ("size", "MindSpore's on a CPU", ValueError, "state: expected shape (2, 1), got (1, 1)",
         {"state": zeros(1, 1, dtype=np.int64)}),
        ("size", "a `reserve`", ValueError,
         "state: expected shape (2, 1), got (3, 1)", {"state": zeros(3, 1, dtype=np.int64)}),
        ("dtype", "floats", TypeError, "state: expected dtype int64, got float32",
         {"state": zeros(2, 1)}),
        ("dtype", "int32", TypeError, "state: expected dtype int64, got int32",
         {"state": zeros(2, 1, dtype=np.int32)}),
        ("dtype", "a bool among ints", TypeError, "state: expected ints, got a list with bools",
         {"state": [[7], [True]]}),
    ),
    *scalar(CALL, "training", "a bool",
        ("type", "an int", TypeError, "int 1", 1),
        ("type", "a string", TypeError, "str 'no'", "no"),
        ("type", "an array", TypeError, "ndarray of shape (1,)", np.array([True])),
    ),
    *scalar(CALL, "num_threads", THREADS,
        ("type", "a float", TypeError, "float 2.0", 2.0),
        ("type", "a bool", TypeError, "bool True", True),
        ("type", "a string", TypeError, "str '2'", "2"),
        ("value", "0", ValueError, "0", 0),
        ("value", "129", ValueError, "129", 129),
    ),
    *devices_of(CALL),
]

REST = [
    *scalar(RESERVE_SIZE, "seq_len", AT_LEAST_1,
        ("type", "a float", TypeError, "float 5.0", 5.0),
        ("type", "input itself", TypeError, "ndarray of shape (5, 3, 10)", zeros(5, 3, 10)),
        ("type", "None", TypeError, "None", None),
        ("value", "0", ValueError, "0", 0),
        ("value", "-1", ValueError, "-1", -1),
    ),
    *scalar(RESERVE_SIZE, "seq_len", INDEX,
        ("value", "2 ** 63", ValueError, "9223372036854775808", 2**63),
    ),
    *scalar(RESERVE_SIZE, "batch", "an int of at least 0",
        ("type", "a float", TypeError, "float 3.0", 3.0),
        ("type", "a bool", TypeError, "bool True", True),
        ("type", "a string", TypeError, "str '3'", "3"),
        ("value", "-1", ValueError, "-1", -1),
    ),
    *scalar(RESERVE_SIZE, "batch", INDEX.replace("from 1", "from 0"),
        ("value", "2 ** 63", ValueError, "9223372036854775808", 2**63),
    ),
    *scalar("manual_seed", "seed", SEED,
        ("type", "a float", TypeError, "float 1.5", 1.5),
        ("type", "a bool", TypeError, "bool True", True),
        ("type", "None", TypeError, "None", None),
        ("type", "a long string", TypeError, "str 'not a number...r of a number'",
         "not a number, nor a numeral, but a reminder of a number"),
        ("value", "-1", ValueError, "-1", -1),
        ("value", "2 ** 64", ValueError, "18446744073709551616", 2**64),
    ),
    *scalar("set_num_threads", "num_threads", THREADS,
        ("type", "a float", TypeError, "float 1.5", 1.5),
        ("type", "a string", TypeError, "str '2'", "2"),
        ("type", "a bool", TypeError, "bool True", True),
        ("value", "0", ValueError, "0", 0),
        ("value", "-2", ValueError, "-2", -2),
        ("value", "129", ValueError, "129", 129),
    ),
    *scalar("set_adaptive_threads", "adapt", "a bool",
        ("type", "an int", TypeError, "int 1", 1),
        ("type", "None", TypeError, "None", None),
    ),
    *scalar("set_flush_subnormals", "flush", "a bool",
        ("type", "an int", TypeError, "int 1", 1),
        ("type", "a string", TypeError, "str 'off'", "off"),
        ("type", "None", TypeError, "None", None),
    ),
]

GATE_ORDER = "the letters i, f, g (or c) and o in an order, such as 'ifgo'"

PACKING = [
    *other("pack_weights", "all_weights",
        ("type", "None", TypeError,
         "all_weights: expected a tuple or list of arrays, got None", {"all_weights": None}),
        ("type", "PackedWeights", TypeError,
         "all_weights: expected a tuple or list of arrays, got PackedWeights",
         {"all_weights": PACKED_WEIGHTS}),
        ("type", "a Model", TypeError,
         f"all_weights: expected a tuple or list of arrays, got Model; {OF_MODEL}",
         {"all_weights": MODEL}),
        ("type", "one flat array, as the operator takes it", TypeError,
         "all_weights: expected a tuple or list of arrays, got ndarray of shape (112,)",
         {"all_weights": zeros(112)}),
        ("type", "None for a bias that there is not", TypeError, f"{B_IH} {NO_ARRAY} None",
         weights(2, None)),
        ("type", "a masked array among them", TypeError, f"{W_HH} {UNMASKED}",
         weights(1, masked(8, 2))),
        ("rank", "w_ih flat", ValueError, f"{W_IH} {W_IH_SHAPE} (80,)", weights(0, zeros(80))),
        ("rank", "w_hh with an axis for the gates", ValueError, f"{W_HH} {W_HH_SHAPE} (4, 2, 2)",
         weights(1, zeros(4, 2, 2))),
        ("size", "the matrices without the biases", ValueError, f"{FOUR_ARRAYS} 2",
         {"all_weights": WEIGHTS[:2]}),
        ("size", "a matrix of hidden_size by hidden_size", ValueError,
         f"{W_HH} {W_HH_SHAPE} (2, 2)", weights(1, zeros(2, 2))),
        ("size", "b_hh for another hidden_size", ValueError,
         f"{B_HH} expected shape (4 * hidden_size,) = (8,), got (12,)", weights(3, zeros(12))),
        ("size", "a second layer whose w_ih is like the first's", ValueError,
         "all_weights[4] (w_ih of layer 1, forward): expected shape "
         "(4 * hidden_size, num_directions * hidden_size) = (8, 2), got (8, 10)",
         more_weights(*WEIGHTS[:2], num_layers=2)),
        ("value", "a weight that float16 can't hold", ValueError,
         f"{W_HH} expected values that float16 can hold, got -70000.0",
         {**weights(1, zeros(8, 2) - np.float32(70000)), "weight_dtype": "float16"}),
        ("value", "a weight that bfloat16 can't hold", ValueError,
         f"{W_IH} expected values that bfloat16 can hold, got 3.4028234663852886e+38",
         {**weights(0, zeros(8, 10) + np.finfo(np.float32).max), "weight_dtype": "bfloat16"}),
        ("value", "an infinite weight, for int8", ValueError,
         f"{W_IH} expected finite values with weight_dtype 'int8', got inf",
         {**weights(0, zeros(8, 10) + np.float32(np.inf)), "weight_dtype": "int8"}),
        ("value", "a NaN among the weights, for int8", ValueError,
         f"{W_HH} expected finite values with weight_dtype 'int8', got nan",
         {**weights(1, zeros(8, 2) + np.float32(np.nan)), "weight_dtype": "int8"}),
        ("size", "more columns than sums of integers can have", ValueError,
         f"{W_IH} expected at most 65536 columns with weight_dtype 'int8', got 65537",
         {**weights(0, zeros(8, 65537)), "weight_dtype": "int8"}),
        ("dtype", "w_ih in float16", TypeError, f"{W_IH} {REAL} float16",
         weights(0, zeros(8, 10, dtype=np.float16))),
        ("dtype", "quantized to int8", TypeError, f"{W_HH} {REAL} int8",
         weights(1, zeros(8, 2, dtype=np.int8))),
        ("dtype", "not all of one dtype", TypeError,
         f"{B_HH} expected dtype float32, the same as all_weights[0] "
         "(w_ih of layer 0, forward), got float64", weights(3, zeros(8, dtype=np.float64))),
    ),
    *scalar("pack_weights", "num_layers", LAYERS,
        ("type", "a float", TypeError, "float 1.0", 1.0),
        ("type", "a bool", TypeError, "bool True", True),
        ("type", "None", TypeError, "None", None),
        ("value", "0", ValueError, "0", 0),
    ),
    *other("pack_weights", "num_layers",
        ("value", "more than there are weights for", ValueError,
         FOUR_ARRAYS.replace("4 arrays", "8 arrays").replace("layers=1", "layers=2") + " 4",
         {"num_layers": 2}),
    ),
    *scalar("pack_weights", "bidirectional", "a bool",
        ("type", "a number of directions", TypeError, "int 2", 2),
        ("type", "None", TypeError, "None", None),
    ),
    *other("pack_weights", "bidirectional",
        ("value", "True, with weights for one direction", ValueError,
         FOUR_ARRAYS.replace("4 arrays", "8 arrays").replace("al=False", "al=True") + " 4",
         {"bidirectional": True}),
    ),
    *scalar("pack_weights", "weights_transposed", "a bool",
        ("type", "an int", TypeError, "int 1", 1),
        ("type", "None", TypeError, "None", None),
    ),
    *other("pack_weights", "weights_transposed",
        ("value", "True, with weights that are not", ValueError,
         f"{W_HH} expected shape (hidden_size, 4 * hidden_size) with sizes of at least 1 "
         "(weights_transposed=True), got (8, 2)", {"weights_transposed": True}),
    ),
    *scalar("pack_weights", "has_ih_bias", "a bool",
        ("type", "the bias itself", TypeError, "ndarray of shape (8,)", WEIGHTS[2]),
        ("type", "None", TypeError, "None", None),
    ),
    *other("pack_weights", "has_ih_bias",
        ("value", "False, with four arrays per layer", ValueError,
         FOUR_ARRAYS.replace("4 arrays", "3 arrays").replace(" b_ih,", "")
         .replace("has_ih_bias=True", "has_ih_bias=False") + " 4", {"has_ih_bias": False}),
    ),
    *scalar("pack_weights", "has_hh_bias", "a bool",
        ("type", "a string", TypeError, "str 'no'", "no"),
        ("type", "None", TypeError, "None", None),
    ),
    *other("pack_weights", "has_hh_bias",
        ("value", "False, with four arrays per layer", ValueError,
         FOUR_ARRAYS.replace("4 arrays", "3 arrays").replace(", b_hh for", " for")
         .replace("has_hh_bias=True", "has_hh_bias=False") + " 4", {"has_hh_bias": False}),
    ),
    *scalar("pack_weights", "weight_dtype", WEIGHT_DTYPES,
        ("type", "NumPy's float16", TypeError, "type", np.float16),
        ("type", "a NumPy dtype", TypeError, type(np.dtype("f2")).__name__, np.dtype("f2")),
        ("type", "a number of bits", TypeError, "int 16", 16),
        ("type", "a bool", TypeError, "bool True", True),
        ("value", "another type's name", ValueError, "'int4'", "int4"),
        ("value", "capital letters", ValueError, "'BFLOAT16'", "BFLOAT16"),
        ("value", "nothing", ValueError, "''", ""),
    ),
    *other("pack_weights", "weight_dtype",
        ("dtype", "for weights of float64", TypeError,
         "weight_dtype: expected None for weights of dtype float64, got 'float16'",
         {"all_weights": [w.astype(np.float64) for w in WEIGHTS], "weight_dtype": "float16"}),
    ),
    *scalar("pack_weights", "compute", COMPUTE,
        ("type", "NumPy's int8", TypeError, "type", np.int8),
        ("type", "a bool", TypeError, "bool True", True),
        ("value", "a type that products are in anyway", ValueError, "'float32'", "float32"),
    ),
    *other("pack_weights", "compute",
        ("value", "int8, with weights that are not", ValueError,
         "compute: expected None or the same as weight_dtype, 'bfloat16', got 'int8'",
         {"weight_dtype": "bfloat16", "compute": "int8"}),
        ("value", "with weights as they are", ValueError,
         "compute: expected None or the same as weight_dtype, None, got 'bfloat16'",
         {"compute": "bfloat16"}),
    ),
    *scalar("pack_weights", "gate_order", GATE_ORDER,
        ("type", "None", TypeError, "None", None),
        ("type", "places of the gates", TypeError, "tuple", (0, 2, 1, 3)),
        ("value", "three gates", ValueError, "'ifo'", "ifo"),
        ("value", "a gate twice", ValueError, "'iffo'", "iffo"),
        ("value", "both letters of the candidate", ValueError, "'ifgc'", "ifgc"),
        ("value", "capital letters", ValueError, "'IFGO'", "IFGO"),
        ("value", "a system's name", ValueError, "'onnx'", "onnx"),
    ),
    *cells_of("pack_weights"),
]

X_STEP = "expected shape (batch, input_size) = (3, 10), got"
X_RUN = "expected shape (seq_len, batch, input_size) = (seq_len, 3, 10), got"
OUT_STEP = "expected shape (batch, hidden_size) = (3, 2), got"
OUT_RUN = "expected shape (seq_len, batch, hidden_size) = (5, 3, 2), got"
APART = "expected memory apart from x's, got"
IN_ORDER = "expected an aligned array in C order, got strides"
WRITABLE = "expected an array that can be written to, got a read-only one"
STREAM_STATE = "expected shape (num_layers, batch, hidden_size) = (1, 3, 2), got"
ROOM = zeros(150)

def states_of_stream(interface: str, argument: str, parts: tuple[str, str]) -> list[Mistake]:
    """Of two places that take the states of the same stream."""
    pair = f"{argument}: expected a tuple of two arrays ({', '.join(parts)}), got"
    h, c = (f"{argument}[{k}] ({part}):" for k, part in enumerate(parts))
    return other(interface, argument,
        ("type", "both in one array", TypeError, f"{pair} ndarray of shape (2, 1, 3, 2)",
         {argument: zeros(2, 1, 3, 2)}),
        ("type", "None for h", TypeError, f"{h} {NO_ARRAY} None",
         {argument: (None, STATE)}),
        ("type", "a masked array for c", TypeError, f"{c} {UNMASKED}",
         {argument: (STATE, masked(1, 3, 2))}),
        ("rank", "h without a layer axis", ValueError, f"{h} {STREAM_STATE} (3, 2)",
         {argument: (zeros(3, 2), STATE)}),
        ("size", "h alone", ValueError, f"{pair} 1 item(s)", {argument: (STATE,)}),
        ("size", "c for another batch", ValueError, f"{c} {STREAM_STATE} (1, 1, 2)",
         {argument: (STATE, zeros(1, 1, 2))}),
        ("size", "h for two layers", ValueError, f"{h} {STREAM_STATE} (2, 3, 2)",
         {argument: (zeros(2, 3, 2), STATE)}),
        ("dtype", "h in float64, packed in float32", TypeError,
         f"{h} {NOT_PACKEDS} float64",
         {argument: (zeros(1, 3, 2, dtype=np.float64), STATE)}),
        ("dtype", "c in integers", TypeError, f"{c} {REAL} int64",
         {argument: (STATE, zeros(1, 3, 2, dtype=np.int64))}),
    )


THREE_NAMES = "3 names of activations, or 3 for each of 2 directions"
FUNCTIONS = (
    "sigmoid, tanh, relu, affine, leakyrelu, thresholdedrelu, scaledtanh, hardsigmoid, elu, "
    "softsign, softplus"
)
BOUND = "a finite float above 0, or None"


def values_of(interface: str, argument: str) -> list[Mistake]:
    """Of alphas and betas, whatever an interface calls them."""
    listed = "a sequence of finite floats, or None"
    return [
        *scalar(interface, argument, listed,
            ("type", "a float", TypeError, "float 0.2", 0.2),
            ("type", "a string", TypeError, "str '0.2'", "0.2"),
            ("type", "a string among them", TypeError, "str '0.2' among them", ["0.2"]),
            ("type", "a bool among them", TypeError, "bool True among them", [True]),
        ),
        *other(interface, argument,
            ("value", "NaN", ValueError, f"{argument}: expected finite floats, got nan",
             {argument: [float("nan")]}),
            ("value", "-(10 ** 400)", ValueError,
             f"{argument}: expected finite floats, got -2**1328 or less",
             {argument: [-(10**400)]}),
            ("value", "one that no function takes", ValueError,
             f"{argument}: expected at most 0 values, no activation takes one, got 1",
             {argument: [0.2]}),
            ("value", "more than functions take", ValueError,
             f"{argument}: expected at most 1 values, one for each of hardsigmoid, got 2",
             {argument: [0.2, 0.5], "activations": ("HardSigmoid", "Tanh", "Tanh")}),
        ),
    ]


def activations_of(interface: str) -> list[Mistake]:
    argument = "activations"
    return [
        *scalar(interface, argument, f"a sequence of {THREE_NAMES}",
            ("type", "a name", TypeError, "str 'tanh'", "tanh"),
        ),
        *other(interface, argument,
            ("type", "an int among them", TypeError,
             f"{argument}: expected {THREE_NAMES}, got int 0 among them",
             {argument: ("sigmoid", 0, "tanh")}),
            ("value", "one that ONNX does not have", ValueError,
             f"{argument}: expected names among {FUNCTIONS}, got 'gelu'",
             {argument: ("sigmoid", "gelu", "tanh")}),
            ("value", "two of them", ValueError, f"{argument}: expected {THREE_NAMES}, got 2",
             {argument: ("sigmoid", "tanh")}),
        ),
    ]


def bounds_of(interface: str) -> list[Mistake]:
    return scalar(interface, "clip", BOUND,
        ("type", "a string", TypeError, "str '3'", "3"),
        ("type", "a bool", TypeError, "bool True", True),
        ("value", "0.0", ValueError, "0.0", 0.0),
        ("value", "a negative number", ValueError, "-1.5", -1.5),
        ("value", "infinity", ValueError, "inf", float("inf")),
        ("value", "10 ** 400", ValueError, "2**1328 or more", 10**400),
        ("value", "NaN", ValueError, "nan", float("nan")),
    )


CELL = [
    *activations_of("Cell"),
    *values_of("Cell", "alphas"),
    *values_of("Cell", "betas"),
    *bounds_of("Cell"),
    *(
        mistake
        for flag in ("input_forget", "peepholes")
        for mistake in scalar("Cell", flag, "a bool",
            ("type", "an int", TypeError, "int 1", 1),
            ("type", "None", TypeError, "None", None),
        )
    ),
    *scalar("Cell", "proj_size", "an int of at least 0",
        ("type", "a float", TypeError, "float 2.0", 2.0),
        ("type", "a bool", TypeError, "bool True", True),
        ("type", "None", TypeError, "None", None),
    ),
    *scalar("Cell", "proj_size", "an int from 0 to 9223372036854775807",
        ("value", "a negative size", ValueError, "-1", -1),
        ("value", "a size beyond an index", ValueError, "9223372036854775808", 2**63),
        ("value", "10 ** 5000", ValueError, "2**16609 or more", 10**5000),
    ),
    *scalar("Cell", "recurrent_dropout", "a float from 0.0 to 1.0",
        ("type", "a string", TypeError, "str '0.2'", "0.2"),
        ("type", "a bool", TypeError, "bool True", True),
        ("type", "None", TypeError, "None", None),
        ("value", "above 1", ValueError, "1.5", 1.5),
        ("value", "10 ** 400", ValueError, "2**1328 or more", 10**400),
        ("value", "NaN", ValueError, "nan", float("nan")),
    ),
]


STREAMS = [
    *scalar(STREAM, "packed", "PackedWeights from pack_weights()",
        ("type", "the arrays themselves", TypeError, "tuple", WEIGHTS),
        ("type", "one flat array", TypeError, "ndarray of shape (112,)", zeros(112)),
        ("type", "a Model", TypeError, f"Model; {OF_MODEL}", MODEL),
        ("type", "None", TypeError, "None", None),
    ),
    *other(STREAM, "packed",
        ("value", "of two directions", ValueError,
         "packed: expected weights with bidirectional=False, because a reverse direction begins "
         "with the end of a sequence, which a stream has not seen; got bidirectional=True",
         {"packed": BOTH_DIRECTIONS}),
    ),
    *scalar(STREAM, "batch", AT_LEAST_1,
        ("type", "a float", TypeError, "float 3.0", 3.0),
        ("type", "a bool", TypeError, "bool True", True),
        ("type", "None", TypeError, "None", None),
        ("value", "0", ValueError, "0", 0),
        ("value", "-1", ValueError, "-1", -1),
    ),
    *scalar(STREAM, "batch", INDEX,
        ("value", "2 ** 63", ValueError, "9223372036854775808", 2**63),
    ),
    *cells_of(STREAM),
    *CELL,
    *scalar(STREAM, "num_threads", THREADS,
        ("type", "a float", TypeError, "float 2.0", 2.0),
        ("type", "a bool", TypeError, "bool True", True),
        ("value", "0", ValueError, "0", 0),
        ("value", "129", ValueError, "129", 129),
    ),
    *directions_of(STREAM),
    *other(STREAM, "direction",
        ("value", "reverse", ValueError,
         "direction: expected 'forward', because a reverse direction begins with the end of a "
         "sequence, which a stream has not seen; got 'reverse'", {"direction": "reverse"}),
    ),
    *states_of_stream(STREAM, "initial_states", ("h_0", "c_0")),
    *other(STEP, "x",
        ("type", "None", TypeError, f"x: {NO_ARRAY} None", {"x": None}),
        ("type", "a masked array", TypeError, f"x: {UNMASKED}", {"x": masked(3, 10)}),
        ("type", "an array in a GPU's memory", TypeError, f"x: {GPU}", {"x": OnGpu()}),
        ("type", "an object whose `__array__` raises", TypeError, f"x: {UNREADABLE}",
         {"x": Unreadable()}),
        ("rank", "without a batch axis", ValueError, f"x: {X_STEP} (10,)", {"x": zeros(10)}),
        ("rank", "several steps, as `run` takes them", ValueError, f"x: {X_STEP} (1, 3, 10)",
         {"x": zeros(1, 3, 10)}),
        ("size", "for another batch", ValueError, f"x: {X_STEP} (4, 10)", {"x": zeros(4, 10)}),
        ("size", "other features than packed has", ValueError, f"x: {X_STEP} (3, 9)",
         {"x": zeros(3, 9)}),
        ("size", "nested lists of unequal lengths", ValueError, f"x: {RAGGED}",
         {"x": [[1.0], [1.0, 2.0], []]}),
        ("dtype", "float64, packed in float32", TypeError, f"x: {NOT_PACKEDS} float64",
         {"x": zeros(3, 10, dtype=np.float64)}),
        ("dtype", "nested lists (float64), packed in float32", TypeError,
         f"x: {NOT_PACKEDS} float64", {"x": [[0.0] * 10] * 3}),
        ("dtype", "float16", TypeError, f"x: {REAL} float16",
         {"x": zeros(3, 10, dtype=np.float16)}),
        ("dtype", "integers", TypeError, f"x: {REAL} int64", {"x": zeros(3, 10, dtype=np.int64)}),
    ),
    *other(STEP, "out",
        ("type", "a list", TypeError, "out: expected a numpy.ndarray, got list",
         {"out": [[0.0, 0.0]] * 3}),
        ("type", "a memoryview", TypeError, "out: expected a numpy.ndarray, got memoryview",
         {"out": memoryview(zeros(3, 2))}),
        ("rank", "for several steps", ValueError, f"out: {OUT_STEP} (1, 3, 2)",
         {"out": zeros(1, 3, 2)}),
        ("rank", "flat", ValueError, f"out: {OUT_STEP} (6,)", {"out": zeros(6)}),
        ("size", "for another batch", ValueError, f"out: {OUT_STEP} (1, 2)", {"out": zeros(1, 2)}),
        ("size", "of x's shape", ValueError, f"out: {OUT_STEP} (3, 10)", {"out": zeros(3, 10)}),
        ("value", "in Fortran's order", ValueError, f"out: {IN_ORDER} (4, 12)",
         {"out": np.asfortranarray(zeros(3, 2))}),
        ("value", "that can't be written to", ValueError, f"out: {WRITABLE}",
         {"out": np.broadcast_to(zeros(3, 2), (3, 2))}),
        ("value", "in x's memory", ValueError, f"out: {APART} an array that shares some",
         {"x": ROOM[:30].reshape(3, 10), "out": ROOM[24:30].reshape(3, 2)}),
        ("dtype", "float64", TypeError, "out: expected dtype float32, the same as x, got float64",
         {"out": zeros(3, 2, dtype=np.float64)}),
        ("dtype", "of the other byte order", TypeError,
         "out: expected dtype float32, the same as x, got >f4", {"out": zeros(3, 2, dtype=">f4")}),
    ),
    *other(RUN, "x",
        ("type", "None", TypeError, f"x: {NO_ARRAY} None", {"x": None}),
        ("type", "a masked array", TypeError, f"x: {UNMASKED}", {"x": masked(5, 3, 10)}),
        ("rank", "one step, as `step` takes it", ValueError, f"x: {X_RUN} (3, 10)",
         {"x": zeros(3, 10)}),
        ("rank", "four axes", ValueError, f"x: {X_RUN} (1, 5, 3, 10)", {"x": zeros(1, 5, 3, 10)}),
        ("size", "no time steps", ValueError,
         "x: expected a seq_len of at least 1, got shape (0, 3, 10)", {"x": zeros(0, 3, 10)}),
        ("size", "batch first", ValueError, f"x: {X_RUN} (3, 5, 10)", {"x": zeros(3, 5, 10)}),
        ("size", "other features than packed has", ValueError, f"x: {X_RUN} (5, 3, 2)",
         {"x": zeros(5, 3, 2)}),
        ("dtype", "float64, packed in float32", TypeError, f"x: {NOT_PACKEDS} float64",
         {"x": zeros(5, 3, 10, dtype=np.float64)}),
        ("dtype", "booleans", TypeError, f"x: {REAL} bool", {"x": zeros(5, 3, 10, dtype=bool)}),
    ),
    *other(RUN, "out",
        ("type", "True", TypeError, "out: expected a numpy.ndarray, got bool True", {"out": True}),
        ("type", "a masked array", TypeError,
         "out: expected a numpy.ndarray without a mask, got a numpy.ma.MaskedArray",
         {"out": masked(5, 3, 2)}),
        ("rank", "for one step", ValueError, f"out: {OUT_RUN} (3, 2)", {"out": zeros(3, 2)}),
        ("size", "for more steps", ValueError, f"out: {OUT_RUN} (6, 3, 2)",
         {"out": zeros(6, 3, 2)}),
        ("value", "with gaps", ValueError, f"out: {IN_ORDER} (48, 8, 4)",
         {"out": zeros(10, 3, 2)[::2]}),
        ("value", "in x's memory", ValueError, f"out: {APART} an array that shares some",
         {"x": ROOM.reshape(5, 3, 10), "out": ROOM[:30].reshape(5, 3, 2)}),
        ("dtype", "float64", TypeError, "out: expected dtype float32, the same as x, got float64",
         {"out": zeros(5, 3, 2, dtype=np.float64)}),
    ),
    *states_of_stream(STATE_OF_STREAM, "state", ("h", "c")),
    *other(STATE_OF_STREAM, "state",
        ("type", "None", TypeError, "state: expected a tuple of two arrays (h, c), got None",
         {"state": None}),
    ),
]

NOT_OPEN = "expected an open session, got"
X_SESSIONS = "expected shape (len(ids), input_size) = (3, 10), got"
X_SESSIONS_RUN = "expected shape (seq_len, len(ids), input_size) = (seq_len, 3, 10), got"
STATE_OF_ONE = "expected shape (num_layers, hidden_size) = (1, 2), got"
DATA = "data: expected the 52 bytes of a float32 state of 1 layer(s) of 2 units, got"


def ids_of(interface: str) -> list[Mistake]:
    """Of a method that takes one session."""
    return [
        *scalar(interface, "id", "an int of at least 0",
            ("type", "a string", TypeError, "str 'anna'", "anna"),
            ("type", "a float", TypeError, "float 0.0", 0.0),
            ("value", "-1", ValueError, "-1", -1),
        ),
        *scalar(interface, "id", "an open session",
            ("value", "of a session that was closed", ValueError, "3", 3),
            ("value", "of a session that is not open yet", ValueError, "4", 4),
        ),
    ]


OF_SESSIONS = [
    *(
        replace(mistake, interface=SESSIONS)
        for mistake in STREAMS
        if mistake.interface == STREAM and mistake.argument in APPLICABLE[SESSIONS]
    ),
    *scalar(SESSIONS, "capacity", AT_LEAST_1,
        ("type", "a float", TypeError, "float 2.0", 2.0),
        ("type", "None", TypeError, "None", None),
        ("value", "0", ValueError, "0", 0),
    ),
    *scalar(SESSIONS, "capacity", "sessions that some memory can hold",
        ("value", "2 ** 60", MemoryError, "1152921504606846976", 2**60),
    ),
    *scalar(SESSIONS_STEP, "ids", "a sequence of ints",
        ("type", "one id", TypeError, "int 0", 0),
    ),
    *other(SESSIONS_STEP, "ids",
        ("rank", "a column", TypeError,
         "ids: expected a sequence of ints, got list", {"ids": [[0], [1], [2]]}),
        ("size", "nested lists of unequal lengths", ValueError, f"ids: {RAGGED}",
         {"ids": [[0], [1, 2], []]}),
        ("value", "of a session that was closed", ValueError, f"ids: {NOT_OPEN} 3",
         {"ids": [0, 3, 1]}),
        ("value", "of a session that is not open yet", ValueError, f"ids: {NOT_OPEN} 999",
         {"ids": [0, 1, 999]}),
        ("value", "a negative id", ValueError, f"ids: {NOT_OPEN} -1", {"ids": [0, 1, -1]}),
        ("value", "2 ** 63, in a list", ValueError, f"ids: {NOT_OPEN} 9223372036854775808",
         {"ids": [0, 1, 2**63]}),
        ("value", "10 ** 5000, in a list", ValueError, f"ids: {NOT_OPEN} 2**16609 or more",
         {"ids": [0, 1, 10**5000]}),
        ("value", "2 ** 63, in an array of uint64", ValueError,
         f"ids: {NOT_OPEN} 9223372036854775808", {"ids": np.array([0, 1, 2**63], np.uint64)}),
        ("value", "a session twice", ValueError, "ids: expected each session once, got 1 twice",
         {"ids": [1, 0, 1]}),
        ("dtype", "floats", TypeError, "ids: expected ints, got dtype float64",
         {"ids": [0.0, 1.0, 2.0]}),
        ("dtype", "booleans", TypeError, "ids: expected ints, got dtype bool",
         {"ids": np.ones(3, np.bool_)}),
        ("dtype", "a bool among ints", TypeError, "ids: expected ints, got a list with bools",
         {"ids": [True, 0, 2]}),
        ("dtype", "strings", TypeError, "ids: expected ints, got dtype <U4",
         {"ids": ["anna", "ben", "cleo"]}),
    ),
    *other(SESSIONS_STEP, "x",
        ("type", "None", TypeError, f"x: {NO_ARRAY} None", {"x": None}),
        ("type", "a masked array", TypeError, f"x: {UNMASKED}", {"x": masked(3, 10)}),
        ("rank", "one frame, without an axis of sessions", ValueError, f"x: {X_SESSIONS} (10,)",
         {"x": zeros(10)}),
        ("rank", "several steps, as `run` takes them", ValueError, f"x: {X_SESSIONS} (5, 3, 10)",
         {"x": zeros(5, 3, 10)}),
        ("size", "a frame too few", ValueError, f"x: {X_SESSIONS} (2, 10)", {"x": zeros(2, 10)}),
        ("size", "other features than packed has", ValueError, f"x: {X_SESSIONS} (3, 9)",
         {"x": zeros(3, 9)}),
        ("dtype", "float64, packed in float32", TypeError, f"x: {NOT_PACKEDS} float64",
         {"x": zeros(3, 10, dtype=np.float64)}),
        ("dtype", "integers", TypeError, f"x: {REAL} int64", {"x": zeros(3, 10, dtype=np.int64)}),
    ),
    *other(SESSIONS_RUN, "ids",
        ("value", "a session twice", ValueError, "ids: expected each session once, got 2 twice",
         {"ids": [2, 0, 2]}),
    ),
    *other(SESSIONS_RUN, "x",
        ("type", "a string", TypeError, f"x: {NO_ARRAY} a str", {"x": "frames"}),
        ("rank", "one step, as `step` takes it", ValueError, f"x: {X_SESSIONS_RUN} (3, 10)",
         {"x": zeros(3, 10)}),
        ("size", "no time steps", ValueError,
         "x: expected a seq_len of at least 1, got shape (0, 3, 10)", {"x": zeros(0, 3, 10)}),
        ("size", "a frame too many", ValueError, f"x: {X_SESSIONS_RUN} (5, 4, 10)",
         {"x": zeros(5, 4, 10)}),
        ("dtype", "float16", TypeError, f"x: {REAL} float16",
         {"x": zeros(5, 3, 10, dtype=np.float16)}),
    ),
    *ids_of(CLOSE),
    *ids_of(STATE_OF_SESSION),
    *ids_of(SET_STATE),
    *other(SET_STATE, "state",
        ("type", "both in one array", TypeError,
         "state: expected a tuple of two arrays (h, c), got ndarray of shape (2, 1, 2)",
         {"state": zeros(2, 1, 2)}),
        ("rank", "h without a layer axis", ValueError, f"state[0] (h): {STATE_OF_ONE} (2,)",
         {"state": (zeros(2), zeros(1, 2))}),
        ("size", "h alone", ValueError,
         "state: expected a tuple of two arrays (h, c), got 1 item(s)", {"state": (zeros(1, 2),)}),
        ("size", "c for two layers", ValueError, f"state[1] (c): {STATE_OF_ONE} (2, 2)",
         {"state": (zeros(1, 2), zeros(2, 2))}),
        ("dtype", "c in float64, packed in float32", TypeError,
         f"state[1] (c): {NOT_PACKEDS} float64",
         {"state": (zeros(1, 2), zeros(1, 2, dtype=np.float64))}),
    ),
    *ids_of(RESET),
    *ids_of(DUMP),
    *ids_of(LOAD),
    *scalar(LOAD, "data", "bytes",
        ("type", "a string", TypeError, "str 'state'", "state"),
    ),
    *other(LOAD, "data",
        ("value", "other bytes", ValueError, f"{DATA} 3 byte(s) that are no state",
         {"data": b"abc"}),
        ("value", "cut short", ValueError, f"{DATA} 51 byte(s), 'f4', 1 layer(s), 2 units",
         {"data": VALID[LOAD]["data"][:-1]}),
        ("value", "of float64", ValueError, f"{DATA} 68 byte(s), 'f8', 1 layer(s), 2 units",
         {"data": three_sessions(packed_like(dtype=np.float64)).dump(0)}),
    ),
]

NOT_XS = "expected dtype float32, the same as x, got"
NEEDS = "a collection of 'input', 'states' and 'weights'"
TAPE_SHAPE = "expected shape (reserve_size(seq_len, batch), 1) = (182, 1), got"
X_GRAD = "expected shape (seq_len, batch, input_size) = (seq_len, batch, 10), got"
Y_GRAD = "expected shape (seq_len, batch, num_directions * hidden_size) = (5, 3, 2), got"


def gradient_array(interface: str, argument: str, expected: str, like: str, shape: Any) -> Any:
    """What can be wrong with an array of this shape."""
    return other(interface, argument,
        ("type", "a dict", TypeError, f"{argument}: {NO_ARRAY} a dict", {argument: {}}),
        ("type", "a masked array", TypeError, f"{argument}: {UNMASKED}",
         {argument: masked(*shape)}),
        ("rank", "flat", ValueError, f"{argument}: {expected} (7,)", {argument: zeros(7)}),
        ("size", "another batch", ValueError, f"{argument}: {expected} {(shape[0], 4, shape[2])}",
         {argument: zeros(shape[0], 4, shape[2])}),
        ("dtype", "float64", TypeError, f"{argument}: expected dtype float32, the same as {like}, "
         "got float64", {argument: zeros(*shape, dtype=np.float64)}),
        ("dtype", "integers", TypeError, f"{argument}: {REAL} int64",
         {argument: zeros(*shape, dtype=np.int64)}),
    )


def tapes_of(interface: str, argument: str) -> list[Mistake]:
    """What can be wrong with a reserve, or with what is laid out like one."""
    tape, another = (RESERVE, WORKSPACE) if argument == "reserve" else (WORKSPACE, RESERVE)
    other_name = "workspace" if argument == "reserve" else "reserve"
    source = "a training call of LSTM" if argument == "reserve" else "LSTMGrad.data"
    return other(interface, argument,
        ("type", "None", TypeError, f"{argument}: {NO_ARRAY} None", {argument: None}),
        ("rank", "flat", ValueError, f"{argument}: {TAPE_SHAPE} (182,)",
         {argument: zeros(182)}),
        ("size", "of a call that was not training", ValueError, f"{argument}: {TAPE_SHAPE} (0, 1)",
         {argument: zeros(0, 1)}),
        ("size", "cut off", ValueError, f"{argument}: {TAPE_SHAPE} (181, 1)",
         {argument: tape[:-1]}),
        ("value", "without a header", ValueError,
         f"{argument}: expected what {source} returned (its header begins "
         "b'LSTMTAPE', version 1), got one that begins " + repr(bytes(12)),
         {argument: zeros(182, 1)}),
        ("value", "of another sequence's length and batch", ValueError,
         f"{argument}: expected the {argument} of a call with seq_len 5, got 3",
         {argument: recorded_sizes(tape, 3, 5)}),
        ("value", f"the {other_name}", ValueError,
         f"{argument}: expected the {argument} that {source} returned, got a {other_name}",
         {argument: another}),
        ("dtype", "float64", TypeError, f"{argument}: {NOT_XS} float64",
         {argument: tape.astype(np.float64)}),
    )


def recorded_sizes(tape: Any, seq_len: int, batch: int) -> Any:
    """A tape of a call with as many rows as the valid one."""
    tape = tape.copy()
    tape[:32, 0].view(np.int64)[2:4] = seq_len, batch
    return tape


def states_of(interface: str) -> list[Mistake]:
    return other(interface, "state",
        ("type", "a string", TypeError, "state: expected dtype int64, got <U4", {"state": "seed"}),
        ("rank", "flat", ValueError, "state: expected shape (2, 1), got (2,)",
         {"state": zeros(2, dtype=np.int64)}),
        ("size", "lying", ValueError, "state: expected shape (2, 1), got (1, 2)",
         {"state": zeros(1, 2, dtype=np.int64)}),
        ("value", "another call's", ValueError,
         "state: expected what the call returned together with reserve, key …",
         {"state": SEED_STATE + 1}),
        ("dtype", "floats", TypeError, "state: expected dtype int64, got float32",
         {"state": zeros(2, 1)}),
    )


def threads_of(interface: str) -> list[Mistake]:
    return scalar(interface, "num_threads", THREADS,
        ("type", "a float", TypeError, "float 2.0", 2.0),
        ("value", "129", ValueError, "129", 129),
    )


GRADIENTS = [
    *scalar(VJP, "recompute", "a bool",
        ("type", "an int", TypeError, "int 1", 1),
        ("type", "None", TypeError, "None", None),
    ),
    *gradient_array(PULLBACK, "d_output", "expected shape (5, 3, 2), got", "input", (5, 3, 2)),
    *gradient_array(PULLBACK, "d_h_outs", "expected shape (1, 3, 2), got", "input", (1, 3, 2)),
    *gradient_array(PULLBACK, "d_c_outs", "expected shape (1, 3, 2), got", "input", (1, 3, 2)),
    *scalar(PULLBACK, "needs", NEEDS,
        ("type", "one name", TypeError, "str 'input'", "input"),
        ("type", "None", TypeError, "None", None),
        ("value", "another name", ValueError, "one with str 'biases'", ("biases",)),
    ),
    *(mistake for mistake in gradient_array(GRAD, "x", X_GRAD, "x", (5, 3, 10))
      if mistake.passed not in ("another batch", "float64")),
    *other(GRAD, "x",
        ("size", "other features", ValueError, f"x: {X_GRAD} (5, 3, 9)", {"x": zeros(5, 3, 9)}),
    ),
    *(mistake for argument in ("hx", "cx", "hy", "cy", "dhy", "dcy")
      for mistake in gradient_array(GRAD, argument, STATE_SHAPE, "x", (1, 3, 2))),
    *(mistake for argument in ("y", "dy")
      for mistake in gradient_array(GRAD, argument, Y_GRAD, "x", (5, 3, 2))),
    *other(GRAD, "w",
        ("type", "None", TypeError, f"w: {NO_ARRAY} None", {"w": None}),
        ("size", "a list of arrays, as `lstm` takes it", ValueError, f"{ONE_FLAT} list of {MANY}",
         {"w": list(WEIGHTS)}),
        ("size", "one too few", ValueError,
         "w: expected 112 elements (weight_layout='mindspore_gpu'; the layouts need 112 for "
         "'mindspore_gpu' or 104 for 'mindspore_cpu'), got 111 in shape (111,)",
         {"w": zeros(111)}),
        ("dtype", "float64", TypeError, f"w: {NOT_XS} float64",
         {"w": zeros(112, dtype=np.float64)}),
    ),
    *tapes_of(GRAD, "reserve"),
    *states_of(GRAD),
    *threads_of(GRAD),
    *devices_of(GRAD),
    *(mistake for mistake in gradient_array(GRAD_WEIGHTS, "x", X_GRAD, "x", (5, 3, 10))
      if mistake.passed not in ("another batch", "float64")),
    *other(GRAD_WEIGHTS, "x",
        ("size", "other features", ValueError, f"x: {X_GRAD} (5, 3, 9)", {"x": zeros(5, 3, 9)}),
    ),
    *tapes_of(GRAD_WEIGHTS, "reserve"),
    *tapes_of(GRAD_WEIGHTS, "workspace"),
    *states_of(GRAD_WEIGHTS),
    *other(GRAD_WEIGHTS, "out",
        ("type", "a list", TypeError, "out: expected a numpy.ndarray, got list", {"out": []}),
        ("type", "a masked array", TypeError,
         "out: expected a numpy.ndarray without a mask, got a numpy.ma.MaskedArray",
         {"out": masked(4)}),
        ("size", "one too many", ValueError,
         "out: expected 112 elements, got 113 in shape (113,)", {"out": zeros(113)}),
        ("value", "with gaps", ValueError,
         "out: expected a writable array in C order, got strides (8,)",
         {"out": zeros(224)[::2]}),
        ("value", "None, to add to", ValueError,
         "out: expected an array to add to (accumulate=True), got None", {"accumulate": True}),
        ("value", "in the reserve's memory", ValueError,
         "out: expected memory apart from reserve's, got an array that shares some",
         {"out": RESERVE[:112]}),
        ("dtype", "float64", TypeError, f"out: {NOT_XS} float64",
         {"out": zeros(112, dtype=np.float64)}),
    ),
    *scalar(GRAD_WEIGHTS, "accumulate", "a bool",
        ("type", "an int", TypeError, "int 1", 1),
        ("type", "None", TypeError, "None", None),
    ),
    *threads_of(GRAD_WEIGHTS),
    *devices_of(GRAD_WEIGHTS),
]

EXPLAIN = [
    *(mistake for argument, low in (
        ("seq_len", 1), ("batch", 0), ("input_size", 1), ("hidden_size", 1),
    ) for mistake in (
        *scalar("explain", argument, f"an int of at least {low}",
            ("type", "a float", TypeError, "float 5.0", 5.0),
            ("type", "a bool", TypeError, "bool True", True),
            ("type", "None", TypeError, "None", None),
            ("value", f"{low - 1}", ValueError, f"{low - 1}", low - 1),
        ),
        *scalar("explain", argument, f"an int from {low} to {2**63 - 1}",
            ("value", "2 ** 63", ValueError, "9223372036854775808", 2**63),
        ),
    )),
    *scalar("explain", "num_layers", LAYERS,
        ("type", "a float", TypeError, "float 5.0", 5.0),
        ("type", "a bool", TypeError, "bool True", True),
        ("type", "None", TypeError, "None", None),
        ("value", "0", ValueError, "0", 0),
        ("value", "2 ** 40", ValueError, "1099511627776", 2**40),
    ),
    *scalar("explain", "bidirectional", "a bool",
        ("type", "a number of directions", TypeError, "int 2", 2),
        ("type", "None", TypeError, "None", None),
    ),
    *scalar("explain", "dtype", "'float32' or 'float64'",
        ("value", "float16", ValueError, "'float16'", "float16"),
        ("value", "another language's name", ValueError, "'double'", "double"),
        ("type", "a number of bits", TypeError, "int 32", 32),
        ("type", "None", TypeError, "None", None),
    ),
    *scalar("explain", "packed", "a bool",
        ("type", "the weights", TypeError, "PackedWeights", PACKED_WEIGHTS),
        ("type", "an int", TypeError, "int 1", 1),
        ("type", "None", TypeError, "None", None),
    ),
    *scalar("explain", "weight_dtype", WEIGHT_DTYPES,
        ("type", "NumPy's float16", TypeError, "type", np.float16),
        ("type", "a number of bits", TypeError, "int 16", 16),
        ("value", "another type's name", ValueError, "'int4'", "int4"),
    ),
    *other("explain", "weight_dtype",
        ("value", "for float64", ValueError,
         "weight_dtype: expected None unless dtype is 'float32' and packed is true, got 'float16'",
         {"weight_dtype": "float16", "dtype": "float64"}),
        ("value", "for plain weights", ValueError,
         "weight_dtype: expected None unless dtype is 'float32' and packed is true, got 'bfloat16'",
         {"weight_dtype": "bfloat16", "packed": False}),
    ),
    *scalar("explain", "compute", COMPUTE,
        ("type", "an int", TypeError, "int 8", 8),
        ("value", "a type that products are in anyway", ValueError, "'float32'", "float32"),
    ),
    *other("explain", "compute",
        ("value", "with weights of another type", ValueError,
         "compute: expected None or the same as weight_dtype, 'int8', got 'bfloat16'",
         {"weight_dtype": "int8", "compute": "bfloat16"}),
    ),
    *scalar("explain", "batch_first", "a bool",
        ("type", "an int", TypeError, "int 0", 0),
        ("type", "a layout's name", TypeError, "str 'NTC'", "NTC"),
    ),
    *lengths_of("explain"),
    *cells_of("explain"),
    *directions_of("explain"),
    *other("explain", "direction",
        ("value", "reverse, with two directions", ValueError,
         "direction: expected 'forward' where bidirectional is True, got 'reverse'",
         {"direction": "reverse", "bidirectional": True}),
    ),
    *scalar("explain", "num_threads", THREADS,
        ("type", "a float", TypeError, "float 2.0", 2.0),
        ("type", "a bool", TypeError, "bool True", True),
        ("value", "0", ValueError, "0", 0),
        ("value", "129", ValueError, "129", 129),
    ),
]
OF_X = "expected dtype float32, the same as X, got"
X_AXES = "expected shape (seq_length, batch_size, input_size), got"
W_AXES = "expected shape (num_directions, 4 * hidden_size, input_size) = (1, 8, 10), got"
R_AXES = "expected shape (num_directions, 4 * hidden_size, hidden_size)"
STATES_OF_ONNX = "expected shape (num_directions, batch_size, hidden_size) = (1, 3, 2), got"
LENGTHS_OF_ONNX = "sequence_lens: expected lengths from 0 to 5, the seq_length of X, got"


def arrays_of_onnx(name: str, *rows: Row, shape: tuple[int, ...]) -> list[Mistake]:
    """Of an input of ONNX's operator, with what all arrays have in common."""
    return other(ONNX, name,
        ("type", "a name", TypeError, f"{name}: {NO_ARRAY} a str", {name: name}),
        ("type", "a masked array", TypeError, f"{name}: {UNMASKED}", {name: masked(*shape)}),
        ("dtype", "float16", TypeError, f"{name}: {REAL} float16",
         {name: zeros(*shape, dtype=np.float16)}),
        *rows,
        *([] if name == "X" else [
            ("dtype", "float64, X in float32", TypeError, f"{name}: {OF_X} float64",
             {name: zeros(*shape, dtype=np.float64)}),
        ]),
    )


ONNX_OPERATOR = [
    *arrays_of_onnx("X",
        ("rank", "without a batch axis", ValueError, f"X: {X_AXES} (5, 10)", {"X": zeros(5, 10)}),
        ("size", "no time steps", ValueError,
         "X: expected a seq_length and an input_size of at least 1, got shape (0, 3, 10)",
         {"X": zeros(0, 3, 10)}),
        shape=(5, 3, 10)),
    *arrays_of_onnx("W",
        ("rank", "without the axis of directions", ValueError, f"W: {W_AXES} (8, 10)",
         {"W": zeros(8, 10)}),
        ("size", "for other features", ValueError, f"W: {W_AXES} (1, 8, 9)",
         {"W": zeros(1, 8, 9)}),
        shape=(1, 8, 10)),
    *arrays_of_onnx("R",
        ("rank", "without the axis of directions", ValueError,
         f"R: {R_AXES} = (1, 4 * hidden_size, hidden_size), got (8, 2)", {"R": zeros(8, 2)}),
        ("size", "of two directions", ValueError, f"R: {R_AXES} = (1, 8, 2), got (2, 8, 2)",
         {"R": zeros(2, 8, 2)}),
        ("size", "no units", ValueError,
         "R: expected a hidden_size of at least 1, got shape (1, 0, 0)", {"R": zeros(1, 0, 0)}),
        shape=(1, 8, 2)),
    *arrays_of_onnx("B",
        ("rank", "without the axis of directions", ValueError,
         "B: expected shape (num_directions, 8 * hidden_size) = (1, 16), got (16,)",
         {"B": zeros(16)}),
        ("size", "one bias of two", ValueError,
         "B: expected shape (num_directions, 8 * hidden_size) = (1, 16), got (1, 8)",
         {"B": zeros(1, 8)}),
        shape=(1, 16)),
    *scalar(ONNX, "sequence_lens", ONE_PER_ROW,
        ("type", "an int", TypeError, "int 5", 5),
    ),
    *other(ONNX, "sequence_lens",
        ("rank", "a matrix", ValueError,
         "sequence_lens: expected shape (batch,) = (3,), got (3, 1)",
         {"sequence_lens": [[5], [2], [1]]}),
        ("size", "one too few", ValueError,
         "sequence_lens: expected shape (batch,) = (3,), got (2,)", {"sequence_lens": [5, 2]}),
        ("value", "longer than X", ValueError, f"{LENGTHS_OF_ONNX} 6 for row 2",
         {"sequence_lens": [5, 0, 6]}),
        ("dtype", "floats", TypeError, "sequence_lens: expected ints, got dtype float64",
         {"sequence_lens": [5.0, 2.0, 1.0]}),
    ),
    *(
        mistake
        for name in ("initial_h", "initial_c")
        for mistake in arrays_of_onnx(name,
            ("rank", "without the axis of directions", ValueError,
             f"{name}: {STATES_OF_ONNX} (3, 2)", {name: zeros(3, 2)}),
            ("size", "for another batch", ValueError, f"{name}: {STATES_OF_ONNX} (1, 4, 2)",
             {name: zeros(1, 4, 2)}),
            shape=(1, 3, 2))
    ),
    *arrays_of_onnx("P",
        ("rank", "without the axis of directions", ValueError,
         "P: expected shape (num_directions, 3 * hidden_size) = (1, 6), got (6,)",
         {"P": zeros(6)}),
        ("size", "for all four gates", ValueError,
         "P: expected shape (num_directions, 3 * hidden_size) = (1, 6), got (1, 8)",
         {"P": zeros(1, 8)}),
        shape=(1, 6)),
    *scalar(ONNX, "hidden_size", AT_LEAST_1,
        ("type", "a float", TypeError, "float 2.0", 2.0),
        ("value", "0", ValueError, "0", 0),
    ),
    *scalar(ONNX, "hidden_size", "2, as R has it",
        ("value", "other than R has", ValueError, "3", 3),
    ),
    *scalar(ONNX, "direction", "'forward' or 'reverse' or 'bidirectional'",
        ("type", "a number of directions", TypeError, "int 2", 2),
        ("value", "another name", ValueError, "'both'", "both"),
    ),
    *scalar(ONNX, "layout", "an int from 0 to 1",
        ("type", "a bool", TypeError, "bool True", True),
        ("value", "2", ValueError, "2", 2),
    ),
    *activations_of(ONNX),
    *other(ONNX, "activations",
        ("value", "six for one direction", ValueError,
         "activations: expected 3 names for 1 direction, got 6",
         {"activations": ("sigmoid", "tanh", "tanh") * 2}),
    ),
    *values_of(ONNX, "activation_alpha"),
    *values_of(ONNX, "activation_beta"),
    *bounds_of(ONNX),
    *scalar(ONNX, "input_forget", "an int from 0 to 1",
        ("type", "a bool", TypeError, "bool True", True),
        ("value", "-1", ValueError, "-1", -1),
    ),
    *scalar(ONNX, "num_threads", THREADS,
        ("type", "a float", TypeError, "float 2.0", 2.0),
        ("value", "0", ValueError, "0", 0),
    ),
]

# fmt: on

MISTAKES: list[Mistake] = [
    *LSTM_ARRAYS,
    *LSTM_OPTIONS,
    *PACKED_FOR_LSTM,
    *BUILDS,
    *CALL_ARRAYS,
    *PACKED_FOR_CALL,
    *CALL_OPTIONS,
    *REST,
    *PACKING,
    *STREAMS,
    *OF_SESSIONS,
    *ONNX_OPERATOR,
    *EXPLAIN,
    *GRADIENTS,
    *(replace(m, interface=GRAD_BUILD) for m in BUILDS if m.argument != "training"),
    *(
        replace(mistake, interface=VJP)
        for mistake in (*LSTM_ARRAYS, *LSTM_OPTIONS, *PACKED_FOR_LSTM)
        if mistake.argument in APPLICABLE[VJP]
    ),
]
