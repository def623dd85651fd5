"""`lstm_native.torch.LSTM` as a module: what it computes, keeps and refuses (make parity)."""

import copy
import inspect
import io
import pickle

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import lstm_native
from calls import assert_same_bits
from torch_pairs import (
    HIDDEN_SIZE,
    INPUT_SIZE,
    LSTM,
    assert_same_results,
    draw,
    flat,
    make_pair,
    torch,
)

pytestmark = pytest.mark.parity

OPTIONS = [
    {},
    {"num_layers": 3, "bias": False},
    {"num_layers": 2, "bidirectional": True, "batch_first": True},
    {"num_layers": 2, "dropout": 0.25, "dtype": torch.float32},
]


@pytest.mark.parametrize("options", OPTIONS, ids=str)
def test_same_seed_same_parameters(options):
    ours, theirs = make_pair(**options)
    assert isinstance(ours, torch.nn.LSTM)
    for (name, mine), (their_name, their) in zip(
        ours.named_parameters(), theirs.named_parameters(), strict=True
    ):
        assert name == their_name
        assert torch.equal(mine, their)
    torch.manual_seed(4)
    ours.reset_parameters()
    after = torch.rand(1)
    torch.manual_seed(4)
    theirs.reset_parameters()
    assert torch.equal(after, torch.rand(1))
    assert all(map(torch.equal, ours.parameters(), theirs.parameters()))
    assert repr(ours) == repr(theirs)
    assert [len(cell) for cell in ours.all_weights] == [len(cell) for cell in theirs.all_weights]
    ours.flatten_parameters()


def test_the_constructor_takes_what_theirs_takes():
    names = list(inspect.signature(LSTM).parameters)
    assert names == [
        *("input_size", "hidden_size", "num_layers", "bias", "batch_first", "dropout"),
        *("bidirectional", "proj_size", "device", "dtype", "weight_dtype"),
    ]
    ours = LSTM(3, 4, 2, False, True, 0.5, True, 0, "cpu", torch.float64)
    theirs = torch.nn.LSTM(3, 4, 2, False, True, 0.5, True, 0, "cpu", torch.float64)
    assert repr(ours) == repr(theirs)
    assert ours.weight_ih_l1_reverse.dtype == torch.float64


@pytest.mark.parametrize("options", OPTIONS, ids=str)
def test_state_dicts_load_both_ways(options):
    ours, theirs = make_pair(**options)
    with torch.no_grad():
        for parameter in ours.parameters():
            parameter.mul_(1.5)
    assert str(theirs.load_state_dict(ours.state_dict())) == "<All keys matched successfully>"
    assert list(ours.state_dict()) == list(theirs.state_dict())
    with torch.no_grad():
        for parameter in theirs.parameters():
            parameter.add_(0.1)
    ours.load_state_dict(theirs.state_dict())
    x = draw(4, 3, INPUT_SIZE, dtype=ours.weight_ih_l0.dtype)
    assert_same_results(ours.eval()(x), theirs.eval()(x))


cases = st.fixed_dictionaries(
    {
        "num_layers": st.integers(1, 3),
        "bias": st.booleans(),
        "batch_first": st.booleans(),
        "bidirectional": st.booleans(),
        "dtype": st.sampled_from([torch.float32, torch.float64]),
    }
)


@given(cases, st.integers(1, 6), st.none() | st.integers(1, 4), st.booleans())
def test_results_are_theirs(options, seq_len, batch, has_states):
    ours, theirs = make_pair(**options)
    dtype = options["dtype"]
    cells = len(ours.all_weights)
    if batch is None:
        x = draw(seq_len, INPUT_SIZE, dtype=dtype)
        shape = (cells, HIDDEN_SIZE)
    else:
        leading = (batch, seq_len) if options["batch_first"] else (seq_len, batch)
        x = draw(*leading, INPUT_SIZE, dtype=dtype)
        shape = (cells, batch, HIDDEN_SIZE)
    hx = None
    if has_states:
        hx = (draw(*shape, dtype=dtype, seed=5), draw(*shape, dtype=dtype, seed=6))
    assert_same_results(ours(x, hx), theirs(x, hx))
    with torch.no_grad():
        assert_same_results(ours(x, hx), theirs(x, hx))


@given(cases, st.lists(st.integers(1, 6), min_size=1, max_size=5), st.booleans())
def test_packed_sequences_in_any_order(options, lengths, has_states):
    ours, theirs = make_pair(**options)
    dtype = options["dtype"]
    padded = draw(len(lengths), max(lengths), INPUT_SIZE, dtype=dtype)
    packed = torch.nn.utils.rnn.pack_padded_sequence(
        padded, torch.tensor(lengths), batch_first=True, enforce_sorted=False
    )
    hx = None
    if has_states:
        shape = (len(ours.all_weights), len(lengths), HIDDEN_SIZE)
        hx = (draw(*shape, dtype=dtype, seed=5), draw(*shape, dtype=dtype, seed=6))
    got, expected = ours(packed, hx), theirs(packed, hx)
    assert_same_results(got, expected)
    for mine, their in zip(got[0][1:], expected[0][1:], strict=True):
        assert torch.equal(mine, their)
    mine, its_lengths = torch.nn.utils.rnn.pad_packed_sequence(got[0])
    assert its_lengths.tolist() == lengths
    assert mine.shape == (max(lengths), len(lengths), expected[0].data.shape[1])


