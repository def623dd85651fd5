"""`lstm_native.torch.LSTM` as PyTorch's tracers see it: operators in graphs (make parity)."""

import io
import warnings

import pytest

from torch_pairs import (
    HIDDEN_SIZE,
    INPUT_SIZE,
    LSTM,
    assert_same_gradients,
    assert_same_results,
    draw,
    flat,
    gradients,
    make_pair,
    torch,
)

pytestmark = pytest.mark.parity

PACKED = torch.nn.utils.rnn.PackedSequence
OPTIONS = [
    {},
    {"num_layers": 2, "bias": False, "batch_first": True},
    {"num_layers": 2, "bidirectional": True},
]


def arguments_of(module, x, batch_sizes=None, seed=None):
    cells = len(module.all_weights)
    batch = int(batch_sizes[0]) if batch_sizes is not None else x.shape[not module.batch_first]
    states = [draw(cells, batch, HIDDEN_SIZE, seed=s, requires_grad=True) for s in (5, 6)]
    options = (batch_sizes, seed, module.num_layers, module.bidirectional, module.batch_first)
    return x, *states, list(module.parameters()), *options, 0.5 if seed is not None else 0.0


def operator_cases():
    x = draw(4, 3, INPUT_SIZE, requires_grad=True)
    rows = draw(6, INPUT_SIZE, requires_grad=True)
    for options in OPTIONS:
        yield arguments_of(make_pair(**options)[0], x)
    two = make_pair(num_layers=2)[0]
    yield arguments_of(two, rows, batch_sizes=torch.tensor([3, 2, 1]))
    yield arguments_of(two, x, seed=torch.tensor(7))


@pytest.mark.parametrize("case", range(5))
def test_the_operators_pass_pytorchs_checks(case):
    arguments = list(operator_cases())[case]
    operators = torch.ops.lstm_native
    for keep_tape in (False, True):
        torch.library.opcheck(operators.lstm, (*arguments, keep_tape))
    *results, tape = operators.lstm(*arguments, True)
    given = [torch.ones_like(result) for result in results]
    tensors, options = arguments[:4], arguments[4:]
    for needs in ((True, True, True), (True, False, False), (False, False, True)):
        torch.library.opcheck(
            operators.lstm_backward,
            (*given[:2], None, *tensors, tape.detach(), *options, *needs),
            test_utils=("test_schema", "test_autograd_registration", "test_faketensor"),
        )


@pytest.mark.parametrize("options", OPTIONS, ids=str)
def test_shapes_without_values(options):
    from torch._subclasses.fake_tensor import FakeTensorMode  # noqa: PLC0415

    ours, _ = make_pair(**options)
    expected = flat(ours(draw(4, 3, INPUT_SIZE)))
    with FakeTensorMode() as mode:
        module, x = LSTM(INPUT_SIZE, HIDDEN_SIZE, **options), torch.empty(4, 3, INPUT_SIZE)
        fake = flat(module(x))
        fake[0].sum().backward()
        assert module.weight_hh_l0.grad.shape == ours.weight_hh_l0.shape
        from_real = flat(make_fake(ours, mode)(mode.from_tensor(draw(4, 3, INPUT_SIZE))))
    meta = flat(ours.to("meta")(draw(4, 3, INPUT_SIZE).to("meta")))
    for results in (fake, from_real, meta):
        assert [r.shape for r in results] == [r.shape for r in expected]


def make_fake(module, mode):
    parameters = {name: mode.from_tensor(p) for name, p in module.named_parameters()}
    return lambda x: torch.func.functional_call(module, parameters, (x,))


def test_symbolic_trace_keeps_it_a_leaf():
    ours, theirs = make_pair()

    class Model(torch.nn.Module):
        def __init__(self, lstm):
            super().__init__()
            self.inner = torch.nn.ModuleList([lstm])

        def forward(self, x, h_0, c_0):
            output, (h_n, _) = self.inner[0](x, (h_0, c_0))
            return output.sum() + self.inner[0](x)[0].sum() + h_n.sum()

    traced, expected = (torch.fx.symbolic_trace(Model(lstm)) for lstm in (ours, theirs))
    assert [(n.op, str(n.target)) for n in traced.graph.nodes] == [
        (n.op, str(n.target)) for n in expected.graph.nodes
    ]
    x, state = draw(4, 3, INPUT_SIZE), draw(1, 3, HIDDEN_SIZE)
    assert torch.allclose(traced(x, state, state), expected(x, state, state))


@pytest.mark.parametrize("options", OPTIONS, ids=str)
def test_make_fx_records_operators(options):
    from torch.fx.experimental.proxy_tensor import make_fx  # noqa: PLC0415

    ours, theirs = make_pair(**options)

    def step(x):
        return torch.autograd.grad(ours(x)[0].square().sum(), x)

    x = draw(4, 3, INPUT_SIZE, requires_grad=True)
    traced = make_fx(step)(x)
    targets = [str(node.target) for node in traced.graph.nodes]
    assert targets.count("lstm_native.lstm.default") == 1
    assert targets.count("lstm_native.lstm_backward.default") == 1
    other = draw(4, 3, INPUT_SIZE, seed=9, requires_grad=True)
    expected = torch.autograd.grad(theirs(other)[0].square().sum(), other)
    assert_same_gradients([gradient.detach() for gradient in traced(other)], expected)


class Tagger(torch.nn.Module):
    def __init__(self, lstm):
        super().__init__()
        self.lstm = lstm
        self.head = torch.nn.Linear(HIDDEN_SIZE, 2, dtype=torch.float64)

    def forward(self, x):
        return self.head(self.lstm(x.tanh())[0])


