"""Weights that `lstm_native.torch.LSTM` packs for inference, and swaps of modules (make parity)."""

import copy
import pickle
import threading
import warnings

import pytest

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

# After torch_pairs, which skips this file where PyTorch is not installed.
from lstm_native._torch import packed as packing  # isort: skip
from lstm_native.torch import replace, restore  # isort: skip

pytestmark = pytest.mark.parity

X = draw(4, 3, INPUT_SIZE, dtype=torch.float32)


@pytest.fixture(name="packs")
def _packs(monkeypatch):
    """Every call that packs."""
    calls = []
    pack = packing.pack_weights

    def spy(*arguments, **options):
        calls.append(arguments)
        return pack(*arguments, **options)

    monkeypatch.setattr(packing, "pack_weights", spy)
    return calls


def evaluated(module, x=X):
    with torch.no_grad():
        return module(x)


def pair_for_inference(**options):
    return [module.eval() for module in make_pair(dtype=torch.float32, **options)]


@pytest.mark.parametrize(
    "options",
    [{}, {"bias": False, "num_layers": 2}, {"bidirectional": True, "batch_first": True}],
    ids=str,
)
def test_packed_once(packs, options):
    ours, theirs = pair_for_inference(**options)
    first = flat(evaluated(ours))
    for _ in range(2):
        assert all(map(torch.equal, first, flat(evaluated(ours))))
    assert len(packs) == 1
    assert_same_results(evaluated(ours), evaluated(theirs))
    packed = torch.nn.utils.rnn.pack_sequence([X[:, 0], X[:2, 1]])
    assert_same_results(evaluated(ours, packed), evaluated(theirs, packed))
    with torch.inference_mode():
        ours(X)
    assert len(packs) == 1


def test_never_packed_where_gradients_or_training_are_on(packs):
    ours, _ = pair_for_inference()
    for _ in range(3):
        ours(X)
    ours.train()
    for _ in range(3):
        evaluated(ours)
    assert not packs


def optimize(module):
    optimizer = torch.optim.SGD(module.parameters(), lr=0.5)
    with torch.enable_grad():
        module(X)[0].square().sum().backward()
    optimizer.step()


CHANGES = {
    "in place": lambda m: m.weight_hh_l0.mul_(0.5),
    "in inference mode": lambda m: torch.inference_mode()(m.bias_ih_l0.add_)(1.0),
    "by .data": lambda m: m.weight_ih_l0.data.mul_(0.5),
    "of .data": lambda m: setattr(m.weight_ih_l0, "data", 0.5 * m.weight_ih_l0.data),
    "by a state_dict": lambda m: m.load_state_dict(
        {name: 0.5 * value for name, value in m.state_dict().items()}
    ),
    "another parameter": lambda m: setattr(
        m, "weight_hh_l0", torch.nn.Parameter(0.5 * m.weight_hh_l0)
    ),
    "an optimizer": optimize,
    "of dtype": lambda m: m.double().float().weight_hh_l0.mul_(0.5),
}


@pytest.mark.parametrize("change", CHANGES)
def test_a_change_is_noticed(packs, change):
    ours, theirs = pair_for_inference()
    for _ in range(3):
        evaluated(ours)
    for _ in range(2):
        with torch.no_grad():
            CHANGES[change](ours)
        theirs.load_state_dict(ours.state_dict())
        for _ in range(3):
            assert_same_results(evaluated(ours), evaluated(theirs))
    assert len(packs) == 3


def test_what_other_weights_gave_is_not_kept(packs):
    ours, theirs = pair_for_inference()
    for factor in (1.0, 2.0, 3.0):  # new tensors, at the same address
        weights = {name: factor * weight for name, weight in ours.named_parameters()}
        with torch.no_grad():
            got, expected = (
                torch.func.functional_call(module, weights, (X,)) for module in (ours, theirs)
            )
        assert_same_results(got, expected)
        del weights
    assert not packs


def test_parameters_without_versions_are_read_anew(packs):
    with torch.inference_mode():
        ours = LSTM(INPUT_SIZE, HIDDEN_SIZE).eval()
        first = ours(X)[0].clone()
        for _ in range(3):
            assert torch.equal(ours(X)[0], first)
        ours.weight_hh_l0.mul_(0.5)
        assert not torch.equal(ours(X)[0], first)
    assert not packs


def test_copies_and_modes_forget(packs):
    ours, _ = pair_for_inference()
    for _ in range(2):
        evaluated(ours)
    assert "_inference" in vars(ours)
    for copied in (copy.deepcopy(ours), copy.copy(ours), pickle.loads(pickle.dumps(ours))):
        assert "_inference" not in vars(copied)
    assert "_inference" not in vars(ours.eval())


def test_threads_share_a_module_that_changes():
    ours, theirs = pair_for_inference()
    done = threading.Event()
    failed = []

    def evaluate():
        try:
            while not done.is_set():
                evaluated(ours)
        except Exception as error:
            failed.append(error)

    threads = [threading.Thread(target=evaluate) for _ in range(3)]
    for thread in threads:
        thread.start()
    for _ in range(50):
        with torch.no_grad():
            for parameter in ours.parameters():
                parameter.mul_(0.99)
        evaluated(ours)
    done.set()
    for thread in threads:
        thread.join()
    assert not failed
    theirs.load_state_dict(ours.state_dict())
    for _ in range(3):
        assert_same_results(evaluated(ours), evaluated(theirs))


