"""Arrays of every kind and layout, for every array argument: same result, and none is written to.

The bits are compared with those for contiguous copies. Where BLAS reads a matrix in another order
of its axes it also sums in another order, so there tests/tolerances.py applies.
"""

import array
from dataclasses import dataclass

import numpy as np
import pytest

import lstm_native
from array_kinds import (
    LAYOUTS,
    OFFERS,
    ArrayOnly,
    DlpackOnly,
    at_offset,
    backwards,
    every_other,
    other_byte_order,
    read_only,
)
from calls import DTYPES, assert_same_bits, flat_weight, operator_for, turned
from few_and_all import few_of
from shapes import make_case, shapes_by_name
from tolerances import assert_close

# All that a layer can be; a batch and a single row take different ways through the library.
CASE_NAMES = ["bi_two_layers", "two_layers_one_row", "ones"]
ROLES = ("w_ih", "w_hh", "b_ih", "b_hh")


@dataclass(frozen=True)
class Argument:
    """One array argument, and the name that messages give it."""

    interface: str
    name: str
    label: str

    def __str__(self):
        return f"{self.interface}.{self.name}"


ARGUMENTS = [
    Argument("lstm", "input", "input"),
    Argument("lstm", "h", "initial_states[0] (h_0)"),
    Argument("lstm", "c", "initial_states[1] (c_0)"),
    Argument("lstm", "w_ih", "all_weights[0] (w_ih of layer 0, forward)"),
    Argument("lstm", "w_hh", "all_weights[1] (w_hh of layer 0, forward)"),
    Argument("lstm", "b_ih", "all_weights[2] (b_ih of layer 0, forward)"),
    Argument("lstm", "b_hh", "all_weights[3] (b_hh of layer 0, forward)"),
    Argument("packed", "input", "input"),
    Argument("packed", "h", "initial_states[0] (h_0)"),
    Argument("transposed", "w_ih", "all_weights[0] (w_ih of layer 0, forward)"),
    Argument("transposed", "w_hh", "all_weights[1] (w_hh of layer 0, forward)"),
    Argument("batch_first", "input", "input"),
    Argument("LSTM", "input", "input"),
    Argument("LSTM", "h", "h"),
    Argument("LSTM", "c", "c"),
    Argument("LSTM", "w", "w"),
]
# One that every step reads, a matrix that BLAS may read, and the one of the operator.
FEW_ARGUMENTS = [a for a in ARGUMENTS if str(a) in ("lstm.input", "lstm.w_ih", "LSTM.w")]
every_argument = few_of("argument", ARGUMENTS, FEW_ARGUMENTS, ids=str)
INTERFACES = ["lstm", "packed", "transposed", "batch_first", "LSTM"]
every_dtype = few_of("dtype", DTYPES, [np.float32])


def packed_sizes(case):
    """One sequence as long as x, the others a step shorter."""
    return [case.shape.batch] * (case.shape.seq_len - 1) + [1]


def packed_rows(case):
    sizes = packed_sizes(case)
    return np.concatenate([step[:size] for step, size in zip(case.x, sizes, strict=True)])


def call(case, interface, change=lambda _name, value: value):
    """Call an interface, each array argument passed through `change(name, array)`."""
    x, options = case.x, {}
    weights = list(case.all_weights)
    if interface == "packed":
        x, options["batch_sizes"] = packed_rows(case), packed_sizes(case)
    if interface == "batch_first":
        x, options["batch_first"] = turned(x), True
    if interface == "transposed":
        weights = [np.ascontiguousarray(w.T) for w in weights]
        options["weights_transposed"] = True
    x, h, c = change("input", x), change("h", case.h0), change("c", case.c0)
    if interface == "LSTM":
        return operator_for(case)(x, h, c, change("w", flat_weight(case)))
    all_weights = [change(ROLES[index % 4], w) for index, w in enumerate(weights)]
    shape = case.shape
    return lstm_native.lstm(
        x, (h, c), all_weights, shape.num_layers, 0.0, False, shape.bidirectional, **options
    )


def only(argument, function):
    """Apply `function` to one argument's arrays and leave the others alone."""
    return lambda name, value: function(value) if name == argument.name else value


def make(dtype=np.float32, name=CASE_NAMES[0]):
    return make_case(shapes_by_name()[name], dtype, seed=3)


