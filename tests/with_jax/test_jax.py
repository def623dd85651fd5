"""`lstm_native.jax.lstm` against JAX's own LSTM, its derivatives, and `lstm_native.lstm`."""

import doctest
import re
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.experimental.rnn import lstm_ref

import lstm_native
import lstm_native.jax
from calls import assert_same_bits
from shapes import Shape, make_case
from tolerances import assert_close

# Where it is depends on JAX's version.
enable_x64 = jax.enable_x64 if hasattr(jax, "enable_x64") else jax.experimental.enable_x64

SHAPES = (
    Shape("one_layer", 5, 3, 4, 6),
    Shape("stacked", 6, 4, 5, 7, 2, True),
)


def arrays_of(case):
    states = jnp.asarray(case.h0), jnp.asarray(case.c0)
    return jnp.asarray(case.x), states, [jnp.asarray(w) for w in case.all_weights]


def call(case, x, states, weights, **options):
    shape = case.shape
    return lstm_native.jax.lstm(
        x, states, weights, shape.num_layers, bidirectional=shape.bidirectional, **options
    )


def by_jax(case, x, states, weights, lengths):
    """JAX's own LSTM, time first."""
    shape = case.shape
    cells = [weights[k : k + 4] for k in range(0, len(weights), 4)]
    by_kind = [dict(enumerate(kind)) for kind in zip(*cells, strict=True)]
    output, h_n, c_n = lstm_ref(
        x.swapaxes(0, 1), *states, *by_kind, lengths,
        input_size=shape.input_size, hidden_size=shape.hidden_size, num_layers=shape.num_layers,
        dropout=0.0, bidirectional=shape.bidirectional,
    )  # fmt: skip
    return output.swapaxes(0, 1), h_n, c_n


def weighted_sum(results):
    """A loss in which each element has its own gradient."""
    return sum(
        (r * jnp.cos(jnp.arange(r.size, dtype=r.dtype)).reshape(r.shape)).sum() for r in results
    )


@pytest.mark.parametrize("shape", SHAPES, ids=lambda shape: shape.label)
def test_values_and_gradients_are_those_of_jax(shape):
    case = make_case(shape, np.float64)
    with enable_x64(True):
        x, states, weights = arrays_of(case)
        lengths = jnp.full(shape.batch, shape.seq_len, jnp.int32)

        def ours(x, states, weights):
            return weighted_sum(call(case, x, states, weights))

        def theirs(x, states, weights):
            return weighted_sum(by_jax(case, x, states, weights, lengths))

        for got, expected in zip(
            call(case, x, states, weights), by_jax(case, x, states, weights, lengths), strict=True
        ):
            assert_close(np.asarray(got), np.asarray(expected), "layout")
        got = jax.jit(jax.grad(ours, argnums=(0, 1, 2)))(x, states, weights)
        expected = jax.grad(theirs, argnums=(0, 1, 2))(x, states, weights)
        for one, other in zip(jax.tree.leaves(got), jax.tree.leaves(expected), strict=True):
            assert_close(np.asarray(one), np.asarray(other), "gradient")


@pytest.mark.parametrize("options", [{}, {"batch_first": True}, {"recompute": True}], ids=str)
def test_bits_are_those_of_the_package(options):
    case = make_case(SHAPES[1], np.float32)
    x, states, weights = case.x, (case.h0, case.c0), case.all_weights
    batch_first = options.get("batch_first", False)
    x = np.ascontiguousarray(x.swapaxes(0, 1)) if batch_first else x
    lengths = [6, 0, 3, 5]

    def loss(*arrays):
        results = call(case, *arrays, lengths=jnp.asarray(lengths), **options)
        return sum(r.sum() for r in results), results

    (_, results), gradients = jax.value_and_grad(loss, argnums=(0, 1, 2), has_aux=True)(
        jnp.asarray(x), tuple(map(jnp.asarray, states)), list(map(jnp.asarray, weights))
    )
    expected, pullback = lstm_native.lstm_vjp(
        x, states, weights, 2, bidirectional=True, lengths=lengths, **options
    )
    assert_same_bits([np.asarray(r) for r in results], expected)
    d_input, d_states, d_weights = pullback(*map(np.ones_like, expected))
    leaves = [np.asarray(leaf) for leaf in jax.tree.leaves(gradients)]
    assert_same_bits(leaves, [d_input, *d_states, *d_weights])


