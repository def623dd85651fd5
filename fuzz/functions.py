"""Calls of `lstm`, `lstm_vjp`, `pack_weights`, `Stream` and `explain`."""

from __future__ import annotations

import inspect
from typing import Any

import numpy as np

import lstm_native
from fuzz import expected
from fuzz.arrays import REALS, draw, plain, spoil
from fuzz.check import FindingError, close, expect, outcome, refused
from fuzz.reader import Reader
from reference_dropout import drop_with

NAMES = tuple(inspect.signature(lstm_native.lstm_vjp).parameters)
PACK_NAMES = tuple(inspect.signature(lstm_native.pack_weights).parameters)
PULLBACK_NAMES = ("d_output", "d_h_outs", "d_c_outs", "needs")

ODD_SCALARS: list[Any] = [
    *(None, -1, 0, 1, 2, 129, 2**31, 2**63, 2**64, -(2**70), 10**5000),
    *(True, False, np.bool_(True), np.int8(1), np.uint64(2**64 - 1), np.float32(0.5)),
    *(0.0, 1.0, 0.5, -0.5, 1.5, float("nan"), float("inf"), 5e-324),
    *("1", b"1", [1], (1,), {}, object(), np.ones(1), np.array(1)),
]
SCALARS = ("num_layers", "dropout", "train", "bidirectional", "batch_first", "weights_transposed")
SCALARS += ("has_ih_bias", "has_hh_bias", "seed", "num_threads")


MOST_ROWS = 1000


def draw_call(reader: Reader) -> dict[str, Any]:
    """Return the arguments of a valid call."""
    dtype = reader.choose(REALS)
    steps, batch = reader.integer(1, 6), reader.integer(0, 9)
    features, hidden = reader.integer(1, 9), reader.integer(1, 37)
    layers, bidirectional = reader.integer(1, 3), reader.once_in(2)
    flags = [reader.once_in(3), not reader.once_in(3), not reader.once_in(3)]
    call: dict[str, Any] = {
        "num_layers": layers,
        "dropout": reader.choose([0.0, 0, 0.3, 1.0]),
        "train": reader.once_in(2),
        "bidirectional": bidirectional,
        "batch_first": reader.once_in(3),
        "weights_transposed": flags[0],
        "has_ih_bias": flags[1],
        "has_hh_bias": flags[2],
        "seed": reader.integer(0, 3),
        "num_threads": reader.choose([1, 2, 3, None]),
    }
    kind = reader.integer(0, 2)
    shape: tuple[int, ...] = (steps, batch, features)
    if call["batch_first"]:
        shape = (batch, steps, features)
    if kind == 1:
        call["lengths"] = [reader.integer(0, steps) for _ in range(batch)]
    elif kind == 2:
        sizes = sorted((reader.integer(1, 6) for _ in range(steps)), reverse=True)
        call["batch_sizes"] = reader.choose([list, tuple, np.array])(sizes)
        batch, shape = sizes[0], (sum(sizes), features)
    cells = layers * (2 if bidirectional else 1)
    call["input"] = draw(reader, shape, dtype)
    call["initial_states"] = tuple(draw(reader, (cells, batch, hidden), dtype) for _ in range(2))
    shapes = expected.weight_shapes(features, hidden, layers, bidirectional, flags)
    scale = 0.5 * hidden**-0.5  # much larger ones would magnify rounding from step to step
    call["all_weights"] = [draw(reader, shape, dtype, scale) for shape in shapes]
    if kind == 0 and call["seed"] == 3:  # takes no bytes: kept calls stay what they are
        rng = np.random.default_rng(10 * steps + batch)
        first = (batch, steps) if call["batch_first"] else (steps, batch)
        call["mask"] = rng.random(first) < rng.choice([0.0, 0.3, 0.8, 1.0])
        call["masked_output"] = str(rng.choice(["zero", "last"]))
    return call


