"""Times `lstm_native.jax.lstm` beside `lstm_native.lstm` and JAX's own LSTM under `jit`.

The three take turns; what is printed is the least time of each, in microseconds.

python -m bench.measure.jax [--rounds N]
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.experimental.rnn import lstm_ref

import lstm_native
import lstm_native.jax
from bench.report.markdown import table
from shapes import Shape, make_case

SHAPES = (
    Shape("step", 1, 1, 64, 64),
    Shape("voice", 100, 1, 128, 128),
    Shape("batch", 25, 16, 256, 256),
    Shape("wide", 25, 64, 512, 512),
)
Call = Callable[[], object]


def forward_calls(shape: Shape) -> dict[str, Call]:
    case = make_case(shape, np.float32)
    x, h_0, c_0 = map(jnp.asarray, (case.x, case.h0, case.c0))
    weights = list(map(jnp.asarray, case.all_weights))
    ours = jax.jit(lambda x: lstm_native.jax.lstm(x, (h_0, c_0), weights, 1))
    theirs = jax.jit(lambda x: own_lstm(shape, x, (h_0, c_0), weights))
    states = case.h0, case.c0
    return {
        "NumPy": lambda: lstm_native.lstm(case.x, states, case.all_weights, 1, 0.0, False, False),
        "JAX": lambda: jax.block_until_ready(ours(x)),
        "JAX's own": lambda: jax.block_until_ready(theirs(x)),
    }


def training_calls(shape: Shape) -> dict[str, Call]:
    """Gradients of the sum of all outputs to all arguments."""
    case = make_case(shape, np.float32)
    arrays = (
        jnp.asarray(case.x),
        (jnp.asarray(case.h0), jnp.asarray(case.c0)),
        list(map(jnp.asarray, case.all_weights)),
    )

    def gradients(lstm: Callable[..., Any]) -> Call:
        run = jax.jit(jax.grad(lambda *arrays: lstm(*arrays)[0].sum(), argnums=(0, 1, 2)))
        return lambda: jax.block_until_ready(run(*arrays))

    def by_numpy() -> object:
        (output, _, _), pullback = lstm_native.lstm_vjp(
            case.x, (case.h0, case.c0), case.all_weights, 1, 0.0, False, False
        )
        return pullback(np.ones_like(output))

    return {
        "NumPy": by_numpy,
        "JAX": gradients(lambda *arrays: lstm_native.jax.lstm(*arrays, 1)),
        "JAX's own": gradients(lambda *arrays: own_lstm(shape, *arrays)),
    }


def own_lstm(shape: Shape, x: Any, states: Any, weights: Any) -> Any:
    lengths = jnp.full(shape.batch, shape.seq_len, jnp.int32)
    output, h_n, c_n = lstm_ref(
        x.swapaxes(0, 1), *states, *({0: w} for w in weights), lengths,
        input_size=shape.input_size, hidden_size=shape.hidden_size, num_layers=1, dropout=0.0,
        bidirectional=False,
    )  # fmt: skip
    return output.swapaxes(0, 1), h_n, c_n


def least_times(calls: dict[str, Call], rounds: int) -> list[float]:
    least = dict.fromkeys(calls, float("inf"))
    for _ in range(rounds + 1):  # the first compiles
        for name, call in calls.items():
            begin = time.perf_counter()
            call()
            least[name] = min(least[name], time.perf_counter() - begin)
    return [1e6 * time for time in least.values()]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=100)
    rounds = parser.parse_args().rounds
    rows = []
    for shape in SHAPES:
        for what, make in (("forward", forward_calls), ("gradients", training_calls)):
            times = least_times(make(shape), rounds)
            rows.append([shape.label, what, *(f"{us:.0f}" for us in times)])
    print(table(["T,N,I/H", "us", "NumPy", "JAX", "JAX's own"], rows, left=2))


if __name__ == "__main__":
    main()
