"""The matrix: every shape by every way to call, against the float64 references.

A way is a name and a function that calls the package. Other files test what is special about a way;
that its numbers are right is tested here, and for random shapes at the end.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property, lru_cache
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

import lstm_native
from calls import (
    BIASES,
    DTYPES,
    call_lstm,
    call_reference,
    call_vjp,
    draw_like,
    flat_gradients,
    flat_weight,
    gradient_for,
    operator_for,
    pack,
    transposed_weights,
    turned,
    weights_of_flat,
)
from drawn_shapes import drawn_shapes
from few_and_all import most_shapes
from ragged import fill_padding, padded_again, sorted_rows
from reference_backward import backward_packed
from reference_dropout import drop_with
from reference_lstm import Answer, reference_packed
from shapes import BENCH_SHAPES, FEW_SHAPES, TEST_SHAPES, Case, Shape, make_case
from tolerances import assert_all_close, assert_close, assert_gradients_close

HEADER = 32  # elements of a reserve, before the gates
# The promise is for T up to 100 and H up to 512; the rest of the bench shapes run when benchmarked.
LARGE_SHAPES = tuple(
    shape
    for shape in BENCH_SHAPES
    if shape.seq_len <= 100 and shape.hidden_size <= 512 and shape.seq_len * shape.batch <= 2000
)


@dataclass(frozen=True)
class Problem:
    """A case, and what must come of it. With lengths, the input's padding is NaN."""

    case: Case
    lengths: tuple[int, ...] | None = None
    dropout: float = 0.0
    seed: int = 0

    @property
    def options(self) -> dict[str, Any]:
        return {"dropout": self.dropout, "train": True, "seed": self.seed} if self.dropout else {}

    @property
    def _lengths(self) -> tuple[int, ...]:
        return (
            (self.case.shape.seq_len,) * self.case.shape.batch
            if self.lengths is None
            else self.lengths
        )

    @cached_property
    def _drop(self) -> Any:
        return drop_with(self.dropout, self.seed, 0) if self.dropout else None

    @cached_property
    def answer(self) -> Answer:
        """The reference's answer, for the steps that there are, sorted by length."""
        case = self.case
        rows, states, sizes, _ = sorted_rows(case, self._lengths)
        weights, bi = case.all_weights, case.shape.bidirectional
        biases = (case.has_ih_bias, case.has_hh_bias)
        return reference_packed(rows, *states, weights, bi, sizes, biases, self._drop)

    @cached_property
    def results(self) -> tuple[Any, ...]:
        """(output, h_n, c_n) as `lstm` returns them."""
        return self.padded(self.answer.output, (self.answer.h_n, self.answer.c_n))

    def padded(self, rows: Any, states: Any, elsewhere: Any = None) -> tuple[Any, ...]:
        elsewhere = (self.case.h0, self.case.c0) if elsewhere is None else elsewhere
        return padded_again(rows, states, elsewhere, self._lengths, self.case.shape.seq_len)

    @cached_property
    def given(self) -> list[Any]:
        """Gradients of the results."""
        return [g.astype(self.case.x.dtype) for g in draw_like(self.results)]

    @cached_property
    def gradients(self) -> list[Any]:
        """Those of the input, h_0, c_0, and of each of the weights."""
        case = self.case
        d_output, *d_states = self.given
        rows, states, sizes, order = sorted_rows(case, self._lengths)
        d_rows = sorted_rows(case, self._lengths, d_output)[0]
        found = backward_packed(
            rows, *states, case.all_weights, case.shape.bidirectional, sizes,
            d_rows, *(d[:, order] for d in d_states),
            (case.has_ih_bias, case.has_hh_bias), self._drop,
        )  # fmt: skip
        padded = self.padded(found.input, (found.h_0, found.c_0), d_states)
        return [*padded, *found.weights]


# --- the ways to call ---------------------------------------------------------------------------


def plain(case):
    return {"all_weights": case.all_weights}


def transposed(case):
    return {"all_weights": transposed_weights(case), "weights_transposed": True}


def packed(case):
    return {"all_weights": pack(case)}


def packed_transposed(case):
    return {"all_weights": pack(case, True)}


def lstm(weights=plain):
    return lambda problem: call_lstm(problem.case, **weights(problem.case), **problem.options)


def lstm_batch_first(weights=plain):
    def call(problem):
        case = problem.case
        output, *states = call_lstm(
            case, input=turned(case.x), batch_first=True, **weights(case), **problem.options
        )
        assert output.flags.c_contiguous
        return turned(output), *states

    return call


