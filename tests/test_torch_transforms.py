"""`lstm_native.torch.LSTM` under torch.func, and its second derivatives (make parity)."""

from functools import partial

import pytest

from torch_pairs import (
    HIDDEN_SIZE,
    INPUT_SIZE,
    LSTM,
    assert_same_gradients,
    draw,
    flat,
    make_pair,
    torch,
)

pytestmark = pytest.mark.parity

# PyTorch itself uses TorchScript for forward mode.
SCRIPTED = "ignore:.torch.jit.*is deprecated:DeprecationWarning"
OPTIONS = [
    {},
    {"num_layers": 2, "bias": False, "batch_first": True},
    {"num_layers": 2, "bidirectional": True},
]


def leaf(*shape, seed=2):
    return draw(*shape, seed=seed, requires_grad=True)


def parameters_of(module):
    return {name: parameter.detach() for name, parameter in module.named_parameters()}


def call(module, parameters, *arguments):
    return torch.func.functional_call(module, parameters, arguments)


def assert_both(function, **options):
    """Compare what a function of a module returns, for ours and theirs: a tree of tensors."""
    got, expected = (
        torch.utils._pytree.tree_leaves(function(module)) for module in make_pair(**options)
    )
    assert len(got) == len(expected) > 0
    assert_same_gradients([t.detach() for t in got], [t.detach() for t in expected])


@pytest.mark.filterwarnings(SCRIPTED)
@pytest.mark.parametrize("options", OPTIONS, ids=str)
@pytest.mark.parametrize("transform", [torch.func.grad, torch.func.jacrev, torch.func.hessian])
def test_derivatives_of_a_function(transform, options):
    x = draw(2, 2, INPUT_SIZE)

    def function(module):
        def loss(parameters, x):
            return call(module, parameters, x)[0].square().sum()

        if transform is torch.func.hessian:
            return transform(loss, argnums=1)(parameters_of(module), x)
        return transform(loss, argnums=(0, 1))(parameters_of(module), x)

    assert_both(function, **options)


def test_vjp_and_jacobians_of_all_results():
    x = draw(3, 2, INPUT_SIZE)

    def function(module):
        results, pullback = torch.func.vjp(lambda x: flat(module(x)), x)
        jacobian = torch.func.jacrev(lambda x: flat(module(x)))(x)
        return results, pullback(tuple(map(torch.ones_like, results))), jacobian

    assert_both(function, num_layers=2)


def one_by_one(function, x, dim=0):
    """What vmap must return: PyTorch has no batching rule for its own LSTM."""
    results = [function(part) for part in x.unbind(dim)]
    return [torch.stack(parts) for parts in zip(*results, strict=True)]


@pytest.mark.parametrize("options", OPTIONS, ids=str)
@pytest.mark.parametrize("in_dim", [0, 1, 2])
def test_vmap_over_inputs(options, in_dim):
    ours, theirs = make_pair(**options)
    x = draw(3, 3, 3, INPUT_SIZE)
    state = draw(len(ours.all_weights), 3, HIDDEN_SIZE, seed=5)
    cases = [
        (lambda module, x: flat(module(x)), x, in_dim),
        (lambda module, x: flat(module(x, (state, state))), x, in_dim),
        (lambda module, h: flat(module(x[0], (h, state))), torch.stack([state, 2 * state]), 0),
    ]
    for function, batch, dim in cases:
        on_ours, on_theirs = partial(function, ours), partial(function, theirs)
        expected = one_by_one(on_theirs, batch, dim)
        results = torch.func.vmap(on_ours, in_dims=dim)(batch)
        assert_same_gradients(*([t.detach() for t in each] for each in (results, expected)))
        assert_same_gradients(
            *(
                torch.autograd.grad(sum(t.square().sum() for t in each), list(m.parameters()))
                for each, m in ((results, ours), (expected, theirs))
            )
        )
        with torch.no_grad():
            again = torch.func.vmap(on_ours, in_dims=dim)(batch)
        assert_same_gradients(again, [t.detach() for t in expected])


def test_vmap_without_gradients_is_one_call(monkeypatch):
    from lstm_native._torch import kernels  # noqa: PLC0415

    shapes = []
    forward = kernels.forward

    def spy(tensors, *rest):
        shapes.append(tuple(tensors.input.shape))
        return forward(tensors, *rest)

    monkeypatch.setattr(kernels, "forward", spy)
    ours, _ = make_pair()
    with torch.no_grad():
        torch.func.vmap(lambda x: ours(x)[0])(draw(6, 4, 3, INPUT_SIZE))
    assert shapes == [(4, 18, INPUT_SIZE)]


def test_vmap_over_packed_sequences():
    ours, theirs = make_pair(bidirectional=True)
    batch_sizes = torch.tensor([3, 2, 1])

    def results(module, rows):
        return flat(module(torch.nn.utils.rnn.PackedSequence(rows, batch_sizes)))

    x = draw(4, 6, INPUT_SIZE)
    with torch.no_grad():
        got = torch.func.vmap(lambda rows: results(ours, rows))(x)
        assert_same_gradients(got, one_by_one(lambda rows: results(theirs, rows), x))


def test_gradients_per_sample():
    ours, theirs = make_pair(num_layers=2)
    x = draw(6, 4, INPUT_SIZE)

    def loss(parameters, x):
        return call(ours, parameters, x.unsqueeze(1))[0].square().mean()

    def their_gradients(x):
        return torch.autograd.grad(theirs(x)[0].square().mean(), list(theirs.parameters()))

    got = torch.func.vmap(torch.func.grad(loss), in_dims=(None, 0))(parameters_of(ours), x)
    assert_same_gradients(got.values(), one_by_one(their_gradients, x))


