"""How the benchmark measures: what it times is right, and what went wrong is not timed."""

import dataclasses
import io
import json
import math
import subprocess
import sys
from contextlib import closing

import numpy as np
import pytest

from bench import ROOT
from bench.measure import rounds, training, worker
from bench.measure.results import Outcome, ShapeResult, Status
from bench.measure.rounds import Settings, measure
from bench.measure.side_process import SideProcessError, run_program
from bench.measure.timing import Turn, time_turn
from bench.measure.workers import (
    Crew,
    NotInstalledError,
    RequestFailedError,
    WorkerCrashedError,
    WorkerProcess,
)
from bench.measure.working_sets import parse_sizes, working_sets
from bench.peers import OURS, PEERS, variants
from bench.peers.base import Peer, Prepared
from bench.peers.cases import (
    EVEN_TRAINING_SHAPES,
    RAGGED_SHAPES,
    batch_sizes_of,
    filled_fraction,
    lengths_of,
    output_gradient,
    pack,
    unpack,
)
from bench.peers.check import NAMES, OUR_GRADIENT_TOLERANCE, check_answer, names_of
from bench.peers.oracle import batched_lstm
from bench.peers.oracle_backward import expected_training, trained_lstm
from bench.peers.variants import (
    EVEN_TRAINING,
    FADING,
    FLOAT16,
    LENGTHS,
    PACKED_SEQUENCE,
    PACKED_TRAINING,
    PADDED,
    PLAIN,
    RAGGED,
    RAGGED_TRAINING,
    RECOMPUTE,
    TRAINING,
    isa_variant,
)
from bench_helpers import KB, MB, NO_WAITING, TINY, FakeCrew, behaving, made_up_limits
from few_and_all import few_of
from reference_backward import backward_packed
from reference_lstm import reference
from shapes import BENCH_SHAPES, TEST_SHAPES, Shape, make_case, shapes_by_name

SMALLEST_NORMAL = np.finfo(np.float32).tiny


def test_shapes_have_unique_names_and_reasons():
    shapes = BENCH_SHAPES + TEST_SHAPES + RAGGED_SHAPES
    assert len({shape.name for shape in shapes}) == len(shapes)
    assert all(shape.reason for shape in shapes)


class TestOracle:
    """Both oracles step whole batches; the tests' references go through one sequence at a time."""

    @pytest.mark.parametrize("is_ragged", [False, True])
    @pytest.mark.parametrize("name", ["bi_two_layers", "h17", "three_layers"])
    def test_agrees_with_the_readable_references(self, name, is_ragged):
        shape = shapes_by_name()[name]
        lengths = [shape.seq_len] * shape.batch
        if is_ragged:
            drawn = np.random.default_rng(2).integers(1, shape.seq_len, shape.batch, endpoint=True)
            lengths = [shape.seq_len, *sorted((int(n) for n in drawn[1:]), reverse=True)]
        case = make_case(shape)
        runs = np.arange(shape.seq_len)[:, None] < np.array(lengths)
        d_output = np.where(runs[..., None], output_gradient(shape, 0), 0).astype(np.float64)
        output, h_n, c_n, d_input, *others = trained_lstm(case, d_output, lengths)

        for row, length in enumerate(lengths):
            one = slice(row, row + 1)
            states = (case.h0[:, one], case.c0[:, one])
            expected = reference(
                case.x[:length, one], *states, case.all_weights, shape.bidirectional
            )
            assert not output[length:, row].any()
            assert not d_input[length:, row].any()
            for got, kind in ((output[:length], "output"), (h_n, "h_n"), (c_n, "c_n")):
                wanted = getattr(expected, kind)
                np.testing.assert_allclose(got[:, one], wanted, rtol=0, atol=1e-12)
        for got, same in zip(batched_lstm(case, lengths), (output, h_n, c_n), strict=True):
            np.testing.assert_allclose(got, same, rtol=0, atol=1e-14)

        zeros = np.zeros_like(case.h0)
        expected = backward_packed(
            *(case.x[runs], case.h0, case.c0, case.all_weights, shape.bidirectional),
            *([int(step.sum()) for step in runs], d_output[runs], zeros, zeros, (True, True), None),
        )
        wanted = (expected.input, expected.h_0, expected.c_0, *expected.weights)
        for mine, theirs in zip((d_input[runs], *others), wanted, strict=True):
            np.testing.assert_allclose(mine, theirs, rtol=0, atol=1e-11 * np.abs(theirs).max())