def operator(layout="mindspore_gpu", batch_first=False, packed=False, **options):
    def call(problem):
        case = problem.case
        lstm_native.manual_seed(problem.seed)
        options.update(weight_layout=layout, batch_first=batch_first)
        x = turned(case.x) if batch_first else case.x
        w = pack(case) if packed else flat_weight(case, layout)
        net = operator_for(case, problem.dropout, **options)
        y, hy, cy, reserve, _ = net(x, case.h0, case.c0, w)
        if options.get("training", True):
            assert_reserve(reserve, problem)
        else:
            assert reserve.shape == (0, 1)
        return (turned(y) if batch_first else y), hy, cy

    return call


def assert_reserve(reserve, problem):
    """The tape holds the gates and the cells of every layer."""
    rows, units = sum(problem._lengths), problem.case.shape.hidden_size
    inside = problem.answer.inside
    body = reserve[HEADER:].reshape(len(inside), rows * 5 * units)
    for kept, steps in zip(body, inside, strict=True):
        gates = kept[: rows * 4 * units].reshape(rows, 4, units)
        assert_close(gates, np.moveaxis(steps.gates, 0, 1), "value")
        assert_close(kept[rows * 4 * units :].reshape(rows, units), steps.cells, "value")


def vjp(**options):
    return lambda problem: call_vjp(problem.case, **options, **problem.options)[0]


def stream(advance):
    def call(problem):
        case = problem.case
        opened = lstm_native.Stream(pack(case), case.shape.batch)
        opened.state = case.h0, case.c0
        return advance(opened, case.x), *opened.state

    return call


def steps(opened, x):
    return np.stack([opened.step(row) for row in x])


def runs(opened, x):
    return np.concatenate([opened.run(part) for part in (x[:1], x[1:]) if len(part)])


EVEN = {
    "lstm": lstm(),
    "lstm, transposed": lstm(transposed),
    "lstm, batch_first": lstm_batch_first(),
    "lstm, packed": lstm(packed),
    "lstm, packed transposed, batch_first": lstm_batch_first(packed_transposed),
    "LSTM": operator(),
    "LSTM, mindspore_cpu, batch_first": operator("mindspore_cpu", batch_first=True),
    "LSTM, packed": operator(packed=True),
    "LSTM, not training": operator(training=False),
    "lstm_vjp": vjp(),
    "Stream.step": stream(steps),
    "Stream.run": stream(runs),
}


def with_lengths(weights=plain, batch_first=False, call=call_lstm):
    def padded_call(problem):
        case = problem.case
        x = turned(case.x) if batch_first else case.x
        options = {"batch_first": batch_first, "lengths": problem.lengths, **weights(case)}
        output, *states = call(case, input=x, **options, **problem.options)
        return (turned(output) if batch_first else output), *states

    return padded_call


def with_batch_sizes(weights=plain, call=call_lstm):
    def packed_call(problem):
        case = problem.case
        x, states, sizes, _ = sorted_rows(case, problem.lengths)
        options = {"input": x, "initial_states": states, "batch_sizes": sizes}
        output, *states = call(case, **options, **weights(case), **problem.options)
        return problem.padded(output, states)

    return packed_call


RAGGED = {
    "lengths": with_lengths(),
    "lengths, packed": with_lengths(packed),
    "lengths, batch_first": with_lengths(batch_first=True),
    "lengths, packed transposed, batch_first": with_lengths(packed_transposed, True),
    "lengths, lstm_vjp": with_lengths(call=lambda *a, **options: call_vjp(*a, **options)[0]),
    "batch_sizes": with_batch_sizes(),
    "batch_sizes, packed": with_batch_sizes(packed),
}


def pullback(weights=plain, batch_first=False, **options):
    def call(problem):
        case = problem.case
        x = turned(case.x) if batch_first else case.x
        d_output, *d_states = problem.given
        _, back = call_vjp(
            case, input=x, batch_first=batch_first, lengths=problem.lengths,
            **weights(case), **options, **problem.options,
        )  # fmt: skip
        d_output = turned(d_output) if batch_first else d_output
        got = flat_gradients(back(d_output, *d_states))
        got[0] = turned(got[0]) if batch_first else got[0]
        if weights is transposed:
            got[3:] = [d.T if d.ndim == 2 else d for d in got[3:]]
        return got

    return call


