"""A call of everything that the package offers, for tests of what all of them have in common."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

import lstm_native
from calls import (
    call_lstm,
    call_vjp,
    flat_weight,
    gradient_arguments,
    gradient_for,
    operator_for,
    pack,
    transposed_weights,
)
from shapes import Shape, make_case

SMALL = Shape("small", 9, 5, 6, 20, 2, True)
# Layers whose backward products are of packed factors.
WIDE = Shape("wide", 50, 5, 300, 264)
# Input projected by BLAS, of at least 2^23 weights, and its gradient, of less than 24 rows.
PROJECTED_BY_BLAS = Shape("projected", 5, 40, 8070, 264)
MULTIPLIED_BACK_BY_BLAS = Shape("few_rows", 1, 20, 512, 256)


@dataclass(frozen=True)
class PublicCalls:
    """Every function and every method, by name."""

    by_name: dict[str, Callable[[], Any]]
    stream: lstm_native.Stream
    sessions: lstm_native.Sessions

    def begin(self) -> None:
        """Seed the masks and reset states: from here on, calls have the same bits again."""
        lstm_native.manual_seed(5)
        self.stream.reset()
        for id in self.sessions.open_ids:
            self.sessions.reset(id)


def arrays(results: Any) -> list[Any]:
    """All arrays in a call's results."""
    return list(_arrays(results))


def _arrays(results: Any) -> Iterator[Any]:
    if isinstance(results, tuple | list):
        for part in results:
            yield from _arrays(part)
    elif isinstance(results, lstm_native.PackedWeights):
        yield from results.unpack()
    elif isinstance(results, np.ndarray):
        yield results