class TestCases:
    def test_unpack_undoes_pack_but_for_the_padding(self):
        shape = RAGGED_SHAPES[0]
        padded = np.ones((shape.seq_len, shape.batch, 3), np.float32)
        packed = pack(padded, shape)
        assert packed.shape == (sum(batch_sizes_of(shape)), 3)
        again = unpack(packed, shape)
        gradient = output_gradient(shape, 0, is_ragged=True)
        for row, length in enumerate(lengths_of(shape)):
            assert again[:length, row].all()
            assert gradient[:length, row].all()
            assert not again[length:, row].any()
            assert not gradient[length:, row].any()
        assert filled_fraction(shape) == again.mean(dtype=np.float64)

    def test_fading_gradient_is_subnormal_for_most_steps(self):
        shape = shapes_by_name()["stream_h128"]
        d_input = np.abs(expected_training(shape, 0, fades=True)[3]).max(axis=(1, 2))
        assert ((d_input < SMALLEST_NORMAL) & (d_input > 0)).mean() > 0.5
        assert d_input[-1] > SMALLEST_NORMAL


class TestCheck:
    VALUES = (np.zeros((2, 1, 3)), np.zeros((1, 1, 3)), np.zeros((1, 1, 3)))
    TRAINED = (*VALUES, *[np.array([-50.0, 1.0])] * 5)

    def changed(self, index, value):
        answer = [array.astype(np.float32) for array in self.TRAINED]
        answer[index].flat[0] = value
        return answer

    def test_errors_are_absolute_for_values_and_relative_for_gradients(self):
        verdict = check_answer(self.changed(1, 1e-5), self.TRAINED, 1e-4, 1e-4)
        assert (verdict.problem, verdict.max_abs_error) == ("", pytest.approx(1e-5))
        verdict = check_answer(self.changed(3, -50.001), self.TRAINED, 1e-9, 1e-4)
        assert (verdict.problem, verdict.max_abs_error) == ("", 0)
        assert verdict.max_gradient_error == pytest.approx(2e-5, rel=1e-2)

    @pytest.mark.parametrize("index", range(8))
    @pytest.mark.parametrize("error", [0.01, math.nan, math.inf])
    def test_wrong_array_is_named(self, index, error):
        value = self.TRAINED[index].flat[0] + error
        verdict = check_answer(self.changed(index, value), self.TRAINED, 1e-4, 1e-4)
        assert verdict.problem.startswith(f"{names_of(8)[index]} is off by")

    def test_wrong_shape_is_caught_even_if_it_broadcasts(self):
        answer = [*self.VALUES[:2], self.VALUES[2][0]]
        assert check_answer(answer, self.VALUES, 1.0).problem.startswith("c_n has shape (1, 3)")

    def test_missing_gradient_is_caught(self):
        verdict = check_answer(self.TRAINED[:-1], self.TRAINED, 1e-9)
        assert verdict.problem == "7 arrays, not 8"

    def test_zero_may_stand_for_a_subnormal_gradient(self):
        expected = (*self.VALUES, np.array([1e-45]))
        assert check_answer((*self.VALUES, np.zeros(1)), expected, 1e-9).problem == ""
        assert check_answer((*self.VALUES, np.full(1, 1e-37)), expected, 1e-9).problem


def raising(error, at):
    def behaviour(op):
        if op == at:
            raise error

    return behaviour


@pytest.fixture
def _zeros_expected(monkeypatch):
    monkeypatch.setattr(rounds, "expected_answer", lambda *args, **kwargs: [np.zeros(1)] * 3)


