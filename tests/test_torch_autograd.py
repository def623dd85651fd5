"""`lstm_native.torch.LSTM` in autograd: gradients, what is kept for them, without copies."""

import gc
import tracemalloc

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lstm_native import _run
from torch_pairs import (
    HIDDEN_SIZE,
    INPUT_SIZE,
    assert_same_gradients,
    draw,
    flat,
    gradients,
    make_pair,
    torch,
)

pytestmark = pytest.mark.parity

options_of_a_module = st.fixed_dictionaries(
    {
        "num_layers": st.integers(1, 3),
        "bias": st.booleans(),
        "batch_first": st.booleans(),
        "bidirectional": st.booleans(),
        "dtype": st.sampled_from([torch.float32, torch.float64]),
    }
)


def leaf(*shape, dtype=torch.float64, seed=2):
    return draw(*shape, dtype=dtype, seed=seed, requires_grad=True)


@given(options_of_a_module, st.integers(1, 6), st.integers(1, 4))
def test_gradients_are_theirs(options, seq_len, batch):
    ours, theirs = make_pair(**options)
    dtype = options["dtype"]
    leading = (batch, seq_len) if options["batch_first"] else (seq_len, batch)
    x = leaf(*leading, INPUT_SIZE, dtype=dtype)
    shape = (len(ours.all_weights), batch, HIDDEN_SIZE)
    hx = leaf(*shape, dtype=dtype, seed=5), leaf(*shape, dtype=dtype, seed=6)
    got, expected = (
        gradients(module(x, hx), [x, *hx, *module.parameters()]) for module in (ours, theirs)
    )
    assert_same_gradients(got, expected)


@given(options_of_a_module, st.lists(st.integers(1, 6), min_size=1, max_size=5))
def test_gradients_through_packed_sequences_in_any_order(options, lengths):
    ours, theirs = make_pair(**options)
    dtype = options["dtype"]
    padded = leaf(len(lengths), max(lengths), INPUT_SIZE, dtype=dtype)
    shape = (len(ours.all_weights), len(lengths), HIDDEN_SIZE)
    hx = leaf(*shape, dtype=dtype, seed=5), leaf(*shape, dtype=dtype, seed=6)
    results = []
    for module in (ours, theirs):
        packed = torch.nn.utils.rnn.pack_padded_sequence(
            padded, torch.tensor(lengths), batch_first=True, enforce_sorted=False
        )
        results.append(gradients(module(packed, hx), [padded, *hx, *module.parameters()]))
    assert_same_gradients(*results)


def test_gradients_without_a_batch():
    ours, theirs = make_pair(num_layers=2, bidirectional=True, batch_first=True)
    x = leaf(6, INPUT_SIZE)
    hx = leaf(4, HIDDEN_SIZE, seed=5), leaf(4, HIDDEN_SIZE, seed=6)
    assert_same_gradients(
        *(gradients(module(x, hx), [x, *hx, *module.parameters()]) for module in (ours, theirs))
    )


def test_gradcheck():
    ours, _ = make_pair(2, 3, num_layers=2, bidirectional=True)
    x, h_0, c_0 = leaf(3, 2, 2), leaf(4, 2, 3, seed=5), leaf(4, 2, 3, seed=6)

    def results(x, h_0, c_0, *weights):
        names = dict(zip([name for name, _ in ours.named_parameters()], weights, strict=True))
        return flat(torch.func.functional_call(ours, names, (x, (h_0, c_0))))

    assert torch.autograd.gradcheck(results, (x, h_0, c_0, *ours.parameters()))


@pytest.mark.parametrize(
    "loss",
    [
        lambda output, h_n, c_n: output.sum(),  # a gradient with strides of zero
        lambda output, h_n, c_n: output[-1, :, 2].sum(),
        lambda output, h_n, c_n: output.transpose(0, 2).square().sum(),
        lambda output, h_n, c_n: h_n[0].square().sum(),
        lambda output, h_n, c_n: c_n.sum(0).square().sum() + output[1].sum(),
        lambda output, h_n, c_n: (output.sum(0).expand(3, -1, -1) * h_n.sum()).sum(),
    ],
)
def test_gradients_of_any_layout_come_in(loss):
    ours, theirs = make_pair()
    got, expected = (
        torch.autograd.grad(loss(*flat(module(x))), [x, *module.parameters()])
        for module in (ours, theirs)
        for x in [leaf(4, 3, INPUT_SIZE)]
    )
    assert_same_gradients(got, expected)


@pytest.mark.parametrize(
    "layout",
    [
        lambda t: t.transpose(0, 1).contiguous().transpose(0, 1),
        lambda t: t.flip(-1).repeat_interleave(2, -1)[..., ::2],
        lambda t: t[:, :1].expand(t.shape),
    ],
)
def test_inputs_of_any_layout(layout):
    ours, theirs = make_pair()
    x = leaf(4, 3, INPUT_SIZE)
    assert_same_gradients(
        *(gradients(module(layout(x)), [x, *module.parameters()]) for module in (ours, theirs))
    )


