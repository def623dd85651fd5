"""The benchmark of training: its oracle, its checks, its rows."""

import dataclasses
import json
from contextlib import closing

import numpy as np
import pytest

from bench import rounds, training, variants
from bench.check import NAMES, OUR_GRADIENT_TOLERANCE, check_answer, names_of
from bench.contract import judge
from bench.crew import Crew
from bench.oracle import batched_lstm
from bench.oracle_backward import expected_training, trained_lstm
from bench.peers import OURS
from bench.ragged_batches import RAGGED_SHAPES, lengths_of
from bench.record import from_record, to_record
from bench.results import Outcome, ShapeResult, Status
from bench.rounds import Settings, measure
from bench.training_cases import EVEN_TRAINING_SHAPES, output_gradient
from bench.training_table import render_training
from bench.variants import (
    EVEN_TRAINING,
    FADING,
    PACKED_TRAINING,
    RAGGED_TRAINING,
    RECOMPUTE,
    TORCH_PACKED_TRAINING,
    TORCH_TRAINING,
    TRAINING,
)
from bench.worker_process import RequestFailedError, WorkerProcess
from bench_helpers import NO_WAITING, TINY, FakeCrew, behaving, complete_report, row_of, timed
from reference_backward import backward_packed
from shapes import TEST_SHAPES, make_case, shapes_by_name

SMALLEST_NORMAL = np.finfo(np.float32).tiny


class TestOracle:
    @pytest.mark.parametrize("shape", TEST_SHAPES, ids=lambda shape: shape.name)
    def test_agrees_with_the_readable_reference(self, shape):
        self.compare(shape, [shape.seq_len] * shape.batch)

    @pytest.mark.parametrize("name", ["bi_two_layers", "h17", "three_layers"])
    def test_sequences_end_by_themselves(self, name):
        shape = shapes_by_name()[name]
        rng = np.random.default_rng(2)
        lengths = sorted(rng.integers(1, shape.seq_len, shape.batch, endpoint=True), reverse=True)
        self.compare(shape, [shape.seq_len, *lengths[1:]])

    def compare(self, shape, lengths):
        case = make_case(shape)
        runs = np.arange(shape.seq_len)[:, None] < np.array(lengths)
        d_output = np.where(runs[..., None], output_gradient(shape, 0), 0).astype(np.float64)
        got = trained_lstm(case, d_output, lengths)
        zeros = np.zeros_like(case.h0)
        expected = backward_packed(
            *(case.x[runs], case.h0, case.c0, case.all_weights, shape.bidirectional),
            *([int(step.sum()) for step in runs], d_output[runs], zeros, zeros, (True, True), None),
        )
        for mine, theirs in zip(got, batched_lstm(case, lengths), strict=False):
            np.testing.assert_allclose(mine, theirs, rtol=0, atol=1e-14)
        d_input, *others = got[3:]
        assert not d_input[~runs].any()
        wanted = (expected.input, expected.h_0, expected.c_0, *expected.weights)
        for mine, theirs in zip((d_input[runs], *others), wanted, strict=True):
            np.testing.assert_allclose(mine, theirs, rtol=0, atol=1e-11 * np.abs(theirs).max())


class TestOutputGradient:
    def test_nothing_behind_an_end(self):
        shape = RAGGED_SHAPES[-1]
        gradient = output_gradient(shape, 0, is_ragged=True)
        for row, length in enumerate(lengths_of(shape)):
            assert gradient[:length, row].all()
            assert not gradient[length:, row].any()

    def test_fading_one_is_subnormal_for_most_steps(self):
        shape = shapes_by_name()["stream_h128"]
        assert variants.is_fading_shape(shape)
        fades = {"fades": True}
        d_input, steady = (
            np.abs(expected_training(shape, 0, **options)[3]).max(axis=(1, 2))
            for options in (fades, {})
        )
        is_subnormal = (d_input < SMALLEST_NORMAL) & (d_input > 0)
        assert is_subnormal.mean() > 0.5
        assert d_input[-1] > SMALLEST_NORMAL
        assert (steady > 1e-6).all()