def pullback_of_batch_sizes(**options):
    def call(problem):
        case = problem.case
        x, states, sizes, order = sorted_rows(case, problem.lengths)
        d_output, *d_states = problem.given
        d_rows = sorted_rows(case, problem.lengths, d_output)[0]
        more = {"input": x, "initial_states": states, "batch_sizes": sizes}
        _, back = call_vjp(case, **more, **options, **problem.options)
        got = flat_gradients(back(d_rows, *(d[:, order] for d in d_states)))
        return [*problem.padded(got[0], got[1:3], d_states), *got[3:]]

    return call


def operators_gradient(layout="mindspore_gpu", batch_first=False, halves=False):
    def call(problem):
        case = problem.case
        options = {"weight_layout": layout, "batch_first": batch_first}
        x = turned(case.x) if batch_first else case.x
        w = flat_weight(case, layout)
        lstm_native.manual_seed(problem.seed)
        net = operator_for(case, problem.dropout, **options)
        y, hy, cy, reserve, state = net(x, case.h0, case.c0, w)
        d_output, *d_states = problem.given
        d_output = turned(d_output) if batch_first else d_output
        arguments = (x, case.h0, case.c0, w, y, hy, cy, d_output, *d_states, reserve, state)
        grad = gradient_for(case, problem.dropout, **options)
        if halves:
            dx, dh, dc, workspace = grad.data(*arguments)
            dw = grad.weights(x, reserve, workspace, state)
        else:
            dx, dh, dc, dw = grad(*arguments)
        dx = turned(dx) if batch_first else dx
        return [dx, dh, dc, *weights_of_flat(case, dw, layout)]

    return call


GRADIENTS = {
    "Pullback": pullback(),
    "Pullback, packed": pullback(packed),
    "Pullback, transposed, batch_first": pullback(transposed, batch_first=True),
    "Pullback, recompute": pullback(recompute=True),
    "LSTMGrad": operators_gradient(),
    "LSTMGrad, mindspore_cpu, batch_first": operators_gradient("mindspore_cpu", batch_first=True),
    "LSTMGrad.data and .weights": operators_gradient(halves=True),
}
RAGGED_GRADIENTS = {
    "Pullback, lengths": pullback(),
    "Pullback, lengths, transposed, batch_first": pullback(transposed, batch_first=True),
    "Pullback, lengths, recompute": pullback(recompute=True),
    "Pullback, batch_sizes": pullback_of_batch_sizes(),
    "Pullback, batch_sizes, recompute": pullback_of_batch_sizes(recompute=True),
}


# --- the matrix ---------------------------------------------------------------------------------


@lru_cache(maxsize=4)
def problem_of(shape, dtype, ragged=False):
    case = make_case(shape, dtype, seed=1)
    lengths = None
    if ragged:
        # Unsorted, some full, some of no steps: but one full row where there is but one.
        lengths = tuple(
            (3 * row + shape.seq_len) % (shape.seq_len + 1) for row in range(shape.batch)
        )
        fill_padding(case.x, lengths, np.nan)
    return Problem(case, lengths)


def applies(way, shape, bias=(True, True)):
    if way.startswith("Stream"):
        return not shape.bidirectional and shape.batch > 0
    # Flat weights have both biases or none.
    return bias[0] == bias[1] or not way.startswith("LSTM") or way == "LSTM, packed"


# The ways that BLAS may project the input for; others would take seconds, and are thorough.
BLAS_WAYS = {"lstm", "lstm, transposed", "batch_sizes", "Pullback"}


def every(ways):
    """Each shape with each of the ways that apply to it."""
    rows = []
    for shape in TEST_SHAPES:
        for way in filter(lambda way: applies(way, shape), ways):
            slow = shape.name == "large_input_matrix" and way not in BLAS_WAYS
            marks = [pytest.mark.thorough] if slow else []
            rows.append(pytest.param(shape, way, id=f"{shape.name}-{way}", marks=marks))
    return pytest.mark.parametrize(("shape", "way"), rows)


def assert_results(got, problem):
    for ours, theirs in zip(got, problem.results, strict=True):
        assert ours.dtype == problem.case.x.dtype
        assert_close(ours, theirs, "value")


@every(EVEN)
def test_even_batches(shape, way):
    for dtype in DTYPES:
        problem = problem_of(shape, dtype)
        assert_results(EVEN[way](problem), problem)


@every(RAGGED)
def test_ragged_batches(shape, way):
    for dtype in DTYPES:
        problem = problem_of(shape, dtype, ragged=True)
        assert_results(RAGGED[way](problem), problem)


@every(GRADIENTS)
def test_gradients(shape, way):
    for dtype in DTYPES:
        problem = problem_of(shape, dtype)
        assert_gradients_close(GRADIENTS[way](problem), problem.gradients)