def in_another_order(argument, layout):
    """Whether BLAS may get a matrix with its axes the other way round than the contiguous copy.

    A matrix that BLAS can't read in place is copied with each gate's weights in a row.
    """
    is_matrix = argument.name in ("w_ih", "w_hh")
    return is_matrix and (layout == "fortran" or argument.interface == "transposed")


@every_dtype
@few_of("name", CASE_NAMES, CASE_NAMES[:1])
@pytest.mark.parametrize("layout", LAYOUTS)
@every_argument
def test_layouts(argument, layout, name, dtype):
    case = make(dtype, name)
    expected = call(case, argument.interface)
    got = call(case, argument.interface, only(argument, LAYOUTS[layout]))
    if in_another_order(argument, layout):
        for ours, theirs in zip(got, expected, strict=True):
            assert_close(ours, theirs, "layout")
    else:
        assert_same_bits(got, expected)


@every_dtype
@pytest.mark.parametrize("layout", LAYOUTS)
def test_all_arguments_in_one_layout(layout, dtype):
    case = make(dtype)
    for interface in ("lstm", "LSTM"):
        expected = call(case, interface)
        got = call(case, interface, lambda _name, value: LAYOUTS[layout](value))
        for ours, theirs in zip(got[:3], expected[:3], strict=True):
            assert_close(ours, theirs, "layout")


@every_dtype
@few_of("axis", [0, 1, 2], [0])
@every_argument
def test_broadcast(argument, axis, dtype):
    """An axis of stride 0: one element, row or matrix is read at every index."""
    case = make(dtype)

    def repeated(value):
        along = min(axis, value.ndim - 1)
        return np.broadcast_to(value.take([0], along), value.shape)

    def copied(value):
        return np.ascontiguousarray(repeated(value))

    got = call(case, argument.interface, only(argument, repeated))
    assert_same_bits(got, call(case, argument.interface, only(argument, copied)))


@every_dtype
@pytest.mark.parametrize("offer", OFFERS)
@every_argument
def test_what_offers_an_array(argument, offer, dtype):
    case = make(dtype)
    got = call(case, argument.interface, only(argument, OFFERS[offer]))
    assert_same_bits(got, call(case, argument.interface))


@every_argument
def test_nested_lists_count_as_float64(argument):
    case = make(np.float64)
    got = call(case, argument.interface, only(argument, np.ndarray.tolist))
    assert_same_bits(got, call(case, argument.interface))


@every_dtype
@pytest.mark.parametrize("mode", ["r", "c"])
@every_argument
def test_memory_mapped_files(argument, mode, dtype, tmp_path):
    case = make(dtype)
    paths = []

    def mapped(value):
        paths.append(tmp_path / f"{len(paths)}.bin")
        paths[-1].write_bytes(value.tobytes())
        return np.memmap(paths[-1], value.dtype, mode, shape=value.shape)

    got = call(case, argument.interface, only(argument, mapped))
    assert paths
    assert_same_bits(got, call(case, argument.interface))


ONE_AXIS = {"lstm.b_ih", "lstm.b_hh", "LSTM.w"}
TWO_AXES = {"lstm.w_ih", "lstm.w_hh", "packed.input", "transposed.w_ih", "transposed.w_hh"}


def arguments_in(names):
    return pytest.mark.parametrize("argument", [a for a in ARGUMENTS if str(a) in names], ids=str)


@every_dtype
@arguments_in(ONE_AXIS)
def test_array_array(argument, dtype):
    case = make(dtype)
    code = "f" if dtype == np.float32 else "d"
    got = call(case, argument.interface, only(argument, lambda value: array.array(code, value)))
    assert_same_bits(got, call(case, argument.interface))


@every_dtype
@arguments_in(TWO_AXES | {"LSTM.w"})
def test_numpy_matrix(argument, dtype):
    case = make(dtype)
    got = call(case, argument.interface, only(argument, lambda value: value.view(np.matrix)))
    expected = call(case, argument.interface)
    assert_same_bits(got, expected)
    assert all(type(ours) is np.ndarray for ours in got)


SIZES = np.array(packed_sizes(make()))
BATCH_SIZES = {
    "tuple": tuple(SIZES.tolist()),
    "list of NumPy ints": list(SIZES),
    "uint8": SIZES.astype(np.uint8),
    "byte_swapped": SIZES.astype(">i4"),
    "every_other": np.repeat(SIZES, 2)[::2],
    "backwards": backwards(SIZES),
    "read_only": read_only(SIZES),
    "odd_offset": at_offset(SIZES, 1),
    "__array__": ArrayOnly(SIZES),
    "__dlpack__": DlpackOnly(SIZES),
    "memoryview": memoryview(SIZES),
    "array.array": array.array("q", SIZES.tolist()),
}


