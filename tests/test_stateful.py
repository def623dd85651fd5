"""Long sequences of calls that share objects: each gives what it would give by itself.

One machine holds weights of one stack in every form that they have; a second one operators, their
tapes and pullbacks; calls that are refused stand between those that are not.
"""

import pickle

import numpy as np
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    initialize,
    invariant,
    multiple,
    precondition,
    rule,
)

import lstm_native
from calls import (
    assert_same_bits,
    call_lstm,
    call_vjp,
    flat_weight,
    operator_for,
    pack,
    transposed_weights,
)
from drawn_shapes import drawn_shapes
from shapes import Shape, make_case
from tolerances import assert_close

THREADS = st.sampled_from([1, 2, 3])
SEEDS = st.integers(0, 50)
REALS = st.sampled_from([np.float32, np.float64])


def drawn(shape, dtype, seed):
    return np.random.default_rng(seed).standard_normal(shape).astype(dtype)


def shapes(layers=3):
    return drawn_shapes(seq_len=5, batch=(1, 9), input_size=12, hidden_size=40, num_layers=layers)


def refuse(call, *names):
    """The call is wrong, and says where."""
    with pytest.raises((TypeError, ValueError), match=r"^(?:" + "|".join(names) + r")\b"):
        call()


class StreamsAndWeights(RuleBasedStateMachine):
    """A stream's outputs are those of one call over all that it was given since its state was."""

    packed = Bundle("packed")
    streams = Bundle("streams")

    @initialize(shape=shapes(), dtype=REALS, seed=SEEDS)
    def begin(self, shape, dtype, seed):
        self.case = make_case(Shape(**{**vars(shape), "bidirectional": False}), dtype, seed)
        self.shape, self.dtype = self.case.shape, dtype
        self.weights = [w.copy() for w in self.case.all_weights]
        self.history = {}

    @rule(target=packed, transposed=st.booleans(), again=st.booleans())
    def pack_them(self, transposed, again):
        made = pack(self.case, transposed)
        return pickle.loads(pickle.dumps(made)) if again else made

    @rule(weights=packed, threads=THREADS, batch=st.integers(1, 9), seed=SEEDS)
    def call(self, weights, threads, batch, seed):
        """Packed weights give the bits that they give on one thread, close to plain weights'."""
        case, shape = self.case, self.shape
        state = (shape.num_layers, batch, shape.hidden_size)
        x = drawn((shape.seq_len, batch, shape.input_size), self.dtype, seed)
        states = (drawn(state, self.dtype, seed + 1), drawn(state, self.dtype, seed + 2))
        arguments = {"input": x, "initial_states": states}
        got = call_lstm(case, all_weights=weights, num_threads=threads, **arguments)
        alone = call_lstm(case, all_weights=pack(case), num_threads=1, **arguments)
        assert_same_bits(got, alone)
        plain = call_lstm(case, num_threads=threads, **arguments)
        for ours, theirs in zip(got, plain, strict=True):
            assert_close(ours, theirs, "layout")

    @rule(weights=packed)
    def unpack(self, weights):
        arrays = weights.unpack()
        turned = transposed_weights(self.case) if weights.weights_transposed else self.weights
        assert_same_bits(arrays, turned)

    @rule(target=streams, weights=packed, batch=st.integers(1, 9), threads=THREADS)
    def open_stream(self, weights, batch, threads):
        stream = lstm_native.Stream(weights, batch, num_threads=threads)
        zeros = np.zeros((self.shape.num_layers, batch, self.shape.hidden_size), self.dtype)
        self.history[id(stream)] = ((zeros, zeros), [], [])
        return stream

    @rule(
        stream=streams,
        steps=st.integers(1, 4),
        several=st.booleans(),
        seed=SEEDS,
        own=st.booleans(),
    )
    def advance(self, stream, steps, several, seed, own):
        x = drawn((steps, stream.batch, self.shape.input_size), self.dtype, seed)
        out = np.empty((steps, stream.batch, self.shape.hidden_size), self.dtype)
        given = out if own else None
        if several:
            got = stream.run(x, out=given)
            assert (got is out) == own
        else:
            got = np.stack([stream.step(x[t], out=out[t] if own else None) for t in range(steps)])
        _, inputs, outputs = self.history[id(stream)]
        inputs.append(x)
        outputs.append(got.copy())

    @rule(stream=streams, seed=SEEDS)
    def set_state(self, stream, seed):
        state = (self.shape.num_layers, stream.batch, self.shape.hidden_size)
        given = tuple(drawn(state, self.dtype, seed + k) for k in range(2))
        stream.state = given
        assert_same_bits(stream.state, given)
        self.history[id(stream)] = (given, [], [])

    @rule(stream=streams)
    def reset(self, stream):
        stream.reset()
        zeros = tuple(np.zeros_like(array) for array in stream.state)
        assert_same_bits(stream.state, zeros)
        self.history[id(stream)] = (zeros, [], [])

    @rule(stream=streams, wrong=st.sampled_from(["features", "dtype", "rank", "out", "overlap"]))
    def refused(self, stream, wrong):
        """A refused call does not move the stream."""
        before = stream.state
        x = np.ones((stream.batch, self.shape.input_size + (wrong == "features")), self.dtype)
        if wrong == "dtype":
            x = x.astype(np.float64 if self.dtype == np.float32 else np.float32)
        out = {
            "out": np.ones((stream.batch + 1, self.shape.hidden_size), self.dtype),
            "overlap": np.broadcast_to(x[:, :1], (stream.batch, self.shape.hidden_size)),
        }.get(wrong)
        refuse(lambda: stream.step(x[None] if wrong == "rank" else x, out=out), "x", "out")
        assert_same_bits(stream.state, before)

    @rule(stream=streams)
    def compare_with_one_call(self, stream):
        start, inputs, outputs = self.history[id(stream)]
        if not inputs:
            return
        whole = call_lstm(
            self.case,
            input=np.concatenate(inputs),
            initial_states=start,
            all_weights=stream.packed,
        )
        assert_same_bits([np.concatenate(outputs), *stream.state], whole)

    @invariant()
    def the_weights_stay(self):
        if hasattr(self, "weights"):
            assert_same_bits(self.case.all_weights, self.weights)


