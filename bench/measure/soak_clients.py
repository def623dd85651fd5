"""Clients of `Sessions` that do what a server's do, and compare every bit of every answer."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

import lstm_native
from shapes import Shape, make_case

Array = npt.NDArray[np.floating]

_SHAPE = Shape("soak", 60, 12, 64, 128, 2)
# What weights are stored in.
FORMATS: tuple[str | None, ...] = (None, "float16", "int8")
SLOW_S = 0.05
# Sessions of a client at once.
_MOST_OPEN = 12


@dataclass(frozen=True)
class Tapes:
    """Inputs of sessions, (tapes, steps, features), and the hidden states of a lone stream."""

    packed: lstm_native.PackedWeights
    inputs: Array
    hidden: Array

    @staticmethod
    def stored_in(weight_dtype: str | None) -> Tapes:
        case = make_case(_SHAPE, np.float32)
        packed = lstm_native.pack_weights(
            case.all_weights, _SHAPE.num_layers, False, weight_dtype=weight_dtype
        )
        lone = [lstm_native.Stream(packed, num_threads=1) for _ in range(_SHAPE.batch)]
        hidden = [stream.run(case.x[:, k : k + 1])[:, 0] for k, stream in enumerate(lone)]
        inputs = np.ascontiguousarray(np.swapaxes(case.x, 0, 1))
        return Tapes(packed, inputs, np.stack(hidden))


@dataclass
class Session:
    """Which tape a session is fed with, and how many steps of it it has had."""

    tape: int
    at: int = 0


@dataclass
class Counts:
    """What a client has done."""

    acts: int = 0
    steps: int = 0
    wrong_calls: int = 0
    wrong_answers: int = 0
    worst_s: float = 0.0
    slow: list[tuple[float, float]] = field(default_factory=list)  # from, to


class Client:
    """One thread's sessions, in Sessions that all threads share."""

    def __init__(self, shared: dict[str | None, tuple[lstm_native.Sessions, Tapes]], seed: int):
        self._rng = np.random.default_rng(seed)
        self._shared = shared
        self._open: dict[str | None, dict[int, Session]] = {name: {} for name in shared}
        self.counts = Counts()
        actions: dict[Callable[[], None], float] = {
            self._step: 60,
            self._run: 8,
            self._join: 12,
            self._leave: 6,
            self._reset: 3,
            self._move: 3,
            self._mistake: 8,
            self._renew: 0.2,
        }
        self._actions = list(actions)
        self._shares = np.array(list(actions.values())) / sum(actions.values())

    def work_until(self, end: float, pause_s: float) -> None:
        """Act again and again, with pauses of this mean."""
        while time.perf_counter() < end:
            self.act()
            time.sleep(self._rng.exponential(pause_s))

    def act(self) -> None:
        """Do one of the things that clients do."""
        name = list(self._shared)[self._rng.integers(len(self._shared))]
        self._sessions, self._tapes = self._shared[name]
        self._own = self._open[name]
        self._actions[self._rng.choice(len(self._actions), p=self._shares)]()
        self.counts.acts += 1

    def _some(self, steps: int) -> list[int]:
        """Some of the own sessions, in any order, whose tapes have as many steps left."""
        ready = [i for i, s in self._own.items() if s.at + steps <= _SHAPE.seq_len]
        self._rng.shuffle(ready)
        return ready[: self._rng.integers(1, _MOST_OPEN + 1)]

    def _timed(self, call: Callable[[], Array]) -> Array:
        begin = time.perf_counter()
        result = call()
        end = time.perf_counter()
        self.counts.worst_s = max(self.counts.worst_s, end - begin)
        if end - begin > SLOW_S:
            self.counts.slow.append((begin, end))
        return result

    def _advance(self, ids: list[int], steps: int) -> tuple[Array, Array]:
        """The input and the expected hidden states of these sessions, (steps, ids, ...)."""
        own, tapes = [self._own[id] for id in ids], self._tapes
        x = np.stack([tapes.inputs[s.tape, s.at : s.at + steps] for s in own], axis=1)
        hidden = np.stack([tapes.hidden[s.tape, s.at : s.at + steps] for s in own], axis=1)
        for session in own:
            session.at += steps
        return x, hidden

    def _compare(self, got: Array, expected: Array) -> None:
        self.counts.wrong_answers += got.tobytes() != expected.tobytes()

    def _step(self) -> None:
        if ids := self._some(1):
            x, expected = self._advance(ids, 1)
            self._compare(self._timed(lambda: self._sessions.step(ids, x[0])), expected[0])
            self.counts.steps += len(ids)

    def _run(self) -> None:
        steps = int(self._rng.integers(2, 5))
        if ids := self._some(steps):
            x, expected = self._advance(ids, steps)
            self._compare(self._timed(lambda: self._sessions.run(ids, x)), expected)
            self.counts.steps += steps * len(ids)

    def _join(self) -> None:
        if len(self._own) < _MOST_OPEN:
            self._own[self._sessions.open()] = Session(int(self._rng.integers(_SHAPE.batch)))

    def _leave(self) -> None:
        if self._own:
            id = int(self._rng.choice(list(self._own)))
            self._sessions.close(id)
            del self._own[id]

    def _reset(self) -> None:
        for id in self._some(0)[:3]:
            self._sessions.reset(id)
            self._own[id].at = 0

    def _move(self) -> None:
        """Give a session's state to a new one, as to another process."""
        if self._own and len(self._own) < _MOST_OPEN:
            id = int(self._rng.choice(list(self._own)))
            moved = self._sessions.open()
            if self._rng.integers(2):
                self._sessions.load(moved, self._sessions.dump(id))
            else:
                self._sessions.set_state(moved, self._sessions.state(id))
            self._sessions.close(id)
            self._own[moved] = self._own.pop(id)

    def _mistake(self) -> None:
        """Make a wrong call; what it must not change, later steps compare."""
        ids, sessions = list(self._own), self._sessions
        x = np.zeros((len(ids) + 1, _SHAPE.input_size), np.float32)
        h = np.zeros((1, 3), np.float32)
        calls: list[Callable[[], object]] = [
            lambda: sessions.step([*ids, 2**40], x),
            lambda: sessions.step([*ids, -1], x),
            lambda: sessions.step([*ids, *ids, 2**41], x),
            lambda: sessions.step([*ids, "anna"], x),  # type: ignore[list-item]
            lambda: sessions.step(ids, x),
            lambda: sessions.step(ids, x[1:].astype(float)) if ids else sessions.close(2**40),
            lambda: sessions.run(ids, x[None, :, 1:]),
            lambda: sessions.close(2**42),
            lambda: sessions.reset("ben"),  # type: ignore[arg-type]
            lambda: sessions.set_state(ids[0] if ids else 2**40, (h, h)),
            lambda: sessions.load(ids[0] if ids else 2**40, self._rng.bytes(100)),
        ]
        self.counts.wrong_calls += 1
        try:
            calls[self._rng.integers(len(calls))]()
        except (TypeError, ValueError):
            return
        self.counts.wrong_answers += 1  # it was accepted

    def _renew(self) -> None:
        """Make other Sessions with these weights, as a server does that is told to load again."""
        count = int(self._rng.integers(1, _SHAPE.batch + 1))
        sessions = lstm_native.Sessions(self._tapes.packed, int(self._rng.integers(count, 200)))
        ids = [sessions.open() for _ in range(count)]
        for at in range(3):
            x = np.ascontiguousarray(self._tapes.inputs[:count, at])
            self._compare(sessions.step(ids, x), self._tapes.hidden[:count, at])