@pytest.mark.parametrize("weight_dtype", ["float16", "bfloat16", "int8"])
def test_weights_in_fewer_bits(packs, weight_dtype):
    ours = LSTM(INPUT_SIZE, HIDDEN_SIZE, weight_dtype=weight_dtype).eval()
    exact = evaluated(restore(copy.deepcopy(ours)))[0]
    rounded = evaluated(ours)[0]
    assert len(packs) == 1
    assert torch.equal(evaluated(ours)[0], rounded)
    assert 0 < (rounded - exact).abs().max() < 1e-2
    assert f"weight_dtype='{weight_dtype}'" in repr(ours)
    # With gradients the parameters are what is computed with.
    assert torch.allclose(ours(X)[0], exact, atol=1e-5)
    assert pickle.loads(pickle.dumps(ours)).weight_dtype == weight_dtype


def test_weight_dtype_is_checked():
    with pytest.raises(ValueError, match="weight_dtype: expected 'float16' or "):
        LSTM(INPUT_SIZE, HIDDEN_SIZE, weight_dtype="int1")
    with pytest.raises(ValueError, match="weight_dtype: expected 'float16' or "):
        replace(torch.nn.LSTM(2, 3), weight_dtype="int1")
    with pytest.raises(TypeError, match="weight_dtype: expected None for weights of dtype float64"):
        evaluated(
            LSTM(INPUT_SIZE, HIDDEN_SIZE, dtype=torch.float64, weight_dtype="float16").eval(),
            X.double(),
        )


class Model(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.lstm = torch.nn.LSTM(INPUT_SIZE, HIDDEN_SIZE)
        self.tied = self.lstm
        self.more = torch.nn.ModuleList([torch.nn.LSTM(HIDDEN_SIZE, HIDDEN_SIZE)])
        self.own = Subclass(HIDDEN_SIZE, HIDDEN_SIZE)

    def forward(self, x):
        return self.own(self.more[0](self.tied(x)[0])[0])[0]


class Subclass(torch.nn.LSTM):
    pass


def test_replace_and_restore():
    model = Model()
    seen = []
    model.lstm.register_forward_hook(lambda *_: seen.append(1))
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    expected, state = model(X), model.state_dict()
    before = list(model.parameters())
    assert replace(model) is model
    assert type(model.lstm) is type(model.more[0]) is LSTM
    assert type(model.own) is Subclass
    assert model.tied is model.lstm
    assert all(a is b for a, b in zip(before, model.parameters(), strict=True))
    assert torch.allclose(model(X), expected, atol=1e-6)
    assert len(seen) == 2
    model(X).sum().backward()
    optimizer.step()
    model.eval()
    trained = evaluated(model), evaluated(model)
    assert restore(model) is model
    assert type(model.lstm) is type(model.more[0]) is torch.nn.LSTM
    assert model.state_dict().keys() == state.keys()
    assert set(vars(model.lstm)) == set(vars(torch.nn.LSTM(1, 1)))
    assert torch.allclose(evaluated(model), trained[1], atol=1e-6)


def test_replace_sets_and_clears_weight_dtype():
    model = replace(torch.nn.Sequential(torch.nn.LSTM(INPUT_SIZE, HIDDEN_SIZE)), "bfloat16")
    assert model[0].weight_dtype == "bfloat16"
    assert replace(model)[0].weight_dtype is None
    lstm = torch.nn.LSTM(INPUT_SIZE, HIDDEN_SIZE)
    assert type(replace(lstm)) is LSTM  # the model may be one itself


def test_a_model_that_is_refused_stays_as_it_was():
    model = torch.nn.ModuleDict({"a": torch.nn.LSTM(2, 3), "b": torch.nn.LSTM(2, 3)})
    model["b"].weight_ih_l0 = torch.nn.Parameter(torch.ones(12, 2, dtype=torch.complex64))
    with pytest.raises(TypeError, match=r"model\.b: weight_ih_l0: expected torch\.float32, "):
        replace(model)
    assert type(model["a"]) is torch.nn.LSTM
    for function in (replace, restore):
        with pytest.raises(TypeError, match=r"model: expected a torch\.nn\.Module, got int 3"):
            function(3)


def test_to_torch_shares_the_parameters():
    ours, _ = make_pair(num_layers=2)
    theirs = ours.to_torch()
    assert type(theirs) is torch.nn.LSTM
    assert type(ours) is LSTM
    assert all(a is b for a, b in zip(ours.parameters(), theirs.parameters(), strict=True))
    x = draw(4, 3, INPUT_SIZE)
    assert_same_results(ours(x), theirs(x))


def test_pytorchs_quantization_says_that_it_leaves_it():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        model = torch.nn.Sequential(LSTM(3, 4))
        with pytest.warns(UserWarning, match=r"lstm_native\.torch\.replace\(model, weight_dtype"):
            made = torch.ao.quantization.quantize_dynamic(model, {torch.nn.LSTM}, dtype=torch.qint8)
    assert type(made[0]) is LSTM
    assert not hasattr(model[0], "qconfig")


def test_older_pickles():
    """Pickles made before the module kept anything of its own, and those of torch.nn.LSTM."""
    state = make_pair()[0].__getstate__()
    assert not {"_inference", "weight_dtype", "qconfig"} & set(state)
    older = LSTM.__new__(LSTM)
    del state["proj_size"]
    older.__setstate__(state)
    assert evaluated(older.eval(), X.double())[0].shape == (4, 3, HIDDEN_SIZE)
