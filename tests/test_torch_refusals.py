"""What `lstm_native.torch.LSTM` does not compute, it refuses by name (make parity)."""

import numpy as np
import pytest

from torch_pairs import HIDDEN_SIZE, INPUT_SIZE, LSTM, draw, make_pair, torch

pytestmark = pytest.mark.parity


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"proj_size": HIDDEN_SIZE}, ValueError, "proj_size has to be smaller than hidden_size"),
        ({"device": "cuda:1"}, ValueError, "device: expected the CPU, got cuda:1"),
        (
            {"dtype": torch.complex64},
            TypeError,
            "dtype: expected torch.float32, torch.float64, torch.bfloat16 or torch.float16, "
            "got torch.complex64",
        ),
        ({"num_layers": 0}, ValueError, "num_layers must be greater than zero"),
        ({"dropout": 1.5}, ValueError, "dropout should be a number in range"),
        ({"bias": 1}, TypeError, "bias should be of type bool"),
    ],
)
def test_constructor(options, error, message):
    with pytest.raises(error, match=message):
        LSTM(INPUT_SIZE, HIDDEN_SIZE, **options)


def zeros(*shape, dtype=torch.float64):
    return torch.zeros(shape, dtype=dtype)


X = zeros(4, 3, INPUT_SIZE)
STATE = zeros(1, 3, HIDDEN_SIZE)
WRONG_CALLS = [
    (
        (np.zeros((4, 3, INPUT_SIZE)),),
        TypeError,
        "input: expected a torch.Tensor or a PackedSequence, got ndarray of shape (4, 3, 5)",
    ),
    (
        (X.float(),),
        TypeError,
        "input: expected dtype torch.float64, the same as weight_ih_l0, got torch.float32",
    ),
    (
        (X.to("meta"),),
        ValueError,
        "input: expected a strided tensor on the CPU, got one on meta with layout torch.strided",
    ),
    (
        (X.to_sparse(),),
        ValueError,
        "input: expected a strided tensor on the CPU, got one on cpu with layout torch.sparse_coo",
    ),
    (
        (zeros(4, 3, 6),),
        ValueError,
        "input: expected shape (seq_len, batch, input_size) = (seq_len, batch, 5), "
        "got torch.Size([4, 3, 6])",
    ),
    (
        (zeros(4, 6),),
        ValueError,
        "input: expected shape (seq_len, input_size) = (seq_len, 5), got torch.Size([4, 6])",
    ),
    (
        (zeros(4),),
        ValueError,
        "input: expected shape (seq_len, batch, input_size) = (seq_len, batch, 5), "
        "got torch.Size([4])",
    ),
    (
        (zeros(0, 3, INPUT_SIZE),),
        ValueError,
        "input: expected a seq_len of at least 1, got shape (0, 3, 5)",
    ),
    ((X, STATE), TypeError, "hx: expected a tuple of two tensors (h_0, c_0), got Tensor"),
    ((X, (STATE,)), TypeError, "hx: expected a tuple of two tensors (h_0, c_0), got 1 item(s)"),
    ((X, (STATE, None)), TypeError, "hx[1]: expected a torch.Tensor, got None"),
    (
        (X, (STATE.float(), STATE)),
        TypeError,
        "hx[0] (h_0): expected dtype torch.float64, the same as weight_ih_l0, got torch.float32",
    ),
    (
        (X, (STATE, STATE[:, :2])),
        ValueError,
        "hx[1] (c_0): expected shape (num_layers * num_directions, batch, hidden_size) = "
        "(1, 3, 7), got torch.Size([1, 2, 7])",
    ),
    (
        (X[:, 0], (STATE, STATE)),
        ValueError,
        "hx[0] (h_0): expected shape (num_layers * num_directions, hidden_size) = (1, 7), "
        "got torch.Size([1, 3, 7])",
    ),
    (
        (torch.nn.utils.rnn.pack_sequence([X[:, 0]]), (STATE, STATE)),
        ValueError,
        "hx[0] (h_0): expected shape (num_layers * num_directions, batch, hidden_size) = "
        "(1, 1, 7), got torch.Size([1, 3, 7])",
    ),
]


@pytest.mark.parametrize(("arguments", "error", "message"), WRONG_CALLS)
def test_calls(arguments, error, message):
    ours, _ = make_pair()
    with pytest.raises(error) as refused:
        ours(*arguments)
    assert str(refused.value) == message