@pytest.mark.parametrize("kind", BATCH_SIZES)
def test_batch_sizes(kind):
    case = make()
    arguments = (packed_rows(case), (case.h0, case.c0), case.all_weights, 2, 0.0, False, True)
    got = lstm_native.lstm(*arguments, batch_sizes=BATCH_SIZES[kind])
    assert_same_bits(got, call(case, "packed"))


def state_arrays(state):
    return [
        state.astype(np.uint64),
        state.astype(">i8"),
        np.repeat(state, 2, axis=0)[::2],
        backwards(state),
        read_only(state),
        at_offset(state, 1),
        np.asfortranarray(np.hstack([state, state]))[:, :1],
        ArrayOnly(state),
        DlpackOnly(state),
        memoryview(state),
        state.view(np.matrix),
        state.tolist(),
    ]


def test_state():
    case = make()
    net = operator_for(case, dropout=0.5)
    arguments = (case.x, case.h0, case.c0, flat_weight(case))
    first = net(*arguments)
    assert np.any(net(*arguments)[0] != first[0])
    for state in state_arrays(first[4]):
        assert_same_bits(net(*arguments, state=state), first)


def own_memory(value):
    """The array that a view's memory belongs to."""
    while isinstance(value.base, np.ndarray):
        value = value.base
    return value


@every_dtype
@pytest.mark.parametrize("layout", ["as_is", *LAYOUTS])
@few_of("interface", INTERFACES, ["lstm", "LSTM"])
def test_no_input_is_written_to(interface, layout, dtype):
    case = make(dtype)
    handed_in = []

    def watched(_name, value):
        laid_out = LAYOUTS.get(layout, np.copy)(value)
        handed_in.append((own_memory(laid_out), own_memory(laid_out).tobytes()))
        return laid_out

    results = call(case, interface, watched)
    assert len(handed_in) == (4 if interface == "LSTM" else 3 + len(case.all_weights))
    for memory, before in handed_in:
        assert memory.tobytes() == before
        assert not any(np.may_share_memory(memory, ours) for ours in results)


@every_dtype
def test_no_input_is_written_to_while_training(dtype):
    case = make(dtype)
    arrays = [case.x, case.h0, case.c0, flat_weight(case)]
    net = operator_for(case, dropout=0.5)
    arrays.append(net(*arrays)[4])
    before = [value.tobytes() for value in arrays]
    for value in arrays:
        value.flags.writeable = False
    net(*arrays[:4], state=arrays[4])
    assert [value.tobytes() for value in arrays] == before


# N = 0: T, I, H and the numbers of states as ever, and no element in any but the weights.
EMPTY_LAYOUTS = {
    "as_is": np.copy,
    "backwards": lambda value: value[::-1],
    "every_other": every_other,
    "fortran": np.asfortranarray,
    "read_only": read_only,
    "byte_swapped": other_byte_order,
    "odd_offset": lambda value: at_offset(value, 1),
    "sliced": lambda value: np.repeat(value, 2, axis=1)[:, ::2],
    "__array__": ArrayOnly,
}


@every_dtype
@pytest.mark.parametrize("layout", EMPTY_LAYOUTS)
@few_of("interface", ["lstm", "transposed", "batch_first", "LSTM"], ["lstm", "LSTM"])
@few_of("name", CASE_NAMES, CASE_NAMES[:1])
def test_empty_batch(name, interface, layout, dtype):
    shape = shapes_by_name()[name]
    full = make_case(shape, dtype)
    case = type(full)(shape, full.x[:, :0], full.h0[:, :0], full.c0[:, :0], full.all_weights)
    laid_out = EMPTY_LAYOUTS[layout]
    got = call(
        case,
        interface,
        lambda name, value: laid_out(value) if name in ("input", "h", "c") else value,
    )
    states = (shape.num_layers * shape.num_directions, 0, shape.hidden_size)
    features = shape.num_directions * shape.hidden_size
    steps = (0, shape.seq_len) if interface == "batch_first" else (shape.seq_len, 0)
    assert [ours.shape for ours in got[:3]] == [(*steps, features), states, states]
    assert {ours.dtype for ours in got[:3]} == {np.dtype(dtype)}
    if interface == "LSTM":
        assert got[3].shape == (operator_for(case).reserve_size(shape.seq_len, 0), 1)