@pytest.mark.parametrize("argument", [0, 1, 2], ids=["input", "states", "weights"])
def test_only_gradients_that_are_asked_for_are_computed(argument, monkeypatch):
    case = make_case(SHAPES[0], np.float32)
    asked = []
    run = lstm_native.jax.backward

    def spied(call, tape, given, wanted):
        asked.append((wanted.input, wanted.states, wanted.weights is not None))
        return run(call, tape, given, wanted)

    monkeypatch.setattr(lstm_native.jax, "backward", spied)
    loss = jax.grad(lambda *arrays: call(case, *arrays)[0].sum(), argnums=argument)
    jax.block_until_ready(loss(*arrays_of(case)))
    assert asked == [tuple(k == argument for k in range(3))]


def test_no_tape_without_a_gradient(monkeypatch):
    case = make_case(SHAPES[0], np.float32)
    tapes = []
    run = lstm_native.jax.forward
    monkeypatch.setattr(
        lstm_native.jax, "forward", lambda call: tapes.append(call.tape) or run(call)
    )
    jax.block_until_ready(jax.jit(lambda *arrays: call(case, *arrays))(*arrays_of(case)))
    assert tapes == [None]


@pytest.mark.parametrize("batch_first", [False, True])
@pytest.mark.parametrize("ragged", [False, True])
def test_vmap_over_examples_is_one_call(batch_first, ragged, monkeypatch):
    case = make_case(SHAPES[1], np.float32)
    _, states, weights = arrays_of(case)
    rng = np.random.default_rng(1)
    shape = (4, 6, 5) if batch_first else (6, 4, 5)
    x = jnp.asarray(rng.standard_normal((3, *shape), np.float32))
    lengths = jnp.asarray(rng.integers(0, 7, (3, 4))) if ragged else None

    def one(x, lengths):
        return call(case, x, states, weights, batch_first=batch_first, lengths=lengths)

    expected = [one(x[k], None if lengths is None else lengths[k]) for k in range(3)]
    calls = []
    run = lstm_native.jax.forward
    monkeypatch.setattr(lstm_native.jax, "forward", lambda call: calls.append(call) or run(call))
    got = jax.vmap(one)(x, lengths)
    jax.block_until_ready(got)
    assert len(calls) == 1
    for k in range(3):
        for one_got, one_expected in zip(got, expected[k], strict=True):
            assert_close(np.asarray(one_got[k]), np.asarray(one_expected), "layout")


def test_vmap_over_weights():
    case = make_case(SHAPES[0], np.float32)
    x, states, weights = arrays_of(case)
    scales = jnp.asarray([0.5, 1.0, 2.0])

    def one(scale):
        return call(case, x, states, [w * scale for w in weights])[0]

    got = jax.jit(jax.vmap(one))(scales)
    assert_close(np.asarray(got), np.stack([np.asarray(one(s)) for s in scales]), "layout")


def test_gradients_per_example():
    """vmap of grad: one gradient of the weights per example; grad of vmap: their sum."""
    case = make_case(SHAPES[0], np.float64)
    with enable_x64(True):
        x, states, weights = arrays_of(case)
        several = jnp.stack([x, 2.0 * x, x - 1.0])

        def loss(weights, x):
            return weighted_sum(call(case, x, states, weights))

        expected = [jax.grad(loss)(weights, one) for one in several]
        got = jax.vmap(jax.grad(loss), in_axes=(None, 0))(weights, several)
        whole = jax.grad(lambda w: jax.vmap(loss, in_axes=(None, 0))(w, several).sum())(weights)
        for k, (one, total) in enumerate(zip(got, whole, strict=True)):
            alone = np.stack([np.asarray(e[k]) for e in expected])
            assert_close(np.asarray(one), alone, "gradient")
            assert_close(np.asarray(total), alone.sum(0), "gradient")


def test_dropout_is_a_function_of_the_seed():
    case = make_case(Shape("deep", 5, 3, 4, 6, 2), np.float32)
    x, states, weights = arrays_of(case)

    @jax.jit
    def run(seed):
        return lstm_native.jax.lstm(x, states, weights, 2, 0.5, True, seed=seed)[0]

    expected = lstm_native.lstm(
        case.x, (case.h0, case.c0), case.all_weights, 2, 0.5, True, False, seed=7
    )
    assert_same_bits([np.asarray(run(7))], [expected[0]])
    assert not np.array_equal(run(7), run(8))
    two = jax.vmap(run)(jnp.asarray([7, 8]))
    assert_same_bits([np.asarray(two[0]), np.asarray(two[1])], [np.asarray(run(s)) for s in (7, 8)])


def test_a_cell():
    case = make_case(SHAPES[0], np.float32)
    cell = lstm_native.Cell(input_forget=True)
    got = call(case, *arrays_of(case), cell=cell)
    expected = lstm_native.lstm(
        case.x, (case.h0, case.c0), case.all_weights, 1, 0.0, False, False, cell=cell
    )
    assert_same_bits([np.asarray(r) for r in got], expected)