def spoil_call(reader: Reader, call: dict[str, Any]) -> None:
    """Put something else in the place of some arguments."""
    for _ in range(reader.integer(0, 2)):
        what = reader.integer(0, 6)
        if what == 0:
            call["input"] = spoil(reader, call["input"])
        elif what == 1:
            states = list(call["initial_states"] or ())
            if states:
                place = reader.integer(0, len(states) - 1)
                states[place] = spoil(reader, states[place])
            call["initial_states"] = reader.choose([tuple(states), states, states[:1], None])
        elif what == 2 and call["all_weights"] and isinstance(call["all_weights"], list):
            place = reader.integer(0, len(call["all_weights"]) - 1)
            call["all_weights"][place] = spoil(reader, call["all_weights"][place])
        elif what == 3:
            weights = call["all_weights"] or []
            call["all_weights"] = reader.choose([weights[:-1], weights * 2, None, "x", {}])
        elif what == 4:
            name = reader.choose(["lengths", "batch_sizes"])
            steps = [reader.choose([0, 1, 3, 100]) for _ in range(reader.integer(0, 4))]
            given = np.array(steps, reader.choose(["i8", "u1", "f4", "?", "O"]))
            if "mask" in call and name == "lengths":
                name = "mask"
            call[name] = reader.choose([given, steps, given[None], 3, None, [2**63], "x"])
        else:
            call[reader.choose(SCALARS)] = reader.choose(ODD_SCALARS)


def judge(call: dict[str, Any]) -> tuple[int, int, int, int] | None:
    """Return the sizes of a valid call; scalars that make no sense make it invalid."""
    try:
        return expected.valid_sizes(call)
    except (TypeError, OverflowError):
        return None


def takes_long(sizes: tuple[int, int, int, int] | None) -> bool:
    """Whether a valid call would have very much to compute; one without rows has nothing."""
    if sizes is None or sizes[1] == 0:
        return False
    return sizes[0] * sizes[1] > MOST_ROWS or max(sizes[2:]) > MOST_ROWS


def of_lstm(reader: Reader) -> None:
    """Call `lstm`, against the reference."""
    call = draw_call(reader)
    spoil_call(reader, call)
    sizes = judge(call)
    if takes_long(sizes):
        return
    result = outcome(lambda: lstm_native.lstm(**call), NAMES)
    if expect(sizes is not None, result, "lstm"):
        assert sizes is not None
        compare(call, sizes, result, "lstm")


def compare(call: dict[str, Any], sizes: tuple[int, int, int, int], got: Any, what: str) -> None:
    drops = call["train"] and call["dropout"] > 0 and call["num_layers"] > 1
    ragged = call.get("lengths") is not None or call.get("mask") is not None
    if drops and (call["seed"] is None or ragged):
        return  # masks that the reference does not draw
    if drops and call["batch_first"] and call.get("batch_sizes") is None:
        return
    drop = drop_with(float(call["dropout"]), int(call["seed"]), 0) if drops else None
    with np.errstate(all="ignore"):
        reference = expected.answer(call, sizes, drop)
    close(got, reference, plain(call["input"]).dtype, what)


def of_vjp(reader: Reader) -> None:
    """Call `lstm_vjp` and its pullback."""
    call = draw_call(reader)
    if reader.once_in(3):
        spoil_call(reader, call)
    sizes = judge(call)
    if takes_long(sizes):
        return
    recompute = reader.once_in(2)
    result = outcome(lambda: lstm_native.lstm_vjp(**call, recompute=recompute), NAMES)
    if not expect(sizes is not None, result, "lstm_vjp"):
        return
    assert sizes is not None
    outputs, pullback = result
    compare(call, sizes, outputs, "lstm_vjp")
    dtype = outputs[0].dtype
    given = [None if reader.once_in(4) else draw(reader, a.shape, dtype) for a in outputs]
    if reader.once_in(3):
        place = reader.integer(0, 2)
        given[place] = spoil(reader, given[place])
    needs = reader.choose([("input", "states", "weights"), ("input",), ["weights"], {"states"}, ()])
    got = outcome(lambda: pullback(*given, needs=needs), PULLBACK_NAMES)
    right = all(
        a is None or expected.agree([a, o], [o.shape] * 2)
        for a, o in zip(given, outputs, strict=True)
    )
    if expect(right, got, "pullback"):
        states = expected.initial_states(call, sizes[1], sizes[3])
        check_gradients({**call, "initial_states": states}, got, needs, dtype)


def check_gradients(call: dict[str, Any], got: Any, needs: Any, dtype: Any) -> None:
    """Check that gradients have the arguments' shapes; their values are the tests' business."""
    d_input, d_states, d_weights = got
    pairs = [(d_input, [call["input"]], "input"), (d_states, call["initial_states"], "states")]
    pairs += [(d_weights, call["all_weights"], "weights")]
    for gradients, arrays, need in pairs:
        if need == "input":
            listed = [gradients]
        else:
            listed = list(gradients) if gradients is not None else [None] * len(arrays)
        shapes = [None if g is None else (g.shape, g.dtype) for g in listed]
        wanted = [(plain(a).shape, dtype) if need in needs else None for a in arrays]
        if shapes != wanted:
            raise FindingError(f"gradients of {need}: {shapes}, expected {wanted}")