@every_dtype
def test_empty_batch_with_dropout(dtype):
    shape = shapes_by_name()[CASE_NAMES[0]]
    full = make_case(shape, dtype)
    empty = (full.x[:, :0], full.h0[:, :0], full.c0[:, :0])
    output, *_ = operator_for(full, dropout=0.5)(*empty, flat_weight(full))
    assert output.shape == (shape.seq_len, 0, 2 * shape.hidden_size)


def refused(argument, function, dtype=np.float32):
    """The exception for one argument put through `function`."""
    case = make(dtype)
    with pytest.raises(Exception, match="expected") as caught:
        call(case, argument.interface, only(argument, function))
    return caught.value


OTHER_DTYPES = {
    "float16": np.float16,
    "int8": np.int8,
    "int64": np.int64,
    "uint32": np.uint32,
    "bool": bool,
    "complex64": np.complex64,
    "complex128": np.complex128,
    "longdouble": np.longdouble,
    "str": "U8",
    "bytes": "S8",
    "object": object,
    "timedelta": "m8[s]",
    "records": [("value", np.float32)],
}


@pytest.mark.parametrize("other", OTHER_DTYPES)
@few_of("argument", ARGUMENTS, FEW_ARGUMENTS[:1], ids=str)
def test_other_dtypes_are_refused(argument, other):
    dtype = np.dtype(OTHER_DTYPES[other])
    error = refused(argument, lambda value: np.zeros(value.shape, dtype))
    assert type(error) is TypeError
    origin = " from a numpy.ndarray" if other == "object" else ""
    expected = f"{argument.label}: expected dtype float32 or float64, got {dtype}{origin}"
    assert str(error) == expected


@pytest.mark.parametrize("swapped", [False, True], ids=["native", "byte_swapped"])
@every_dtype
@every_argument
def test_mixed_dtypes_are_refused(argument, dtype, swapped):
    other = np.float64 if dtype == np.float32 else np.float32

    def convert(value):
        converted = value.astype(other)
        return other_byte_order(converted) if swapped else converted

    error = refused(argument, convert, dtype)
    assert type(error) is TypeError
    # Of two that disagree, the message names the one that is not `input`.
    if argument.name == "input":
        first = "h" if argument.interface == "LSTM" else "all_weights[0] (w_ih of layer 0, forward)"
        label, wanted, got = first, other, dtype
    else:
        label, wanted, got = argument.label, dtype, other
    expected = f"{label}: expected dtype {np.dtype(wanted)}, the same as input, got {np.dtype(got)}"
    assert str(error) == expected


@every_argument
def test_one_number_is_refused(argument):
    error = refused(argument, lambda _value: np.array(1, np.float32))
    assert type(error) is ValueError
    assert str(error).startswith(f"{argument.label}: expected ")
    assert "()" in str(error)


@pytest.mark.parametrize("mask", [np.ma.nomask, False, True])
@every_argument
def test_masked_arrays_are_refused(argument, mask):
    error = refused(argument, lambda value: np.ma.masked_array(value, mask))
    assert type(error) is TypeError
    assert str(error).startswith(f"{argument.label}: expected an array without a mask, got a ")


class Raises:
    def __init__(self, error):
        self._error = error

    def __array__(self, dtype=None, copy=None):
        raise self._error


@pytest.mark.parametrize(
    ("raised", "becomes"),
    [
        (RuntimeError("its reason"), TypeError),
        (TypeError("its reason"), TypeError),
        (ValueError("its reason"), ValueError),
        (BufferError("its reason"), TypeError),
    ],
    ids=lambda error: getattr(error, "__name__", type(error).__name__),
)
@every_argument
def test_an_array_method_that_raises(argument, raised, becomes):
    error = refused(argument, lambda _value: Raises(raised))
    assert type(error) is becomes
    assert str(error).startswith(f"{argument.label}: expected an array, got a ")
    assert str(error).endswith("Raises: its reason")
    assert error.__cause__ is raised