@pytest.mark.usefixtures("_zeros_expected")
class TestRounds:
    def test_every_implementation_is_timed_once_per_round(self):
        crew = FakeCrew(a=behaving(), b=behaving(), c=behaving())
        result = measure(TINY, 2, crew, NO_WAITING)
        assert crew.times == ["a", "b", "c", "b", "c", "a"]
        assert result.outcomes["a"].turns == [Turn(5.0, 6.0, 7)] * 2
        assert (result.shape, result.threads) == (TINY, 2)

    def test_wrong_answer_is_reported_instead_of_timed(self):
        crew = FakeCrew(right=behaving(), wrong=behaving(save_answer=0.25))
        outcome = measure(TINY, 1, crew, NO_WAITING).outcomes["wrong"]
        assert (outcome.status, outcome.max_abs_error) == (Status.WRONG_ANSWER, 0.25)
        assert outcome.min_us is None
        assert set(crew.times) == {"right"}

    def test_answer_that_goes_wrong_later_is_caught(self):
        answers = iter([0.0, 1.0])
        crew = FakeCrew(stale=lambda op: next(answers) if op == "save_answer" else None)
        outcome = measure(TINY, 1, crew, NO_WAITING).outcomes["stale"]
        assert outcome.status is Status.WRONG_ANSWER
        assert len(outcome.turns) == NO_WAITING.rounds
        assert outcome.min_us is None

    @pytest.mark.parametrize(
        ("operation", "error", "status"),
        [
            ("prepare", NotInstalledError("no module"), Status.NOT_INSTALLED),
            ("save_answer", RequestFailedError("ValueError: no"), Status.FAILED),
            ("time", WorkerCrashedError("exit status -11"), Status.CRASHED),
        ],
    )
    def test_failure_does_not_stop_the_others(self, operation, error, status):
        crew = FakeCrew(bad=raising(error, at=operation), good=behaving())
        outcomes = measure(TINY, 1, crew, NO_WAITING).outcomes
        assert (outcomes["bad"].status, outcomes["bad"].detail) == (status, str(error))
        assert outcomes["good"].min_us == 5.0

    def test_unsupported_shape_is_not_timed(self):
        crew = FakeCrew(narrow=behaving(prepare={"unsupported": "batch of one only"}))
        outcome = measure(TINY, 1, crew, NO_WAITING).outcomes["narrow"]
        assert (outcome.status, outcome.detail) == (Status.UNSUPPORTED, "batch of one only")
        assert crew.times == []

    def test_variant_is_left_out_of_shapes_that_are_not_its_own(self):
        crew = FakeCrew(**{PLAIN: raising(AssertionError("asked"), at="prepare"), OURS: behaving()})
        outcome = measure(BENCH_SHAPES[0], 1, crew, NO_WAITING).outcomes[PLAIN]
        assert (outcome.status, outcome.detail) == (Status.LEFT_OUT, "T >= 25 only")
        assert set(crew.times) == {OURS}

    def test_each_variant_is_compared_with_its_own_answer(self, monkeypatch):
        asked = []

        def expected(kind):
            def ask(shape, seed, **options):
                asked.append((kind, seed, *options.values()))
                return [np.zeros(1)] * 3

            return ask

        monkeypatch.setattr(rounds, "expected_answer", expected("values"))
        monkeypatch.setattr(rounds, "expected_training", expected("gradients"))
        settings = dataclasses.replace(NO_WAITING, seed=4)
        names = (PADDED, LENGTHS, TRAINING, FADING, PACKED_TRAINING)
        crew = FakeCrew(**{name: behaving() for name in names})
        measure(shapes_by_name()["stream_h128"], 1, crew, settings)
        once = [("values", 4, False), ("values", 4, True)]
        once += [("gradients", 4, *o) for o in ((False, False), (False, True), (True, False))]
        assert asked == once * 2

    @pytest.mark.parametrize(
        ("name", "status"), [(OURS, Status.WRONG_ANSWER), (FLOAT16, Status.OK)]
    )
    def test_half_precision_has_a_tolerance_of_its_own(self, name, status):
        crew = FakeCrew(**{name: behaving(save_answer=4e-4)})
        shape = shapes_by_name()["single_step_h512"]
        assert measure(shape, 1, crew, NO_WAITING).outcomes[name].status is status

    def test_training_takes_fewer_rounds(self, monkeypatch):
        asked = []

        def fake_measure(shape, threads, crew, settings):
            asked.append((shape, crew.names, settings.rounds, settings.min_samples))
            return ShapeResult(shape, threads, {})

        monkeypatch.setattr(training, "measure", fake_measure)
        list(training.measure_training(2, (OURS, "torch"), Settings()))
        even = [(shape, EVEN_TRAINING, 5, 2) for shape in EVEN_TRAINING_SHAPES]
        assert asked == even + [(shape, RAGGED_TRAINING, 3, 1) for shape in RAGGED_SHAPES]