def public_calls(threads: int) -> PublicCalls:
    """Calls on small shapes; ``threads`` is their num_threads where they compute."""
    case, wide = make_case(SMALL, np.float32), make_case(WIDE, np.float32)
    double = make_case(SMALL, np.float64)
    projected = make_case(PROJECTED_BY_BLAS, np.float32)
    few = make_case(MULTIPLIED_BACK_BY_BLAS, np.float32)
    one_way = make_case(Shape("one_way", 40, 1, 32, 32, 4), np.float32)
    packed, stack = pack(case), pack(one_way)
    flat, net = flat_weight(case), operator_for(case, 0.5)
    y, hy, cy, reserve, state = net(case.x, case.h0, case.c0, flat)
    results = gradient_arguments(case, flat, (y, hy, cy, reserve, state))
    gradient = gradient_for(case, 0.5)
    workspace = gradient.data(*results)[3]
    stream = lstm_native.Stream(stack, num_threads=threads)
    sessions = lstm_native.Sessions(stack, 3, num_threads=threads)
    ids = [sessions.open() for _ in range(2)]
    model = lstm_native.Model(case.all_weights, 2, True)
    pool = lstm_native.MemoryPool()
    lengths = [9, 1, 0, 4, 9]
    mask = np.arange(9)[:, np.newaxis] >= lengths
    sizes: dict[str, Any] = {"seq_len": 9, "batch": 5, "input_size": 6, "hidden_size": 20}
    n: dict[str, Any] = {"num_threads": threads}

    def silently(call: Callable[[], Any]) -> Callable[[], Any]:
        def silent() -> None:
            with contextlib.redirect_stdout(io.StringIO()):
                call()

        return silent

    def backward(of: Any, **options: Any) -> Callable[[], Any]:
        outputs, pullback = call_vjp(of, **options, **n)
        return lambda: pullback(*outputs)

    def in_pool() -> Any:
        with lstm_native.MemoryPool():
            return call_lstm(wide, **n), call_lstm(wide, **n)

    def set_state() -> None:
        stream.state = stream.state

    dropping = lstm_native.Cell(recurrent_dropout=0.5)
    in_8_bits = pack(case, weight_dtype="int8")
    in_bfloat16 = pack(case, weight_dtype="bfloat16", compute="bfloat16")
    calls: dict[str, Callable[[], Any]] = {
        "lstm": lambda: call_lstm(case, **n),
        "lstm, float64": lambda: call_lstm(double, **n),
        "lstm, packed": lambda: call_lstm(case, all_weights=packed, **n),
        "lstm, transposed": lambda: call_lstm(
            case, all_weights=transposed_weights(case), weights_transposed=True, **n
        ),
        "lstm, wavefront": lambda: call_lstm(one_way, all_weights=stack, **n),
        "lstm, BLAS": lambda: call_lstm(projected, **n),
        "lstm, masks": lambda: call_lstm(case, dropout=0.5, train=True, **n),
        "lstm, strides": lambda: call_lstm(case, input=np.asfortranarray(case.x), **n),
        "lstm, lengths": lambda: call_lstm(case, lengths=lengths, **n),
        "lstm, mask": lambda: call_lstm(case, mask=mask, **n),
        "lstm, batch_sizes": lambda: call_lstm(
            case, input=case.x.reshape(45, 6), batch_sizes=[5] * 9, **n
        ),
        "lstm_vjp": lambda: call_vjp(case, dropout=0.5, **n)[0],
        "Pullback": backward(case, dropout=0.5, seed=1),
        "Pullback, float64": backward(double),
        "Pullback, packed factors": backward(wide),
        "Pullback, BLAS": backward(few),
        "Pullback, recompute": backward(case, recompute=True),
        "Pullback, lengths": backward(case, lengths=lengths),
        "Pullback, mask": backward(case, mask=mask, masked_output="last"),
        "lstm_vjp, masks of states": lambda: call_vjp(case, cell=dropping, seed=1, **n)[0],
        "Pullback, masks of states": backward(case, cell=dropping, seed=1, recompute=True),
        "LSTM": lambda: operator_for(case),
        "LSTM, called": lambda: net(case.x, case.h0, case.c0, flat, **n)[:4],
        "LSTMGrad": lambda: lstm_native.LSTMGrad(6, 20, 2, True, True, 0.5),
        "LSTMGrad, called": lambda: gradient(*results, **n),
        "LSTMGrad.data": lambda: gradient.data(*results, **n)[:3],
        "LSTMGrad.weights": lambda: gradient.weights(case.x, reserve, workspace, state, **n),
        "pack_weights": lambda: pack(case),
        "pack_weights, float16": lambda: pack(case, weight_dtype="float16"),
        "pack_weights, int8": lambda: pack(case, weight_dtype="int8"),
        "lstm, int8": lambda: call_lstm(case, all_weights=in_8_bits, **n),
        "lstm, bfloat16": lambda: call_lstm(case, all_weights=in_bfloat16, **n),
        "PackedWeights.unpack": packed.unpack,
        "Stream": lambda: lstm_native.Stream(stack, **n),
        "Stream.step": lambda: stream.step(one_way.x[0]),
        "Stream.run": lambda: stream.run(one_way.x),
        "Stream.state": set_state,
        "Stream.reset": stream.reset,
        "Sessions": lambda: lstm_native.Sessions(stack, 2, **n),
        "Sessions.open": lambda: sessions.close(sessions.open()),
        "Sessions.step": lambda: sessions.step(ids, np.repeat(one_way.x[0], 2, axis=0)),
        "Sessions.run": lambda: sessions.run(ids, np.repeat(one_way.x, 2, axis=1)),
        "Sessions.state": lambda: sessions.set_state(ids[0], sessions.state(ids[1])),
        "Sessions.dump": lambda: sessions.load(ids[0], sessions.dump(ids[1])),
        "Sessions.reset": lambda: sessions.reset(ids[0]),
        "Cell": lambda: lstm_native.Cell(input_forget=True),
        "Model": lambda: lstm_native.Model(case.all_weights, 2, True),
        "Model, called": lambda: model(case.x, state=(case.h0, case.c0), **n),
        "explain": lambda: lstm_native.explain(**sizes),
        "Explanation": lambda: str(lstm_native.explain(**sizes)),
        "LayerExplanation": lambda: lstm_native.explain(**sizes).layers[0],
        "MemoryPool": in_pool,
        "MemoryPool.clear": pool.clear,
        "get_config": lstm_native.get_config,
        "show_config": silently(lstm_native.show_config),
        "get_num_threads": lstm_native.get_num_threads,
        "set_num_threads": lambda: lstm_native.set_num_threads(threads),
        "get_adaptive_threads": lstm_native.get_adaptive_threads,
        "get_flush_subnormals": lstm_native.get_flush_subnormals,
        "set_adaptive_threads": lambda: lstm_native.set_adaptive_threads(True),
        "set_flush_subnormals": lambda: lstm_native.set_flush_subnormals(True),
        "manual_seed": lambda: lstm_native.manual_seed(1),
        "cuda.is_available": lstm_native.cuda.is_available,
    }
    return PublicCalls(calls, stream, sessions)