class TestCheck:
    EXPECTED = (*[np.zeros((1, 1, 1))] * 3, *[np.array([-50.0, 1.0])] * 5)

    def answer(self, index=3, value=-50.0):
        answer = [array.astype(np.float32) for array in self.EXPECTED]
        answer[index] = np.array([value, 1.0], np.float32)
        return answer

    def test_gradients_are_named_after_their_arrays(self):
        names = ["d_input", "d_h_0", "d_c_0", "d_weights[0]", "d_weights[1]"]
        assert names_of(8) == [*NAMES, *names]
        assert names_of(3) == list(NAMES)

    def test_gradients_are_compared_with_their_largest_magnitude(self):
        verdict = check_answer(self.answer(value=-50.001), self.EXPECTED, 1e-9, 1e-4)
        assert verdict.problem == ""
        assert verdict.max_gradient_error == pytest.approx(2e-5, rel=1e-2)
        assert verdict.max_abs_error == 0

    @pytest.mark.parametrize("index", range(3, 8))
    @pytest.mark.parametrize("value", [-50.01, np.nan, np.inf])
    def test_wrong_gradient_is_caught_wherever_it_is(self, index, value):
        verdict = check_answer(self.answer(index, value), self.EXPECTED, 1e-9, 1e-4)
        assert verdict.problem.startswith(f"{names_of(8)[index]} is off by")
        assert verdict.problem.endswith("(allowed 1e-04)")

    def test_missing_gradient_is_caught(self):
        verdict = check_answer(self.answer()[:-1], self.EXPECTED, 1e-9)
        assert verdict.problem == "7 arrays, not 8"

    def test_zero_may_stand_for_a_subnormal_gradient(self):
        expected = (*self.EXPECTED[:3], np.array([1e-45]))
        answer = [array.astype(np.float32) for array in (*self.EXPECTED[:3], np.zeros(1))]
        assert check_answer(answer, expected, 1e-9).problem == ""
        answer[3] += np.float32(1e-37)
        assert check_answer(answer, expected, 1e-9).problem


class TestRounds:
    def test_each_is_expected_to_give_its_own_gradients(self, monkeypatch):
        asked = []

        def expected(shape, seed, **options):
            asked.append((seed, options))
            return [np.zeros(1)] * 3

        monkeypatch.setattr(rounds, "expected_training", expected)
        crew = FakeCrew(**{name: behaving() for name in (TRAINING, FADING, PACKED_TRAINING)})
        shape = shapes_by_name()["stream_h128"]
        measure(shape, 1, crew, dataclasses.replace(NO_WAITING, seed=4))
        kinds = [(False, False), (False, True), (True, False)]
        assert asked == [(4, {"is_ragged": r, "fades": f}) for r, f in kinds] * 2

    def test_tape_is_kept(self, monkeypatch):
        monkeypatch.setattr(rounds, "expected_training", lambda *args, **_: [np.zeros(1)] * 3)
        reply = {"unsupported": "", "tape_bytes": 12}
        crew = FakeCrew(**{TRAINING: behaving(prepare=reply)})
        assert measure(TINY, 1, crew, NO_WAITING).outcomes[TRAINING].tape_bytes == 12

    def test_training_takes_fewer_rounds_and_only_who_is_there(self, monkeypatch):
        asked = []

        def fake_measure(shape, threads, crew, settings):
            asked.append((shape, crew.names, settings.rounds, settings.min_samples))
            return ShapeResult(shape, threads, {})

        monkeypatch.setattr(training, "measure", fake_measure)
        list(training.measure_training(2, (OURS, "torch"), Settings()))
        even = [(shape, EVEN_TRAINING, 5, 2) for shape in EVEN_TRAINING_SHAPES]
        assert asked == even + [(shape, RAGGED_TRAINING, 3, 1) for shape in RAGGED_SHAPES]
        asked.clear()
        list(training.measure_training(2, (OURS,), Settings(rounds=1)))
        assert asked[0][1:] == ((TRAINING, RECOMPUTE, FADING), 1, 2)
        assert asked[-1][1:] == ((PACKED_TRAINING,), 1, 1)

    def test_gradient_that_hardly_fades_is_left_out(self):
        crew = FakeCrew(**{FADING: behaving()})
        outcome = measure(TINY, 1, crew, NO_WAITING).outcomes[FADING]
        assert (outcome.status, outcome.detail) == (Status.LEFT_OUT, "T >= 100 only")


