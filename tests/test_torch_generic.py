"""PyTorch's own entries of nn.LSTM for its generic tests of modules, on ours (make parity)."""

import copy
import io
import pickle

import pytest

from torch_pairs import LSTM, torch

pytestmark = pytest.mark.parity

from torch.testing import assert_close  # noqa: E402
from torch.testing._internal.common_modules import module_db  # noqa: E402

(INFO,) = (info for info in module_db if info.module_cls is torch.nn.LSTM)


def samples(dtype=torch.float64, requires_grad=False):
    return INFO.module_inputs_func(
        INFO, device="cpu", dtype=dtype, requires_grad=requires_grad, training=True
    )


def cases(**options):
    """Return ours, theirs with the same parameters, and the arguments of a call."""
    dtype = options.get("dtype", torch.float64)
    for sample in samples(**options):
        theirs = torch.nn.LSTM(**sample.constructor_input.kwargs, dtype=dtype)
        ours = LSTM(**sample.constructor_input.kwargs, dtype=dtype)
        ours.load_state_dict(theirs.state_dict())
        given = sample.forward_input
        assert not given.kwargs
        yield sample, ours, theirs, given.args


def flat(result):
    return torch.utils._pytree.tree_leaves(result)


def test_there_are_cases():
    assert len(list(cases())) >= 16


@pytest.mark.filterwarnings("ignore:LSTM with projections is not supported with oneDNN")
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_forward(dtype):
    for sample, ours, theirs, arguments in cases(dtype=dtype):
        result = ours(*arguments)
        assert_close(result, theirs(*arguments))
        assert_close(result, sample.reference_fn(ours, *arguments))


def test_factory_arguments():
    for sample, ours, _, arguments in cases(dtype=torch.float32):
        for options in ({"dtype": torch.float64}, {"device": "meta"}, {"device": "cpu"}):
            made = LSTM(**sample.constructor_input.kwargs, **options)
            for parameter in made.parameters():
                assert parameter.dtype == options.get("dtype", torch.float32)
                assert parameter.device.type == options.get("device", "cpu")
        with torch.device("meta"):
            made = LSTM(**sample.constructor_input.kwargs)
        assert all(parameter.is_meta for parameter in made.parameters())
        made.to_empty(device="cpu").load_state_dict(ours.state_dict())
        assert_close(made(*arguments), ours(*arguments))


def test_represented_as_theirs():
    for _, ours, theirs, _ in cases():
        assert repr(ours) == repr(theirs)


def test_saved_and_pickled():
    for _, ours, _, arguments in cases():
        file = io.BytesIO()
        torch.save(ours, file)
        file.seek(0)
        for copied in (
            torch.load(file, weights_only=False),
            pickle.loads(pickle.dumps(ours)),
            copy.deepcopy(ours),
        ):
            assert_close(copied(*arguments), ours(*arguments), rtol=0, atol=0)


def non_contiguous(tensor):
    gaps = torch.empty(*tensor.shape, 2, dtype=tensor.dtype)[..., 0]
    return gaps.copy_(tensor.detach()).requires_grad_(tensor.requires_grad)


def test_tensors_with_gaps():
    for _, ours, _, arguments in cases(requires_grad=True):
        others = torch.utils._pytree.tree_map(non_contiguous, arguments)
        results = flat(ours(*arguments)), flat(ours(*others))
        assert_close(*results)
        upstream = [non_contiguous(torch.randn_like(result)) for result in results[0]]
        gradients = [
            torch.autograd.grad(result, [*flat(given), *ours.parameters()], upstream)
            for result, given in zip(results, (arguments, others), strict=True)
        ]
        assert_close(*gradients)


@pytest.mark.parametrize(
    "check", [torch.autograd.gradcheck, torch.autograd.gradgradcheck], ids=lambda f: f.__name__
)
def test_gradients(check):
    for _, ours, _, arguments in cases(requires_grad=True):
        given, form = torch.utils._pytree.tree_flatten(arguments)
        names = [name for name, _ in ours.named_parameters()]

        def call(*tensors, module=ours, form=form, names=names):
            arguments = torch.utils._pytree.tree_unflatten(tensors[: -len(names)], form)
            parameters = dict(zip(names, tensors[-len(names) :], strict=True))
            return tuple(flat(torch.func.functional_call(module, parameters, arguments)))

        # Against random directions: one by one, second derivatives take minutes.
        assert check(call, (*given, *ours.parameters()), fast_mode=True)


def test_memory_formats_and_modes_change_nothing():
    for _, ours, theirs, arguments in cases():
        ours.to(memory_format=torch.channels_last)
        ours.eval()
        assert_close(ours(*arguments), theirs.eval()(*arguments))


def test_conversions():
    for _, ours, _, arguments in cases(dtype=torch.float32):
        expected = ours(*arguments)
        given = torch.utils._pytree.tree_map(lambda t: t.double(), arguments)
        assert_close(ours.double()(*given), expected, check_dtype=False)
        assert_close(ours.float()(*arguments), expected)


def test_wrong_calls():
    errors = INFO.module_error_inputs_func(
        INFO, device="cpu", dtype=torch.float64, requires_grad=False, training=True
    )
    for error in errors:
        sample = error.module_error_input
        arguments = sample.constructor_input
        for kind in (torch.nn.LSTM, LSTM):
            with pytest.raises(error.error_type):
                kind(*arguments.args, **arguments.kwargs)(*sample.forward_input.args)