class Spy:
    """Records what the core is given, and what it returns."""

    def __init__(self, monkeypatch, name):
        self.calls = []
        real = getattr(_run.core, name)

        def call(*arguments):
            results = real(*arguments)
            self.calls.append((arguments, results))
            return results

        monkeypatch.setattr(_run.core, name, call)


def same_memory(array, tensor):
    view = tensor.detach().numpy()
    return array.ctypes.data == view.ctypes.data and array.strides == view.strides


def test_nothing_is_copied(monkeypatch):
    ours, _ = make_pair(num_layers=2, dtype=torch.float32)
    forward, backward = Spy(monkeypatch, "forward"), Spy(monkeypatch, "backward_if_plain")
    x = leaf(4, 3, INPUT_SIZE, dtype=torch.float32)
    hx = tuple(leaf(2, 3, HIDDEN_SIZE, dtype=torch.float32, seed=seed) for seed in (5, 6))
    results = flat(ours(x, hx))
    upstream = draw(4, 3, HIDDEN_SIZE, dtype=torch.float32)
    leaves = [x, *hx, *ours.parameters()]
    grads = torch.autograd.grad(results[0], leaves, upstream)
    for (arguments, _), spied in ((forward.calls[0], "forward"), (backward.calls[0], "backward")):
        call = arguments[0]
        taken = [
            call.input,
            call.h_0,
            call.c_0,
            *(w for cell in call.weights for w in cell if w is not None),
        ]
        for array, tensor in zip(taken, leaves, strict=True):
            assert same_memory(array, tensor), spied
    *outputs, kept = forward.calls[0][1]
    assert all(map(same_memory, outputs, results))
    (_, tape, given, _), (*written, d_weights) = backward.calls[0]
    assert np.shares_memory(tape, kept)
    assert same_memory(given[0], upstream)
    assert all(map(same_memory, [*written, *d_weights], grads))


@pytest.mark.parametrize(
    ("required", "computed"),
    [
        (["x"], {"input"}),
        (["h_0"], {"states"}),
        (["c_0"], {"states"}),
        (["bias_hh_l0"], {"weights"}),
        (["x", "c_0", "weight_ih_l0"], {"input", "states", "weights"}),
    ],
)
def test_only_what_requires_a_gradient_is_computed(monkeypatch, required, computed):
    ours, _ = make_pair()
    tensors = {
        "x": draw(4, 3, INPUT_SIZE),
        "h_0": draw(1, 3, HIDDEN_SIZE, seed=5),
        "c_0": draw(1, 3, HIDDEN_SIZE, seed=6),
        **dict(ours.named_parameters()),
    }
    for name, tensor in tensors.items():
        tensor.requires_grad_(name in required)
    backward = Spy(monkeypatch, "backward_if_plain")
    output, _ = ours(tensors["x"], (tensors["h_0"], tensors["c_0"]))
    output.square().sum().backward()
    _, (d_input, d_h, d_c, d_weights) = backward.calls[0]
    results = {"input": d_input, "states": d_h, "weights": d_weights}
    assert {name for name, array in results.items() if array is not None} == computed
    assert (d_h is None) == (d_c is None)
    assert {name for name, tensor in tensors.items() if tensor.grad is not None} == set(required)


def tapes(monkeypatch, run):
    forward = Spy(monkeypatch, "forward")
    run()
    return [results[-1] for _, results in forward.calls]


def frozen_evaluation():
    ours, _ = make_pair()
    ours.eval().requires_grad_(False)
    return ours(draw(4, 3, INPUT_SIZE))


def without_gradients(context):
    ours, _ = make_pair()
    with context():
        return ours(leaf(4, 3, INPUT_SIZE))


@pytest.mark.parametrize(
    "run",
    [
        frozen_evaluation,
        lambda: without_gradients(torch.no_grad),
        lambda: without_gradients(torch.inference_mode),
    ],
    ids=["frozen", "no_grad", "inference_mode"],
)
def test_no_tape_where_no_gradient_can_be_asked_for(monkeypatch, run):
    results = []
    assert tapes(monkeypatch, lambda: results.extend(flat(run()))) == [None]
    assert not any(result.requires_grad for result in results)


def test_a_tape_where_one_tensor_requires_a_gradient(monkeypatch):
    ours, _ = make_pair()
    ours.eval().requires_grad_(False)
    (tape,) = tapes(monkeypatch, lambda: ours(leaf(4, 3, INPUT_SIZE)))
    assert tape.size == 32 + 4 * 3 * 5 * HIDDEN_SIZE


def test_the_tape_is_freed_with_the_graph():
    ours, _ = make_pair(dtype=torch.float32)
    x = draw(1000, 10, INPUT_SIZE, dtype=torch.float32)
    tape_bytes = 4 * (32 + 1000 * 10 * 5 * HIDDEN_SIZE)
    tracemalloc.start()
    try:
        loss = ours(x)[0].sum()
        gc.collect()
        held = tracemalloc.get_traced_memory()[0]
        loss.backward()
        after = tracemalloc.get_traced_memory()[0]
    finally:
        tracemalloc.stop()
    assert loss.grad_fn is not None  # the node is there still
    assert held - after > 0.9 * tape_bytes