@pytest.fixture(name="one_graph")
def _one_graph():
    """PyTorch leaves its own recurrent modules out of graphs unless it is told otherwise."""
    torch._dynamo.reset()
    with torch._dynamo.config.patch(allow_rnn=True), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield
    torch._dynamo.reset()


@pytest.mark.parametrize("dynamic", [False, True])
def test_compiled_in_one_graph(one_graph, dynamic):
    ours, theirs = make_pair(num_layers=2)
    compiled = torch.compile(Tagger(ours), fullgraph=True, backend="aot_eager", dynamic=dynamic)
    expected = Tagger(theirs)
    expected.head.load_state_dict(compiled.head.state_dict())
    for seq_len, batch in ((4, 3), (6, 2)):
        results = []
        for model in (compiled, expected):
            x = draw(seq_len, batch, INPUT_SIZE, requires_grad=True)
            output = model(x)
            loss = output.square().sum()
            results.append([output, *torch.autograd.grad(loss, [x, *model.parameters()])])
        assert_same_gradients(*([r.detach() for r in each] for each in results))
        with torch.no_grad():
            assert torch.equal(compiled(x), compiled._orig_mod(x))


@pytest.mark.slow  # Inductor compiles C++
def test_compiled_by_inductor(one_graph):
    ours, _ = make_pair(num_layers=2, bidirectional=True)
    model = Tagger(ours)
    compiled = torch.compile(model, fullgraph=True)
    x = draw(4, 3, INPUT_SIZE, requires_grad=True)
    results = []
    for each in (compiled, model):
        output = each(x)
        loss = output.square().sum()
        results.append([output, *torch.autograd.grad(loss, [x, *model.parameters()])])
    assert_same_gradients(*([r.detach() for r in each] for each in results))


def test_compiled_dropout_is_replayed(one_graph):
    ours, _ = make_pair(num_layers=3, dropout=0.5)
    compiled = torch.compile(ours, fullgraph=True, backend="aot_eager")
    x = draw(4, 3, INPUT_SIZE)

    def step():
        result = compiled(x)
        return [*flat(result), *gradients(result, list(ours.parameters()))]

    torch.manual_seed(9)
    first, second = step(), step()
    torch.manual_seed(9)
    assert all(map(torch.equal, first, step()))
    assert not torch.equal(first[0], second[0])


@pytest.mark.parametrize("strict", [False, True])
def test_exported_with_any_batch_and_length(one_graph, strict):
    ours, theirs = make_pair(num_layers=2, bidirectional=True, batch_first=True)
    dims = {0: torch.export.Dim("batch"), 1: torch.export.Dim("length")}
    program = torch.export.export(
        ours.eval(), (draw(3, 4, INPUT_SIZE),), dynamic_shapes=({**dims},), strict=strict
    )
    file = io.BytesIO()
    torch.export.save(program, file)
    file.seek(0)
    module = torch.export.load(file).module()
    for shape in ((3, 4), (2, 7), (6, 2)):
        x = draw(*shape, INPUT_SIZE)
        assert_same_results(module(x), theirs(x))


@pytest.mark.filterwarnings("ignore:.torch.jit.*is deprecated:DeprecationWarning")
@pytest.mark.filterwarnings("ignore::torch.jit.TracerWarning")
def test_torch_script_traces_operators():
    ours, theirs = make_pair(num_layers=2)
    file = io.BytesIO()
    torch.jit.save(torch.jit.trace(ours, draw(4, 3, INPUT_SIZE)), file)
    file.seek(0)
    x = draw(6, 2, INPUT_SIZE)
    assert_same_results(torch.jit.load(file)(x), theirs(x))


class OfPacked(torch.nn.Module):
    def __init__(self, lstm):
        super().__init__()
        self.lstm = lstm

    def forward(self, rows, batch_sizes):
        output, (h_n, _) = self.lstm(torch.nn.utils.rnn.PackedSequence(rows, batch_sizes))
        return output.data, h_n


SEQUENCES = [
    (draw(8, INPUT_SIZE), torch.tensor([3, 3, 2])),
    (draw(5, INPUT_SIZE), torch.tensor([2, 2, 1])),
]


def test_packed_sequences_are_compiled_in_one_graph(one_graph):
    ours, theirs = make_pair(num_layers=2)
    compiled = torch.compile(OfPacked(ours), fullgraph=True, backend="aot_eager")
    for arguments in SEQUENCES:
        results = [model(*arguments) for model in (compiled, OfPacked(theirs))]
        assert_same_gradients(*([r.detach() for r in each] for each in results))
        gradients_of_both = [
            torch.autograd.grad(sum(r.sum() for r in each), list(module.parameters()))
            for each, module in zip(results, (ours, theirs), strict=True)
        ]
        assert_same_gradients(*gradients_of_both)


@pytest.mark.parametrize("strict", [False, True])
def test_packed_sequences_are_exported(one_graph, strict):
    ours, theirs = make_pair(num_layers=2, bidirectional=True)
    dims = {0: torch.export.Dim("rows")}, {0: torch.export.Dim("steps")}
    program = torch.export.export(
        OfPacked(ours.eval()), SEQUENCES[0], dynamic_shapes=dims, strict=strict
    )
    for arguments in SEQUENCES:
        got, expected = program.module()(*arguments), OfPacked(theirs)(*arguments)
        assert_same_gradients(*([r.detach() for r in each] for each in (got, expected)))