@pytest.mark.parametrize("raised", [MemoryError("no room"), KeyboardInterrupt()], ids=repr)
def test_what_is_no_mistake_of_the_caller_passes_through(raised):
    case = make(name="ones")
    with pytest.raises(type(raised)) as caught:
        call(case, "lstm", lambda name, value: Raises(raised) if name == "input" else value)
    assert caught.value is raised


class OnDevice(DlpackOnly):
    def __init__(self, value, device):
        super().__init__(value)
        self._device = device

    def __dlpack_device__(self):
        return self._device, 0


@pytest.mark.parametrize("device", [2, 8, 10], ids=["CUDA", "Metal", "ROCm"])
@every_argument
def test_memory_of_another_device_is_refused(argument, device):
    error = refused(argument, lambda value: OnDevice(value, device))
    assert type(error) is TypeError
    assert str(error).startswith(f"{argument.label}: expected an array, got a ")
    hint = '; device="cuda" takes it' if device == 2 else ""
    assert str(error).endswith(f"on DLPack device type {device}, not on the CPU{hint}")


class HalfDlpack:
    def __dlpack__(self, **_options):
        raise AssertionError("the device is asked for first")


@every_argument
def test_dlpack_without_a_device_is_refused(argument):
    error = refused(argument, lambda _value: HalfDlpack())
    assert type(error) is TypeError
    assert str(error).startswith(f"{argument.label}: expected an array, got a ")


@pytest.fixture
def torch():
    return pytest.importorskip("torch", reason="PyTorch is not installed: make parity runs these")


TENSORS = {
    "contiguous": lambda tensor: tensor.contiguous(),
    "transposed": lambda tensor: tensor.mT.contiguous().mT if tensor.ndim > 1 else tensor,
    "every_other": lambda tensor: tensor.repeat_interleave(2, -1)[..., ::2],
    "expanded": lambda tensor: tensor[:1].expand(tensor.shape),
    "parameter": lambda tensor: tensor.requires_grad_().detach(),
}


@pytest.mark.parity
@pytest.mark.parametrize("kind", TENSORS)
@pytest.mark.parametrize("argument", FEW_ARGUMENTS, ids=str)
def test_torch_tensors(argument, kind, torch):
    case = make()

    def tensor(value):
        return TENSORS[kind](torch.from_numpy(value.copy()))

    got = call(case, argument.interface, only(argument, tensor))
    copied = only(argument, lambda value: np.ascontiguousarray(tensor(value).numpy()))
    expected = call(case, argument.interface, copied)
    if kind == "transposed" and argument.name in ("w_ih", "w_hh"):
        for ours, theirs in zip(got, expected, strict=True):
            assert_close(ours, theirs, "layout")
    else:
        assert_same_bits(got, expected)


@pytest.mark.parity
@pytest.mark.parametrize("argument", FEW_ARGUMENTS, ids=str)
def test_torch_tensors_that_are_refused(argument, torch):
    for make, reason in (
        (lambda value: torch.from_numpy(value.copy()).requires_grad_(), "requires grad"),
        (lambda value: torch.from_numpy(value).bfloat16(), "BFloat16"),
        (lambda value: torch.empty(value.shape, device="meta"), "meta"),
        (lambda value: torch.from_numpy(value).to_sparse(), "to_dense"),
    ):
        error = refused(argument, make)
        assert type(error) is TypeError
        assert str(error).startswith(f"{argument.label}: expected an array, got a torch.Tensor: ")
        assert reason in str(error)
    error = refused(argument, lambda value: torch.from_numpy(value).half())
    assert str(error) == f"{argument.label}: expected dtype float32 or float64, got float16"


@pytest.mark.parity
def test_torch_batch_sizes_and_state(torch):
    case = make()
    x = torch.from_numpy(case.x)
    packed = torch.nn.utils.rnn.pack_padded_sequence(x, torch.tensor([5, 3]))
    arguments = ((case.h0, case.c0), case.all_weights, 2, 0.0, False, True)
    got = lstm_native.lstm(packed.data, *arguments, batch_sizes=packed.batch_sizes)
    expected = lstm_native.lstm(
        packed.data.numpy(), *arguments, batch_sizes=packed.batch_sizes.tolist()
    )
    assert_same_bits(got, expected)
    net = operator_for(case, dropout=0.5)
    first = net(case.x, case.h0, case.c0, flat_weight(case))
    again = net(x, case.h0, case.c0, flat_weight(case), state=torch.from_numpy(first[4]))
    assert_same_bits(again, first)