def test_a_sorted_packed_sequence_stays_one():
    ours, theirs = make_pair()
    packed = torch.nn.utils.rnn.pack_sequence([draw(n, INPUT_SIZE, seed=n) for n in (4, 2, 1)])
    got = ours(packed)
    assert got[0].sorted_indices is None
    assert got[0].unsorted_indices is None
    assert_same_results(got, theirs(packed))


def saved(module):
    file = io.BytesIO()
    torch.save(module, file)
    file.seek(0)
    return torch.load(file, weights_only=False)


@pytest.mark.parametrize(
    "copied", [copy.copy, copy.deepcopy, lambda m: pickle.loads(pickle.dumps(m)), saved]
)
def test_copies_compute_the_same(copied):
    ours, _ = make_pair(num_layers=2, bidirectional=True)
    x = draw(4, 3, INPUT_SIZE)
    twin = copied(ours)
    assert type(twin) is LSTM
    assert twin.weight_hh_l1_reverse.requires_grad
    assert all(map(torch.equal, flat(ours(x)), flat(twin(x))))
    with torch.no_grad():
        ours.weight_hh_l0.add_(1.0)
    is_shared = copied is copy.copy
    assert torch.equal(ours.weight_hh_l0, twin.weight_hh_l0) == is_shared
    assert torch.equal(flat(ours(x))[0], flat(twin(x))[0]) == is_shared


def test_weights_may_be_replaced():
    ours, theirs = make_pair(dtype=torch.float32)
    x = draw(4, 3, INPUT_SIZE)
    assert_same_results(ours.double()(x), theirs.double()(x))
    for module in (ours, theirs):
        module.weight_hh_l0 = torch.nn.Parameter(torch.ones(4 * HIDDEN_SIZE, HIDDEN_SIZE).double())
    assert_same_results(ours(x), theirs(x))
    others = {name: 0.5 * weight for name, weight in ours.named_parameters()}
    call = torch.func.functional_call
    assert_same_results(call(ours, others, (x,)), call(theirs, others, (x,)))
    for module in (ours, theirs):
        torch.nn.utils.parametrizations.weight_norm(module, "weight_hh_l0")
    assert_same_results(ours(x), theirs(x))


def test_weights_are_read_anew_at_each_call():
    ours, theirs = make_pair()
    x = draw(4, 3, INPUT_SIZE)
    with torch.no_grad():
        ours(x)
        for module in (ours, theirs):
            module.weight_hh_l0.data.mul_(-1.0)  # this leaves no trace in the version
        assert_same_results(ours(x), theirs(x))


def test_threads_are_those_of_both(monkeypatch):
    from lstm_native._torch import kernels  # noqa: PLC0415

    asked = []

    def spied(function):
        def spy(call, *rest, **options):
            asked.append(call.problem.threads)
            return function(call, *rest, **options)

        return spy

    for name in ("run_forward", "Pullback"):
        monkeypatch.setattr(kernels, name, spied(getattr(kernels, name)))
    ours, _ = make_pair()
    before = torch.get_num_threads()
    try:
        for torch_threads, our_threads in ((1, 3), (3, 2)):
            torch.set_num_threads(torch_threads)
            lstm_native.set_num_threads(our_threads)
            output, _ = ours(draw(2, 1, INPUT_SIZE))
            torch.set_num_threads(1)  # as backward finds it
            output.sum().backward()
    finally:
        torch.set_num_threads(before)
    assert asked == [1, 1, 2, 1]


def test_empty_batches_are_empty():
    ours, _ = make_pair(bidirectional=True)
    output, (h_n, c_n) = ours(torch.empty(4, 0, INPUT_SIZE, dtype=torch.float64))
    assert output.shape == (4, 0, 2 * HIDDEN_SIZE)
    assert h_n.shape == c_n.shape == (2, 0, HIDDEN_SIZE)


def test_results_equal_those_of_the_function():
    ours, _ = make_pair(num_layers=2, dtype=torch.float32)
    x = draw(4, 3, INPUT_SIZE, dtype=torch.float32)
    weights = [weight.detach() for weight in ours.parameters()]
    zeros = np.zeros((2, 3, HIDDEN_SIZE), np.float32)
    expected = lstm_native.lstm(x, (zeros, zeros), weights, 2, 0.0, False, False)
    assert_same_bits([part.detach().numpy() for part in flat(ours(x))], expected)