def test_a_second_pass_needs_the_graph_kept():
    ours, _ = make_pair()
    loss = ours(draw(4, 3, INPUT_SIZE))[0].square().sum()
    loss.backward(retain_graph=True)
    first = [p.grad.clone() for p in ours.parameters()]
    loss.backward()
    assert all(torch.equal(2 * g, p.grad) for g, p in zip(first, ours.parameters(), strict=True))
    with pytest.raises(RuntimeError, match="backward through the graph a second time"):
        loss.backward()


@pytest.mark.parametrize("changed", ["x", "h_0", "c_0", "weight_hh_l0", "bias_ih_l0"])
def test_a_change_before_backward_is_noticed(changed):
    ours, _ = make_pair()
    x, h_0, c_0 = (draw(4, 3, INPUT_SIZE), *(draw(1, 3, HIDDEN_SIZE) for _ in range(2)))
    loss = ours(x, (h_0, c_0))[0].sum()
    tensors = {"x": x, "h_0": h_0, "c_0": c_0, **dict(ours.named_parameters())}
    with torch.no_grad():
        tensors[changed].mul_(2.0)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        loss.backward()


def test_results_may_be_changed_in_place():
    ours, theirs = make_pair()
    got, expected = [], []
    for module, into in ((ours, got), (theirs, expected)):
        output, (h_n, c_n) = module(draw(4, 3, INPUT_SIZE))
        if module is theirs:  # PyTorch needs its own results unchanged
            output, h_n, c_n = output.clone(), h_n.clone(), c_n.clone()
        output.mul_(2.0)
        h_n.add_(1.0)
        loss = output.square().sum() + h_n.square().sum() + c_n.sum()
        into.extend(torch.autograd.grad(loss, list(module.parameters())))
    assert_same_gradients(got, expected)


def test_saved_tensor_hooks_see_what_is_kept():
    ours, theirs = make_pair(num_layers=2)
    kept = []

    def pack(tensor):
        kept.append(tensor)
        return tensor.clone()

    x = leaf(4, 3, INPUT_SIZE)
    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        result = ours(x)
    tape = 32 + 2 * 4 * 3 * 5 * HIDDEN_SIZE
    weights = [weight.numel() for weight in ours.parameters()]
    assert [t.numel() for t in kept] == [x.numel(), *weights, tape]
    leaves = [x, *ours.parameters()]
    expected = gradients(theirs(x), [x, *theirs.parameters()])
    assert_same_gradients(gradients(result, leaves), expected)


def test_what_hooks_give_back_is_checked_again():
    ours, _ = make_pair()
    x = leaf(4, 3, INPUT_SIZE)

    def gradient(unpack):
        with torch.autograd.graph.saved_tensors_hooks(lambda tensor: tensor, unpack):
            output = ours(x)[0]
        return torch.autograd.grad(output.sum(), x)[0]

    assert torch.equal(gradient(torch.clone), gradient(lambda tensor: tensor))
    for unpack in (lambda tensor: tensor[:-1], lambda tensor: tensor.float()):
        with pytest.raises((TypeError, ValueError)):
            gradient(unpack)


def test_calls_unlike_the_last_one(monkeypatch):
    """A call of the last one's shapes and options is not checked again; others are."""
    from lstm_native._torch import kernels  # noqa: PLC0415

    checked = []
    prepare = kernels.prepare
    monkeypatch.setattr(kernels, "prepare", lambda *a, **b: checked.append(1) or prepare(*a, **b))
    ours, theirs = make_pair(num_layers=2)
    shapes = [(4, 3, INPUT_SIZE)] * 3 + [(4, 2, INPUT_SIZE)] * 2 + [(4, 3, INPUT_SIZE)]
    for shape in shapes:
        results = [
            gradients(each(draw(*shape)), list(each.parameters())) for each in (ours, theirs)
        ]
        assert_same_gradients(*results)
    assert len(checked) == 3
    ours.dropout, checked[:] = 0.5, []
    with pytest.raises(ValueError, match="input: expected shape"):
        ours(draw(4, 3, INPUT_SIZE + 1))
    ours(draw(4, 3, INPUT_SIZE))
    assert len(checked) == 1


def test_checkpointing_runs_it_again():
    ours, _ = make_pair(num_layers=2, dropout=0.5)
    x = leaf(4, 3, INPUT_SIZE)
    torch.manual_seed(7)
    expected = gradients(ours(x), [x, *ours.parameters()])
    torch.manual_seed(7)
    again = torch.utils.checkpoint.checkpoint(ours, x, use_reentrant=False)
    got = gradients(again, [x, *ours.parameters()])
    assert all(map(torch.equal, got, expected))