@every(RAGGED_GRADIENTS)
def test_gradients_of_ragged_batches(shape, way):
    for dtype in DTYPES:
        problem = problem_of(shape, dtype, ragged=True)
        assert_gradients_close(RAGGED_GRADIENTS[way](problem), problem.gradients)


@pytest.mark.parametrize("weight_dtype", ["float16", "bfloat16"])
@most_shapes
def test_narrow_weights(shape, weight_dtype):
    case = make_case(shape, np.float32, seed=1)
    narrow = pack(case, weight_dtype=weight_dtype)
    rounded = Problem(replace(case, all_weights=narrow.unpack()))
    got = call_lstm(case, all_weights=narrow)
    assert_results(got, rounded)
    assert_all_close(got, problem_of(shape, np.float32).results, f"{weight_dtype} weights")
    assert_reserve(operator_for(case)(case.x, case.h0, case.c0, narrow)[3], rounded)


@pytest.mark.parametrize("bias", BIASES)
@pytest.mark.parametrize("shape", FEW_SHAPES, ids=lambda shape: shape.name)
def test_biases(shape, bias):
    problem = Problem(make_case(shape, np.float32, seed=3, bias=bias))
    for way in filter(lambda way: applies(way, shape, bias), EVEN):
        assert_results(EVEN[way](problem), problem)
    for way in filter(lambda way: applies(way, shape, bias), GRADIENTS):
        assert_gradients_close(GRADIENTS[way](problem), problem.gradients)


# --- beyond the matrix --------------------------------------------------------------------------


@pytest.mark.thorough
@pytest.mark.parametrize("shape", LARGE_SHAPES, ids=lambda shape: shape.name)
def test_large_shapes(shape):
    case = make_case(shape, np.float32, seed=2)
    expected = call_reference(case)
    assert_all_close(call_lstm(case), (expected.output, expected.h_n, expected.c_n), "value")


@pytest.mark.parametrize("dtype", DTYPES)
def test_the_ends_of_the_promise(dtype):
    problem = Problem(make_case(Shape("promise", 100, 2, 512, 512, bidirectional=True), dtype))
    assert_results(call_lstm(problem.case), problem)


def test_unsaturated_weights_far_beyond_unit_scale():
    case = make_case(Shape("scale", 5, 2, 6, 11, 2, True), np.float64, seed=4)
    weights = tuple(9 * w for w in case.all_weights)
    problem = Problem(replace(case, x=50 * case.x, c0=30 * case.c0, all_weights=weights))
    assert_results(call_lstm(problem.case), problem)


# --- random shapes ------------------------------------------------------------------------------


@st.composite
def problems(draw, ways):
    """A way, and a problem for it."""
    shape = draw(drawn_shapes(seq_len=12, batch=(0, 40), input_size=40, hidden_size=40))
    ragged = ways in (RAGGED, RAGGED_GRADIENTS)
    way = draw(st.sampled_from(sorted(way for way in ways if applies(way, shape))))
    bias = draw(st.sampled_from([bias for bias in BIASES if applies(way, shape, bias)]))
    seed = draw(st.integers(0, 2**32 - 1))
    case = make_case(shape, draw(st.sampled_from(DTYPES)), seed, bias)
    lengths = None
    if ragged:
        row = st.integers(0, shape.seq_len)
        lengths = tuple(draw(st.lists(row, min_size=shape.batch, max_size=shape.batch)))
        assume(any(lengths) or "batch_sizes" not in way)  # no packed sequence is empty
        fill_padding(case.x, lengths, np.nan)
    droppable = shape.num_layers > 1 and not way.startswith("Stream") and "not training" not in way
    dropout = draw(st.sampled_from([0.0, 0.4])) if droppable else 0.0
    lstm_native.set_num_threads(draw(st.integers(1, 4)))
    return way, Problem(case, lengths, dropout, seed)


@given(problems(EVEN))
def test_random_even_batches(drawn):
    way, problem = drawn
    assert_results(EVEN[way](problem), problem)


@given(problems(RAGGED))
def test_random_ragged_batches(drawn):
    way, problem = drawn
    assert_results(RAGGED[way](problem), problem)


@given(problems(GRADIENTS))
def test_random_gradients(drawn):
    way, problem = drawn
    assert_gradients_close(GRADIENTS[way](problem), problem.gradients)


@given(problems(RAGGED_GRADIENTS))
def test_random_gradients_of_ragged_batches(drawn):
    way, problem = drawn
    assert_gradients_close(RAGGED_GRADIENTS[way](problem), problem.gradients)