class OperatorsAndTapes(RuleBasedStateMachine):
    """Tapes, states and pullbacks outlive any number of other calls, and replay what they kept."""

    taped = Bundle("taped")
    pullbacks = Bundle("pullbacks")

    @initialize(shape=shapes(layers=2), dtype=REALS, seed=SEEDS, rate=st.sampled_from([0.0, 0.5]))
    def begin(self, shape, dtype, seed, rate):
        self.case = make_case(shape, dtype, seed)
        self.rate = rate if shape.num_layers > 1 else 0.0
        self.net = operator_for(self.case, self.rate)
        sizes = (shape.input_size, shape.hidden_size, shape.num_layers, True, shape.bidirectional)
        self.grad = lstm_native.LSTMGrad(*sizes, self.rate)
        self.w = flat_weight(self.case)
        lstm_native.manual_seed(seed)

    def arguments(self):
        return self.case.x, self.case.h0, self.case.c0, self.w

    def backward(self, call, threads):
        y, h, c, reserve, state = call
        gradients = [np.ones_like(array) for array in (y, h, c)]
        return self.grad(
            *self.arguments(), y, h, c, *gradients, reserve, state, num_threads=threads
        )

    @rule(target=taped, threads=THREADS)
    def train(self, threads):
        return self.net(*self.arguments(), num_threads=threads)

    @rule(target=taped, threads=THREADS)
    def train_twice(self, threads):
        """Without a state, masks differ from call to call; all else would be the same."""
        one = self.net(*self.arguments(), num_threads=threads)
        two = self.net(*self.arguments(), num_threads=threads)
        if self.rate == 0.0:
            assert_same_bits(one[:4], two[:4])
        else:
            assert not np.array_equal(one[4], two[4])
        return multiple(one, two)

    @rule(call=taped, threads=THREADS)
    def replay(self, call, threads):
        again = self.net(*self.arguments(), state=call[4], num_threads=threads)
        assert_same_bits(again, call)

    @rule(call=taped, threads=THREADS)
    def gradients(self, call, threads):
        assert_same_bits(self.backward(call, threads), self.backward(call, 1))

    @rule(call=taped, threads=THREADS)
    def halves(self, call, threads):
        """The two halves give the bits of the whole."""
        y, h, c, reserve, state = call
        ones = [np.ones_like(array) for array in (y, h, c)]
        *first, workspace = self.grad.data(
            *self.arguments(), y, h, c, *ones, reserve, state, num_threads=threads
        )
        dw = self.grad.weights(self.case.x, reserve, workspace, state, num_threads=threads)
        assert_same_bits([*first, dw], self.backward(call, 1))

    @rule(call=taped, place=st.integers(0, 87), value=st.integers(0, 255))
    def a_changed_header(self, call, place, value):
        reserve = call[3].copy()
        raw = reserve.view(np.uint8).reshape(-1)
        # Of the dropout rate 0, the sign changes nothing.
        if raw[place] == value or (self.rate == 0.0 and place == 87):
            return
        raw[place] = value
        refuse(lambda: self.backward((*call[:3], reserve, call[4]), 1), "reserve")

    @rule(call=taped, other=taped)
    def a_state_of_another_call(self, call, other):
        if np.array_equal(call[4], other[4]):
            return
        refuse(lambda: self.backward((*call[:4], other[4]), 1), "state")

    @rule(target=pullbacks, threads=THREADS, recompute=st.booleans(), seed=SEEDS)
    def differentiate(self, threads, recompute, seed):
        options = {"dropout": self.rate, "seed": seed, "num_threads": threads}
        outputs, pullback = call_vjp(self.case, recompute=recompute, **options)
        assert_same_bits(outputs, call_lstm(self.case, train=True, **options))
        return outputs, pullback, pullback(*outputs)

    @rule(made=pullbacks, needs=st.sets(st.sampled_from(["input", "states", "weights"])))
    def pull_back_again(self, made, needs):
        outputs, pullback, first = made
        d_input, d_states, d_weights = pullback(*outputs, needs=needs)
        if "input" in needs:
            assert_same_bits([d_input], first[:1])
        if "states" in needs:
            assert_same_bits(d_states, first[1])
        if "weights" in needs:
            assert_same_bits(d_weights, first[2])
        kept = [d_input is not None, d_states[0] is not None, d_weights is not None]
        assert kept == [need in needs for need in ("input", "states", "weights")]

    @rule(made=pullbacks)
    def a_gradient_of_another_shape(self, made):
        outputs, pullback, _ = made
        refuse(lambda: pullback(outputs[0][:, :, :-1]), "d_output")

    @precondition(lambda self: hasattr(self, "case"))
    @rule(threads=THREADS)
    def explain(self, threads):
        shape = self.case.shape
        about = lstm_native.explain(
            *(self.case.x, (self.case.h0, self.case.c0), self.case.all_weights),
            *(shape.num_layers, 0.0, False, shape.bidirectional),
            num_threads=threads,
        )
        assert 1 <= about.threads <= threads
        assert about.rows == shape.seq_len * shape.batch
        assert len(about.layers) == shape.num_layers


TestStreamsAndWeights = StreamsAndWeights.TestCase
TestOperatorsAndTapes = OperatorsAndTapes.TestCase
for _machine in (TestStreamsAndWeights, TestOperatorsAndTapes):
    _machine.settings = settings(max_examples=25, stateful_step_count=15, deadline=None)