class TestContract:
    @pytest.mark.parametrize(
        ("times", "row", "reached", "verdict"),
        [
            ({"torch_training": 18.0}, "training, forward + backward", 1.8, "ok"),
            ({"torch_training": 17.0}, "training, forward + backward", 1.7, "MISSED"),
            ({"torch_training": 11.0}, "training, every single shape", 1.1, "MISSED"),
            ({"torch_packed_training": 80.0}, "training, ragged: torch", 8.0, "ok"),
            ({"torch_packed_training": 79.0}, "training, ragged: torch", 7.9, "MISSED"),
            ({"lstm_native_recompute": 13.0}, "recompute=True: time", 1.3, "ok"),
            ({"lstm_native_recompute": 14.0}, "recompute=True: time", 1.4, "MISSED"),
            ({}, "recompute=True: its tape", 0.4, "ok"),
            ({"lstm_native_fading_gradient": 16.0}, "gradient that fades", 1.6, "MISSED"),
        ],
    )
    def test_rows(self, times, row, reached, verdict):
        got = row_of(complete_report(**times), row)
        assert (got.figure.value, got.verdict) == (pytest.approx(reached), verdict)
        assert got.figure.gaps == ()

    def test_run_without_training_is_not_judged_by_it(self):
        report = dataclasses.replace(complete_report(), training=())
        rows = [row for row in judge(report, 1) if "training" in row.what]
        assert len(rows) == 3
        assert {row.verdict for row in rows} == {"not judged"}
        assert rows[0].figure.gaps == ("shape not in this run (all)",)


class TestRecord:
    def test_errors_and_tapes_are_read_back(self):
        outcome = Outcome(max_abs_error=1e-7, max_gradient_error=2e-6, tape_bytes=123)
        wrong = Outcome(Status.WRONG_ANSWER, "d_input is off", 0.0, float("nan"))
        result = ShapeResult(EVEN_TRAINING_SHAPES[0], 2, {TRAINING: outcome, RECOMPUTE: wrong})
        report = dataclasses.replace(complete_report(), training=(result,))
        (read,) = from_record(json.loads(json.dumps(to_record(report), allow_nan=False))).training
        assert read.outcomes[TRAINING] == outcome
        assert np.isnan(read.outcomes[RECOMPUTE].max_gradient_error)

    def test_older_runs_are_read(self):
        record = to_record(complete_report())
        del record["training"]
        for result in record["results"]:
            for outcome in result["implementations"].values():
                del outcome["max_gradient_error"], outcome["tape_bytes"]
        report = from_record(record)
        assert report.training == ()
        assert report.results == complete_report().results


class TestTable:
    def test_rows_give_times_and_ratios(self):
        less = timed(12.0)
        less.tape_bytes = 40
        whole = timed(10.0)
        whole.tape_bytes = 100
        outcomes = {
            TRAINING: whole,
            RECOMPUTE: less,
            FADING: timed(11.0),
            TORCH_TRAINING: timed(25.0),
        }
        even = ShapeResult(shapes_by_name()["stream_h128"], 1, outcomes)
        crashed = {PACKED_TRAINING: timed(5.0), TORCH_PACKED_TRAINING: Outcome(Status.CRASHED)}
        text = render_training([even, ShapeResult(RAGGED_SHAPES[0], 1, crashed)])
        times = "10.0 us | 12.0 us | 11.0 us | 25.0 us"
        assert f"| stream_h128 | 100,1,128 | {times} | 2.50 | 1.20 | 0.40 | 1.10 |" in text
        assert "| ragged_encoder | 100,32,128/256 bi | 5.00 us | crashed | - |" in text


class TestWorkerProcess:
    @pytest.mark.parametrize(
        ("shape", "names"),
        [
            (shapes_by_name()["stream_h128"], (TRAINING, RECOMPUTE, FADING)),
            (TINY, (TRAINING, RECOMPUTE)),
            (RAGGED_SHAPES[-1], (PACKED_TRAINING,)),
        ],
        ids=lambda value: getattr(value, "name", ""),
    )
    def test_our_training_makes_the_round_trip(self, shape, names):
        with closing(Crew(names)) as crew:
            outcomes = measure(shape, 1, crew, NO_WAITING).outcomes
        for name in names:
            assert outcomes[name].detail == ""
            assert 0 < outcomes[name].max_gradient_error <= OUR_GRADIENT_TOLERANCE
            assert outcomes[name].min_us > 0
        steps = sum(lengths_of(shape)) if shape in RAGGED_SHAPES else shape.seq_len * shape.batch
        cells = steps * shape.num_layers * shape.num_directions * shape.hidden_size
        # Gates and cell states behind a header of 32 elements.
        assert outcomes[names[0]].tape_bytes == 4 * (32 + 5 * cells)
        if RECOMPUTE in names:
            assert outcomes[RECOMPUTE].tape_bytes == 4 * (32 + 2 * cells)

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

    def test_unknown_variant_is_a_failure(self):
        with (
            closing(WorkerProcess("lstm_native trainings")) as process,
            pytest.raises(RequestFailedError, match="trainings"),
        ):
            process.request("describe")