class TestVariants:
    def test_narrower_instruction_sets_are_those_below_the_one_in_use(self):
        supported = ["avx512", "avx2", "baseline"]
        narrower = variants.narrower_isas({"supported": supported, "in_use": "avx512"})
        assert narrower == ("avx2", "baseline")

    def test_forced_instruction_set_is_in_the_environment(self):
        assert variants.environment_of("lstm_native avx2") == {"LSTM_NATIVE_ISA": "avx2"}
        for name in (OURS, PLAIN, FLOAT16, *RAGGED, *PEERS):
            assert variants.environment_of(name) == {}


class TestWorkingSets:
    def sizes(self, caches, threads):
        return {part.level: part.num_bytes for part in working_sets(caches, threads)}

    def test_sizes_are_read_as_the_kernel_writes_them(self):
        caches = parse_sizes({"L1d": "32K", "L2": "1M", "L3": "64"})
        assert caches == {"L1d": 32 * KB, "L2": MB, "L3": 64}
        with pytest.raises(ValueError, match=r"1\.5M"):
            parse_sizes({"L2": "1.5M"})

    def test_l3_is_divided_among_threads(self):
        own = {"L1": 16 * KB, "L2": 256 * KB}
        shared = {"1/8 of L3": 4 * MB, "1/4 of L3": 8 * MB, "1/2 of L3": 16 * MB}
        shared["memory"] = 64 * MB
        assert self.sizes(made_up_limits().caches, 1) == own | shared
        halves = {level: num_bytes // 2 for level, num_bytes in shared.items()}
        assert self.sizes(made_up_limits().caches, 2) == own | halves

    def test_part_of_l3_that_nearly_fits_l2_is_left_out(self):
        caches = {"L1d": 48 * KB, "L2": 2 * MB, "L3": 12 * MB}
        assert list(self.sizes(caches, 2)) == ["L1", "L2", "1/2 of L3", "memory"]

    def test_unknown_caches_are_an_error(self):
        with pytest.raises(ValueError, match="L1d, L2"):
            working_sets({}, 1)


class TestTiming:
    def test_min_samples_are_taken_though_the_budget_is_spent(self):
        assert time_turn(lambda: sum(range(100_000)), 0.0, 3).calls >= 3

    def test_short_calls_share_a_reading_of_the_clock(self):
        calls = []
        turn = time_turn(lambda: calls.append(None), 0.0, 1)
        assert 1 < turn.calls <= len(calls)
        assert 0 < turn.min_us <= turn.median_us


class FakePeer(Peer):
    """Returns its case's initial state as the answer."""

    def unsupported(self, shape: Shape) -> str:
        return "" if shape.bidirectional else "bidirectional only"

    def prepare(self, case, threads, seed):
        return Prepared(lambda: case, lambda case: (case.x, case.h0, case.c0))

    def versions(self):
        return {"fake": "1.2"}


class TestWorker:
    def converse(self, monkeypatch, load_peer, *requests) -> list[dict]:
        monkeypatch.setattr(worker, "load_peer", load_peer)
        replies = io.StringIO()
        lines = "".join(json.dumps(request) + "\n" for request in requests)
        worker.serve("fake", io.StringIO(lines), replies)
        return [json.loads(line) for line in replies.getvalue().splitlines()]

    def test_conversation(self, monkeypatch, tmp_path):
        path = tmp_path / "answer.npz"
        described, unsupported, failed, prepared, saved, turn = self.converse(
            monkeypatch,
            lambda name: FakePeer(),
            {"op": "describe"},
            {"op": "prepare", "shape": "ones", "threads": 1, "seed": 0},
            {"op": "time", "budget_ms": 1, "min_samples": 1},
            {"op": "prepare", "shape": TINY.name, "threads": 1, "seed": 3},
            {"op": "save_answer", "path": str(path)},
            {"op": "time", "budget_ms": 0.1, "min_samples": 1},
        )
        assert described == {"versions": {"fake": "1.2"}, "config": {}}
        assert unsupported == {"unsupported": "bidirectional only", "tape_bytes": None}
        assert failed == {"error": "RuntimeError: no shape is prepared"}
        assert prepared == {"unsupported": "", "tape_bytes": None}
        assert saved == {}
        assert turn["calls"] >= 1
        with np.load(path) as answer:
            assert tuple(answer.files) == NAMES
            np.testing.assert_array_equal(answer["h_n"], make_case(TINY, seed=3).h0)

    @pytest.mark.parametrize(("missing", "kind"), [("fake", "not_installed"), ("other", "error")])
    def test_only_its_own_absence_counts_as_not_installed(self, monkeypatch, missing, kind):
        def load_peer(name):
            raise ModuleNotFoundError(f"No module named {missing!r}", name=missing)

        (reply,) = self.converse(monkeypatch, load_peer, {"op": "describe"})
        assert list(reply) == [kind]

    def test_what_libraries_print_stays_out_of_the_replies(self):
        code = (
            "import os; from bench.measure.worker import _claim_stdout; replies = _claim_stdout();"
            "print('chatter', flush=True); os.write(1, b'native chatter\\n');"
            "replies.write('reply'); replies.flush()"
        )
        done = subprocess.run(
            [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
        )
        assert done.stdout == "reply"
        assert "native chatter" in done.stderr


ROUND_TRIPS = (
    (TINY, (OURS, TRAINING, RECOMPUTE)),
    (shapes_by_name()["long"], (PLAIN, isa_variant("baseline"))),
    (shapes_by_name()["single_step_h512"], (FLOAT16,)),
    (shapes_by_name()["stream_h128"], (FADING,)),
    (RAGGED_SHAPES[-1], (PADDED, PACKED_SEQUENCE, LENGTHS, PACKED_TRAINING)),
)


class TestProcesses:
    def test_crash_is_told_from_an_answer(self):
        with closing(WorkerProcess(OURS)) as process:
            process._process.kill()
            with pytest.raises(WorkerCrashedError, match="exit status"):
                process.request("describe")

    @pytest.mark.parametrize("name", ["nonsense", "lstm_native float17"])
    def test_unknown_implementation_is_a_failure(self, name):
        with closing(WorkerProcess(name)) as process:
            for _ in range(2):
                with pytest.raises(RequestFailedError, match=name.split()[-1]):
                    process.request("describe")

    def test_failed_program_is_told_by_its_last_words(self):
        with pytest.raises(SideProcessError, match=r"bench\.nonsense"):
            run_program("bench.nonsense", [])

    @few_of(
        "shape, names",
        ROUND_TRIPS,
        ROUND_TRIPS[:1],
        ids=lambda value: getattr(value, "name", ""),
    )
    def test_our_variants_make_the_round_trip(self, shape, names):
        with closing(Crew(names)) as crew:
            outcomes = measure(shape, 1, crew, NO_WAITING).outcomes
        for name in names:
            outcome = outcomes[name]
            assert (outcome.status, outcome.detail) == (Status.OK, "")
            assert outcome.max_abs_error <= variants.tolerance_of(name)
            assert outcome.min_us > 0
            if variants.trains(name):
                assert 0 < outcome.max_gradient_error <= OUR_GRADIENT_TOLERANCE
        if RECOMPUTE in names:
            assert outcomes[RECOMPUTE].tape_bytes < outcomes[TRAINING].tape_bytes

    @pytest.mark.parity
    def test_torch_makes_the_round_trip(self):
        pytest.importorskip("torch", reason="PyTorch is not installed: make parity runs this")
        with closing(Crew(["torch training", "torch packed training"])) as crew:
            even = measure(TINY, 1, crew, NO_WAITING).outcomes["torch training"]
            packed = measure(RAGGED_SHAPES[-1], 1, crew, NO_WAITING).outcomes[
                "torch packed training"
            ]
        for outcome in (even, packed):
            assert outcome.detail == ""
            assert outcome.min_us > 0


def test_quoted_time_is_the_minimum_over_all_rounds():
    outcome = Outcome(turns=[Turn(time, 2 * time, 3) for time in (4.0, 3.0, 9.0)])
    assert (outcome.min_us, outcome.median_us) == (3.0, 8.0)