@pytest.mark.parametrize("lengths", [None, [5, 2, 0]])
def test_from_the_end(lengths):
    case = make_case(SHAPES[0], np.float64)
    reverse = {"lengths": lengths, "direction": "reverse"}
    outputs, pullback = lstm_native.lstm_vjp(
        case.x, (case.h0, case.c0), case.all_weights, 1, 0.0, True, False, **reverse
    )
    with enable_x64(True):
        x, states, weights = arrays_of(case)
        run = jax.jit(lambda x: call(case, x, states, weights, **reverse))
        got, back = jax.vjp(run, x)
        (d_input,) = back(got)
        assert_same_bits([np.asarray(r) for r in got], outputs)
        assert_same_bits([np.asarray(d_input)], [pullback(*outputs)[0]])


def test_arrays_larger_than_what_jax_moves_at_once():
    """The callback reads its arguments while JAX's own threads may all be busy."""
    case = make_case(Shape("large", 50, 64, 256, 64), np.float32)

    @jax.jit
    def run(x):
        y, _, _ = call(case, jnp.sin(x), (case.h0, case.c0), case.all_weights)
        return jnp.dot(y.reshape(-1, 64), y.reshape(-1, 64).T).sum()

    values = {float(run(case.x)) for _ in range(3)}
    assert len(values) == 1


def refused(case, error, text, **changes):
    x, states, weights = arrays_of(case)
    given = {"input": x, "initial_states": states, "all_weights": weights, "num_layers": 1}
    with pytest.raises(error, match=text):
        lstm_native.jax.lstm(**{**given, **changes})


def test_wrong_calls_name_the_argument():
    case = make_case(SHAPES[0], np.float32)
    x, (h_0, c_0), weights = arrays_of(case)
    refused(case, ValueError, r"all_weights.*w_ih", all_weights=[weights[0].T, *weights[1:]])
    refused(case, ValueError, r"initial_states\[0\]", initial_states=(h_0[:, :1], c_0))
    refused(case, ValueError, "initial_states", initial_states=(h_0,))
    refused(case, TypeError, "input: .*bfloat16", input=x.astype(jnp.bfloat16))
    refused(case, TypeError, "lengths: expected integers, got float32", lengths=jnp.ones(3))
    refused(case, ValueError, "lengths", lengths=jnp.asarray([9, 1, 1]))
    refused(case, ValueError, "num_layers", num_layers=0)
    refused(case, TypeError, "recompute", recompute=1)
    refused(case, ValueError, "seed: .* got None", dropout=0.5, train=True)
    refused(case, TypeError, "cell", cell="standard")
    refused(case, ValueError, "direction", direction="backward")


def test_a_wrong_length_that_is_traced_is_an_error_of_the_run():
    case = make_case(SHAPES[0], np.float32)
    run = jax.jit(lambda lengths: call(case, *arrays_of(case), lengths=lengths)[0])
    with pytest.raises(jax.errors.JaxRuntimeError, match="lengths"):
        jax.block_until_ready(run(jnp.asarray([9, 1, 1])))


def test_an_empty_batch():
    case = make_case(Shape("empty", 5, 0, 4, 6), np.float32)
    x, states, weights = arrays_of(case)
    run = jax.jit(lambda x, states, weights: call(case, x, states, weights))
    assert [a.shape for a in run(x, states, weights)] == [(5, 0, 6), (1, 0, 6), (1, 0, 6)]
    gradients = jax.grad(lambda w: weighted_sum(run(x, states, w)))(weights)
    assert not any(np.asarray(g).any() for g in gradients)


def test_what_is_not_there_is_an_error_of_jax():
    case = make_case(SHAPES[0], np.float32)
    x, states, weights = arrays_of(case)

    def loss(x):
        return call(case, x, states, weights)[0].sum()

    with pytest.raises(TypeError, match="forward-mode"):
        jax.jvp(loss, (x,), (x,))
    with pytest.raises(ValueError, match="cannot be differentiated"):
        jax.hessian(loss)(x)


def test_the_page():
    page = (Path(__file__).resolve().parents[2] / "docs" / "jax.md").read_text()
    (program,) = re.findall(r"^```python\n(.*?)^```$", page, re.MULTILINE | re.DOTALL)
    exec(compile(program, "jax.md", "exec"), {"__name__": "__main__"})


def test_the_documented_example():
    results = doctest.testmod(lstm_native.jax)
    assert results.attempted > 0
    assert results.failed == 0