def of_packed(reader: Reader) -> None:
    """`pack_weights`, then `lstm` and a stream with what it gave: the bits of plain weights."""
    call = draw_call(reader)
    if reader.once_in(3):
        spoil_call(reader, call)
    if takes_long(judge(call)):
        return
    narrow = reader.choose([None, None, "float16", "bfloat16", "int8"])
    names = [name for name in PACK_NAMES if name in call]
    given = {name: call[name] for name in names} | {"weight_dtype": narrow}
    packed = outcome(lambda: lstm_native.pack_weights(**given), PACK_NAMES)
    if refused(packed):
        expect(judge(call) is not None and narrow is None, packed, "pack_weights")
        return
    if narrow is None:
        for ours, theirs in zip(packed.unpack(), call["all_weights"], strict=True):
            if ours.tobytes() != np.ascontiguousarray(plain(theirs).astype(ours.dtype)).tobytes():
                raise FindingError("unpack() gives other weights")
    plain_call = dict(call)
    plain_call["input"] = widened(call["input"], packed)
    if isinstance(call["initial_states"], (tuple, list)):
        plain_call["initial_states"] = [widened(a, packed) for a in call["initial_states"]]
    call["all_weights"] = packed
    result = outcome(lambda: lstm_native.lstm(**call), NAMES)
    sizes = judge(plain_call)
    expect(sizes is not None, result, "lstm with packed weights")
    if sizes is not None and narrow is None and not refused(result):
        compare(plain_call, sizes, result, "lstm with packed weights")
    of_stream(reader, packed)


def widened(value: Any, packed: Any) -> Any:
    """Return float16 as the float32 that weights in fewer bits take it for."""
    is_half = isinstance(value, np.ndarray) and value.dtype.newbyteorder("=") == np.float16
    return value.astype(np.float32) if is_half and packed.weight_dtype is not None else value


def of_stream(reader: Reader, packed: Any) -> None:
    """Call a stream a few times: it refuses, or moves on by that many steps."""
    batch = reader.choose([1, 2, 7, 0, True, "x"])
    stream = outcome(lambda: lstm_native.Stream(packed, batch), ("packed", "batch"))
    right = not packed.bidirectional and batch in (1, 2, 7) and batch is not True
    if not expect(right, stream, "Stream"):
        return
    for _ in range(reader.integer(0, 4)):
        steps = reader.integer(1, 3)
        several = reader.once_in(2)
        lead = (steps,) if several else ()
        x = draw(reader, (*lead, batch, packed.input_size), packed.dtype)
        shape = (*lead, batch, packed.hidden_size)
        out = reader.choose(
            [None, np.empty(shape, packed.dtype), draw(reader, shape, packed.dtype)]
        )
        if reader.once_in(4):
            x = spoil(reader, x)
        if reader.once_in(4):
            out = spoil(reader, out)
        given = plain(widened(x, packed))
        if given is not None and given.size > MOST_ROWS:
            continue
        before = stream.state
        method = stream.run if several else stream.step
        done = outcome(lambda m=method, x=x, out=out: m(x, out=out), ("x", "out"))
        after = stream.state
        if refused(done) and any(
            not np.array_equal(a, b, equal_nan=True) for a, b in zip(before, after, strict=True)
        ):
            raise FindingError("a stream that refused has moved") from done
        if not refused(done) and (
            given is None
            or given.shape[-2:] != (batch, packed.input_size)
            or done.shape[-2:] != shape[-2:]
        ):
            raise FindingError(f"a stream took x {x!r}")
        if reader.once_in(3):
            state = [draw(reader, before[0].shape, packed.dtype) for _ in range(2)]
            if reader.once_in(2):
                state[0] = spoil(reader, state[0])
            taken = [widened(array, packed) for array in state]
            right = (
                expected.agree(taken, [before[0].shape] * 2)
                and plain(taken[0]).dtype.newbyteorder("=") == packed.dtype
            )
            assign = outcome(lambda s=state: setattr(stream, "state", tuple(s)), ("state",))
            expect(right, assign, "a stream's state")


def of_explain(reader: Reader) -> None:
    """`explain` of a call: it refuses what `lstm` refuses."""
    call = draw_call(reader)
    spoil_call(reader, call)
    about = outcome(lambda: lstm_native.explain(**call), NAMES)
    expect(judge(call) is not None, about, "explain")


SURFACES = (of_lstm, of_vjp, of_packed, of_explain)