def test_second_derivatives_per_sample():
    ours, theirs = make_pair()
    x = draw(3, 2, 1, INPUT_SIZE)
    per_sample = torch.func.jacrev(torch.func.jacrev(lambda x: ours(x)[0].sum()))
    expected = [torch.autograd.functional.hessian(lambda x: theirs(x)[0].sum(), part) for part in x]
    got = torch.func.vmap(per_sample)(x).detach()
    assert_same_gradients([got], [torch.stack(expected)])


def test_stacked_weights():
    x = draw(4, 3, INPUT_SIZE)
    ours = [LSTM(INPUT_SIZE, HIDDEN_SIZE, dtype=torch.float64) for _ in range(3)]
    parameters, _ = torch.func.stack_module_state(ours)
    results = torch.func.vmap(lambda p, x: flat(call(ours[0], p, x)), in_dims=(0, None))(
        parameters, x
    )
    for index, module in enumerate(ours):
        for result, expected in zip(results, flat(module(x)), strict=True):
            assert torch.equal(result[index], expected)
    loss = results[0].square().sum()
    gradients = torch.autograd.grad(loss, list(parameters.values()))
    expected = [
        torch.autograd.grad(module(x)[0].square().sum(), list(module.parameters()))
        for module in ours
    ]
    assert_same_gradients(gradients, [torch.stack(each) for each in zip(*expected, strict=True)])


def test_masks_under_vmap():
    ours, _ = make_pair(num_layers=2, dropout=0.5)
    x = draw(4, 3, INPUT_SIZE).expand(3, -1, -1, -1)

    def outputs(randomness):
        return torch.func.vmap(lambda x: ours(x)[0], randomness=randomness)(x)

    same, different = outputs("same"), outputs("different")
    assert torch.equal(same[0], same[1])
    assert not torch.equal(different[0], different[1])
    with pytest.raises(RuntimeError, match="randomness"):
        outputs("error")


@pytest.mark.parametrize("options", OPTIONS, ids=str)
@pytest.mark.parametrize("create_graph", [False, True])
def test_batched_gradients(options, create_graph):
    x = leaf(3, 2, INPUT_SIZE)

    def function(module):
        output, (_, c_n) = module(x)
        return torch.autograd.grad(
            (output, c_n),
            [x, *module.parameters()],
            (draw(5, *output.shape, seed=7), draw(5, *c_n.shape, seed=8)),
            is_grads_batched=True,
            create_graph=create_graph,
        )

    assert_both(function, **options)


@pytest.mark.parametrize("vectorize", [False, True])
def test_functional_jacobians(vectorize):
    x = draw(2, 2, INPUT_SIZE)
    functional = torch.autograd.functional

    def function(module):
        jacobian = functional.jacobian(lambda x: flat(module(x)), x, vectorize=vectorize)
        hessian = functional.hessian(lambda x: module(x)[0].square().sum(), x, vectorize=vectorize)
        return jacobian, hessian

    assert_both(function)


@pytest.mark.parametrize("options", OPTIONS, ids=str)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_second_derivatives(options, dtype):
    x, state = (t.to(dtype) for t in (draw(3, 3, INPUT_SIZE), draw(1, 3, HIDDEN_SIZE)))

    def function(module):
        cells = len(module.all_weights)
        leaves = [x.clone().requires_grad_()]
        leaves += [(k * state).expand(cells, -1, -1).clone().requires_grad_() for k in (1, 2)]
        leaves += module.parameters()
        output, (h_n, c_n) = module(leaves[0], tuple(leaves[1:3]))
        loss = output.square().sum() + h_n.sum() * c_n.sum()
        first = torch.autograd.grad(loss, leaves, create_graph=True)
        second = torch.autograd.grad(sum(g.square().sum() for g in first), leaves)
        return first, second

    assert_both(function, dtype=dtype, **options)


def test_second_derivatives_of_packed_sequences():
    rows, batch_sizes = leaf(6, INPUT_SIZE), torch.tensor([3, 2, 1])

    def function(module):
        packed = torch.nn.utils.rnn.PackedSequence(rows, batch_sizes)
        leaves = [rows, *module.parameters()]
        first = torch.autograd.grad(module(packed)[0].data.sum(), leaves, create_graph=True)
        return torch.autograd.grad(sum(g.square().sum() for g in first), leaves)

    assert_both(function, num_layers=2, bidirectional=True)


def test_second_derivatives_with_dropout():
    for batch_first in (False, True):
        ours, _ = make_pair(2, 3, num_layers=3, dropout=0.5, batch_first=batch_first)
        x = leaf(2, 3, 2)

        def results(x, *weights, module=ours):
            torch.manual_seed(7)
            names = [name for name, _ in module.named_parameters()]
            return flat(call(module, dict(zip(names, weights, strict=True)), x))

        # Against random directions: one by one, they take ten times as long.
        assert torch.autograd.gradgradcheck(results, (x, *ours.parameters()), fast_mode=True)


def test_third_derivatives():
    x = leaf(2, 1, INPUT_SIZE)

    def function(module):
        gradient = module(x)[0].square().sum()
        for _ in range(3):
            (gradient,) = torch.autograd.grad(gradient, x, create_graph=True)
            gradient = gradient.square().sum()
        return gradient

    assert_both(function)


@pytest.mark.filterwarnings(SCRIPTED)
def test_forward_mode():
    x, tangent = draw(4, 3, INPUT_SIZE), draw(4, 3, INPUT_SIZE, seed=8)

    def function(module):
        return torch.func.jvp(lambda x: flat(module(x)), (x,), (tangent,))

    assert_both(function, num_layers=2)