def test_parameters_that_were_converted():
    ours, _ = make_pair(num_layers=2, bidirectional=True)
    ours.weight_hh_l1_reverse = torch.nn.Parameter(ours.weight_hh_l1_reverse.half())
    with pytest.raises(TypeError, match=r"weight_hh_l1_reverse: expected .* got torch\.float16"):
        ours(X)
    with pytest.raises(
        ValueError, match=r"input: expected .* on meta, as weight_ih_l0, got one on cpu"
    ):
        LSTM(INPUT_SIZE, HIDDEN_SIZE, device="meta")(X)


def test_a_parameter_of_another_shape():
    ours, _ = make_pair()
    ours.weight_hh_l0 = torch.nn.Parameter(zeros(4 * HIDDEN_SIZE, 3))
    with pytest.raises(ValueError, match=r"w_hh of layer 0, forward\): expected shape"):
        ours(X)


TORCH_SCRIPT_IS_OLD = "ignore:.torch.jit.*is deprecated:DeprecationWarning"


@pytest.mark.filterwarnings(TORCH_SCRIPT_IS_OLD)
def test_torch_script():
    ours, _ = make_pair()
    with pytest.raises(RuntimeError, match=r"by Python, got torch\.jit\.script"):
        torch.jit.script(torch.nn.Sequential(ours))


def test_one_layer_with_dropout_warns_as_theirs():
    with pytest.warns(UserWarning, match="dropout option adds dropout after all but last"):
        ours = LSTM(INPUT_SIZE, HIDDEN_SIZE, dropout=0.5)
    before = torch.get_rng_state()
    ours(draw(4, 3, INPUT_SIZE, dtype=torch.float32))  # no second warning, nothing drawn
    assert torch.equal(before, torch.get_rng_state())


def test_errors_are_of_their_classes_too():
    ours, theirs = make_pair()
    packed = torch.nn.utils.rnn.PackedSequence
    calls = [
        (X.float(),),
        (X, (STATE.float(), STATE)),
        (X, (STATE[:, :2], STATE)),
        (X[:, 0], (STATE, STATE)),
        (X[:, 0], (STATE[:, 0], STATE[:, 0, :2])),
        (zeros(4, 3, 6),),
        (zeros(4),),
        (zeros(0, 3, INPUT_SIZE),),
        (packed(X[:, 0], torch.tensor([2, 1, 1])), (STATE, STATE)),
        (packed(X, torch.tensor([2, 1, 1])),),
    ]
    for arguments in calls:
        with pytest.raises((ValueError, RuntimeError)) as their:
            theirs(*arguments)
        with pytest.raises(their.type):
            ours(*arguments)


@pytest.mark.parametrize(
    ("sizes", "message"),
    [
        ([2**40], r"input: expected shape \(sum\(batch_sizes\), input_size\) = \(1099511627776, "),
        ([], "batch_sizes: expected a sequence of at least one int"),
        ([2, 0, 2], "batch_sizes: expected positive sizes, got 0 at step 1"),
        ([1, 3], "batch_sizes: expected sizes that do not increase, got 1 and then 3 at step 1"),
        ([3, 2], r"input: expected shape .*\(5, 5\), got torch\.Size\(\[4, 5\]\)"),
    ],
)
@pytest.mark.parametrize("hx", [None, (STATE, STATE)], ids=["zeros", "states"])
def test_impossible_batch_sizes(sizes, message, hx):
    ours, _ = make_pair()
    packed = torch.nn.utils.rnn.PackedSequence(X[:, 0], torch.tensor(sizes, dtype=torch.int64))
    with pytest.raises(ValueError, match=message) as refused:
        ours(packed, hx)
    assert isinstance(refused.value, RuntimeError)


@pytest.mark.parametrize("layout", [torch.strided, torch.jagged])
@pytest.mark.filterwarnings("ignore:The PyTorch API of nested tensors:UserWarning")
def test_nested_tensors(layout):
    ours, _ = make_pair()
    nested = torch.nested.nested_tensor([X[:, 0], X[:2, 1]], layout=layout)
    with pytest.raises(TypeError, match="got a nested tensor; pad it by"):
        ours(nested)
