"""The benchmark's own correctness: what it reports must be what happened."""

import dataclasses
import io
import json
import math
import subprocess
import sys
from contextlib import closing

import numpy as np
import pytest

from bench import ROOT, machine, oracle, ragged, rounds, run, training, variants, worker
from bench.check import FLOAT16_TOLERANCE, NAMES, OUR_TOLERANCE, PEER_TOLERANCE, check_answer
from bench.contract import judge
from bench.contract_table import render_contract
from bench.crew import Crew
from bench.label_placement import place_labels
from bench.limits_table import render_limits
from bench.markdown import format_time
from bench.options import PARTS, parse
from bench.oracle import expected_answer
from bench.output import write
from bench.peers import OURS, PEERS
from bench.peers.base import Peer, Prepared
from bench.ragged_batches import (
    RAGGED_SHAPES,
    batch_sizes_of,
    filled_fraction,
    lengths_of,
    pack,
    unpack,
)
from bench.ratios import beside_ideal, share_of_limit, speedup
from bench.record import from_record, to_record
from bench.results import Outcome, ShapeResult, Status, geometric_mean
from bench.roofline import FLOAT16_BYTES, flops, intensity, limit_us
from bench.rounds import Settings, measure
from bench.side_process import SideProcessError, run_program
from bench.stream_latency import StreamLatency, render_streams
from bench.table import render
from bench.timing import Turn, time_turn
from bench.training_cases import EVEN_TRAINING_SHAPES
from bench.variants import (
    FADING,
    FLOAT16,
    LENGTHS,
    PACKED_SEQUENCE,
    PACKED_TRAINING,
    PADDED,
    PLAIN,
    RAGGED,
    RECOMPUTE,
    TORCH_PACKED_SEQUENCE,
    TRAINING,
    isa_variant,
)
from bench.worker_process import (
    NotInstalledError,
    RequestFailedError,
    WorkerCrashedError,
    WorkerProcess,
)
from bench.working_sets import parse_sizes, working_sets
from bench_helpers import (
    KB,
    MB,
    NO_WAITING,
    TINY,
    FakeCrew,
    behaving,
    complete_report,
    made_up_limits,
    made_up_report,
    row_of,
    timed,
)
from reference_lstm import reference
from shapes import BENCH_SHAPES, TEST_SHAPES, Shape, make_case, shapes_by_name


def made_up_result(threads: int = 1, **outcomes: Outcome) -> ShapeResult:
    return ShapeResult(BENCH_SHAPES[0], threads, outcomes)


class TestShapes:
    def test_names_are_unique_and_every_shape_has_a_reason(self):
        shapes = BENCH_SHAPES + TEST_SHAPES
        assert len({shape.name for shape in shapes}) == len(shapes)
        assert all(shape.reason for shape in shapes)

    def test_bench_shapes_are_those_of_the_peers_table(self):
        assert [shape.label for shape in BENCH_SHAPES] == [
            "1,1,64",
            "1,1,256",
            "1,1,512",
            "1,1,1024",
            "100,1,128",
            "100,1,256 L2",
            "50,1,1536",
            "100,1,512 bi",
            "200,8,32",
            "100,8,512",
            "25,16,512",
            "25,64,512",
            "25,64,1024",
            "100,32,128/256 L2 bi",
            "50,128,64",
        ]

    @pytest.mark.parametrize("shape", TEST_SHAPES, ids=lambda shape: shape.name)
    def test_case_has_the_documented_sizes(self, shape):
        case = make_case(shape)
        directions = 2 if shape.bidirectional else 1
        states = (shape.num_layers * directions, shape.batch, shape.hidden_size)
        assert case.x.shape == (shape.seq_len, shape.batch, shape.input_size)
        assert case.h0.shape == case.c0.shape == states
        assert len(case.all_weights) == 4 * shape.num_layers * directions
        gates = 4 * shape.hidden_size
        last_w_ih, last_w_hh, *biases = case.all_weights[-4:]
        width = shape.input_size if shape.num_layers == 1 else directions * shape.hidden_size
        assert last_w_ih.shape == (gates, width)
        assert last_w_hh.shape == (gates, shape.hidden_size)
        assert [bias.shape for bias in biases] == [(gates,), (gates,)]

    def test_case_is_deterministic(self):
        first, again, other = make_case(TINY), make_case(TINY), make_case(TINY, seed=1)
        np.testing.assert_array_equal(first.x, again.x)
        for weight, same in zip(first.all_weights, again.all_weights, strict=True):
            np.testing.assert_array_equal(weight, same)
        assert not np.array_equal(first.x, other.x)

    def test_dtype_rounds_the_same_numbers(self):
        single, double = make_case(TINY, np.float32), make_case(TINY, np.float64)
        assert (single.c0.dtype, double.c0.dtype) == (np.float32, np.float64)
        np.testing.assert_array_equal(single.c0, double.c0.astype(np.float32))

    def test_biases_left_out_change_no_other_weight(self):
        full = make_case(TINY)
        for bias in ((True, False), (False, True), (False, False)):
            case = make_case(TINY, bias=bias)
            per_direction = 2 + sum(bias)
            assert (case.has_ih_bias, case.has_hh_bias) == bias
            assert len(case.all_weights) == per_direction * 4
            for direction in range(4):
                np.testing.assert_array_equal(
                    case.all_weights[direction * per_direction + 1],
                    full.all_weights[direction * 4 + 1],
                )

    def test_weights_have_the_usual_scale(self):
        weights = make_case(BENCH_SHAPES[0]).all_weights
        bound = 64**-0.5
        assert all(0.9 * bound < np.abs(weight).max() <= bound for weight in weights)


class TestOracle:
    @pytest.mark.parametrize("shape", TEST_SHAPES, ids=lambda shape: shape.name)
    def test_agrees_with_the_readable_reference(self, shape):
        case = make_case(shape)
        expected = reference(case.x, case.h0, case.c0, case.all_weights, shape.bidirectional)
        answer = expected_answer(shape, 0)
        for name, got in zip(NAMES, answer, strict=True):
            assert got.dtype == np.float64
            np.testing.assert_allclose(got, getattr(expected, name), rtol=0, atol=1e-13)

    def test_sequences_of_a_ragged_batch_end_by_themselves(self, monkeypatch):
        lengths = (5, 2)
        monkeypatch.setattr(oracle, "lengths_of", lambda shape: lengths)
        shape = shapes_by_name()["bi_two_layers"]
        output, h_n, c_n = expected_answer.__wrapped__(shape, 0, is_ragged=True)
        case = make_case(shape, np.float32)
        for row, length in enumerate(lengths):
            alone = slice(row, row + 1)
            states = (case.h0[:, alone], case.c0[:, alone])
            expected = reference(case.x[:length, alone], *states, case.all_weights, True)
            assert (output[length:, row] == 0).all()
            for got, name in ((output[:length], "output"), (h_n, "h_n"), (c_n, "c_n")):
                want = getattr(expected, name)
                np.testing.assert_allclose(got[:, alone], want, rtol=0, atol=1e-12)


class TestCheck:
    EXPECTED = (np.zeros((2, 1, 3)), np.zeros((1, 1, 3)), np.zeros((1, 1, 3)))

    def answer_with(self, value: float, index: int = 1) -> list[np.ndarray]:
        answer = [array.astype(np.float32) for array in self.EXPECTED]
        answer[index][0, 0, 0] = value
        return answer

    def test_right_answer_passes(self):
        verdict = check_answer(self.answer_with(1e-5), self.EXPECTED, OUR_TOLERANCE)
        assert verdict.problem == ""
        assert verdict.max_abs_error == pytest.approx(1e-5)

    @pytest.mark.parametrize("index", range(3))
    @pytest.mark.parametrize("value", [1e-3, math.nan, math.inf])
    def test_wrong_answer_is_caught_wherever_it_is(self, value, index):
        verdict = check_answer(self.answer_with(value, index), self.EXPECTED, OUR_TOLERANCE)
        assert verdict.problem.startswith(f"{NAMES[index]} is off")

    def test_wrong_shape_is_caught_even_if_it_broadcasts(self):
        answer = self.answer_with(0.0)
        answer[2] = answer[2][0]
        verdict = check_answer(answer, self.EXPECTED, OUR_TOLERANCE)
        assert verdict.problem == "c_n has shape (1, 3), not (1, 1, 3)"


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
        assert outcome.status is Status.WRONG_ANSWER
        assert outcome.max_abs_error == 0.25
        assert outcome.min_us is None
        assert "wrong" not in crew.times

    def test_answer_that_goes_wrong_later_is_caught(self):
        answers = iter([0.0, 1.0])
        crew = FakeCrew(stale=lambda op: next(answers) if op == "save_answer" else None)
        outcome = measure(TINY, 1, crew, NO_WAITING).outcomes["stale"]
        assert outcome.status is Status.WRONG_ANSWER
        assert len(outcome.turns) == NO_WAITING.rounds
        assert outcome.min_us is None

    @pytest.mark.parametrize("operation", ["prepare", "save_answer", "time"])
    @pytest.mark.parametrize(
        ("error", "status"),
        [
            (NotInstalledError("no module"), Status.NOT_INSTALLED),
            (RequestFailedError("ValueError: no"), Status.FAILED),
            (WorkerCrashedError("exit status -11"), Status.CRASHED),
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

    def test_variant_sits_out_shapes_that_are_none_of_its_own(self):
        crew = FakeCrew(**{PLAIN: raising(AssertionError("asked"), at="prepare"), OURS: behaving()})
        outcome = measure(BENCH_SHAPES[0], 1, crew, NO_WAITING).outcomes[PLAIN]
        assert (outcome.status, outcome.detail) == (Status.LEFT_OUT, "T >= 25 only")
        assert set(crew.times) == {OURS}

    @pytest.mark.parametrize(
        ("name", "status"), [(OURS, Status.WRONG_ANSWER), (FLOAT16, Status.OK)]
    )
    def test_half_precision_has_a_tolerance_of_its_own(self, name, status):
        crew = FakeCrew(**{name: behaving(save_answer=4e-4)})
        h512 = shapes_by_name()["single_step_h512"]
        assert measure(h512, 1, crew, NO_WAITING).outcomes[name].status is status

    def test_only_those_who_heed_lengths_are_expected_to(self, monkeypatch):
        asked = []
        monkeypatch.setattr(
            rounds,
            "expected_answer",
            lambda shape, seed, *, is_ragged: asked.append(is_ragged) or [np.zeros(1)] * 3,
        )
        measure(RAGGED_SHAPES[0], 1, FakeCrew(**dict.fromkeys(RAGGED, behaving())), NO_WAITING)
        assert asked == [False, True, True, True] * 2


class TestVariants:
    def test_narrower_instruction_sets_are_those_below_the_one_in_use(self):
        supported = ["avx512", "avx2", "baseline"]
        narrower = variants.narrower_isas({"supported": supported, "in_use": "avx512"})
        assert narrower == ("avx2", "baseline")
        assert variants.narrower_isas({"supported": supported, "in_use": "baseline"}) == ()

    def test_forced_instruction_set_is_in_the_environment(self):
        assert variants.environment_of("lstm_native avx2") == {"LSTM_NATIVE_ISA": "avx2"}
        for name in (OURS, PLAIN, FLOAT16, *RAGGED, *PEERS):
            assert variants.environment_of(name) == {}

    def test_tolerances(self):
        assert variants.tolerance_of(FLOAT16) == FLOAT16_TOLERANCE == 1e-3
        assert variants.tolerance_of(PLAIN) == OUR_TOLERANCE
        assert variants.tolerance_of(TORCH_PACKED_SEQUENCE) == PEER_TOLERANCE

    def test_shapes_of_half_precision(self):
        labels = [shape.label for shape in BENCH_SHAPES if variants.is_float16_shape(shape)]
        assert labels == ["1,1,512", "1,1,1024", "50,1,1536", "100,1,512 bi"]


class TestRaggedBatches:
    @pytest.mark.parametrize("shape", RAGGED_SHAPES, ids=lambda shape: shape.name)
    def test_lengths_fit_the_shape(self, shape):
        lengths = lengths_of(shape)
        assert len(lengths) == shape.batch
        assert list(lengths) == sorted(lengths, reverse=True)
        assert lengths[0] == shape.seq_len
        assert lengths[-1] >= shape.seq_len // 6
        assert sum(batch_sizes_of(shape)) == sum(lengths)
        assert 0.4 < filled_fraction(shape) < 0.7

    def test_unpack_undoes_pack_but_for_the_padding(self):
        shape = RAGGED_SHAPES[0]
        padded = np.ones((shape.seq_len, shape.batch, 3), np.float32)
        packed = pack(padded, shape)
        assert packed.shape == (sum(lengths_of(shape)), 3)
        again = unpack(packed, shape)
        for row, length in enumerate(lengths_of(shape)):
            assert (again[:length, row] == 1).all()
            assert (again[length:, row] == 0).all()


class TestWorkingSets:
    def sizes(self, caches, threads):
        return {part.level: part.num_bytes for part in working_sets(caches, threads)}

    def test_sizes_are_read_as_the_kernel_writes_them(self):
        assert parse_sizes({"L1d": "32K", "L2": "1M", "L3": "64"}) == {
            "L1d": 32 * KB,
            "L2": MB,
            "L3": 64,
        }
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
        assert list(self.sizes(caches, 1)) == ["L1", "L2", "1/4 of L3", "1/2 of L3", "memory"]
        assert list(self.sizes(caches, 2)) == ["L1", "L2", "1/2 of L3", "memory"]

    def test_without_l3_memory_comes_next(self):
        assert self.sizes({"L1d": 32 * KB, "L2": MB}, 2)["memory"] == 16 * MB

    def test_unknown_caches_are_an_error(self):
        with pytest.raises(ValueError, match="L1d, L2"):
            working_sets({}, 1)


class TestRoofline:
    def test_operations_are_counted_twice_per_multiply_add(self):
        assert flops(Shape("", 3, 2, 5, 7)) == 2 * 3 * 2 * 4 * 7 * (5 + 7)

    def test_further_layers_read_both_directions(self):
        two_layers = Shape("", 1, 1, 5, 7, num_layers=2, bidirectional=True)
        assert flops(two_layers) == 2 * 2 * 4 * 7 * ((5 + 7) + (14 + 7))

    def test_large_batch_is_bound_by_multiply_adds(self):
        shape = Shape("", 10, 1000, 64, 64)
        assert limit_us(shape, made_up_limits()) == pytest.approx(flops(shape) / 100e3)

    def test_recurrent_weights_in_l1_or_l2_come_from_there(self):
        for hidden_size, bandwidth in ((32, 200.0), (128, 100.0)):
            shape = Shape("", 10_000, 1, 1, hidden_size)
            unbound = dataclasses.replace(made_up_limits(), gflops={"avx2": 1e9})
            read = shape.seq_len * 4 * hidden_size**2 * 4
            got = limit_us(shape, unbound)
            assert got == pytest.approx(read / bandwidth / 1e3, rel=1e-3)

    def test_beyond_l2_an_l2_full_stays(self):
        shape = Shape("", 1, 1, 512, 512)
        in_l2, rest = 0.5 * MB, 7.5 * MB
        expected = (in_l2 / 100 + rest / 50) / 1e3
        assert limit_us(shape, made_up_limits()) == pytest.approx(expected)

    def test_wide_layers_come_from_memory(self):
        shape = Shape("", 1, 1, 2048, 2048)
        in_l2, rest = 0.5 * MB, 127.5 * MB
        expected = (in_l2 / 100 + rest / 10) / 1e3
        assert limit_us(shape, made_up_limits()) == pytest.approx(expected)

    def test_threads_share_the_reading(self):
        # One thread's share fits L2, all of it wouldn't.
        shape = Shape("", 1, 1, 176, 176)
        assert 512 * KB < 4 * 176 * (176 + 176) * 4 < 1024 * KB
        assert limit_us(shape, made_up_limits(2)) < limit_us(shape, made_up_limits(1))

    def test_half_as_many_bytes_double_the_intensity(self):
        shape = Shape("", 1, 1, 512, 512)
        assert intensity(shape) == 0.5
        assert intensity(shape, FLOAT16_BYTES) == 1.0
        less = limit_us(shape, made_up_limits(), FLOAT16_BYTES)
        assert less < limit_us(shape, made_up_limits()) / 2

    def test_input_weights_are_read_once(self):
        assert intensity(Shape("", 1000, 8, 64, 64)) == pytest.approx(8, rel=2e-3)


class TestRatios:
    def test_speedup_is_against_the_best_peer_and_no_variant(self):
        result = made_up_result(**{OURS: timed(10), PLAIN: timed(5), "torch": timed(20)})
        assert speedup(result, OURS) == 2.0
        assert speedup(result, PLAIN) == 4.0
        assert speedup(result, "ncnn") is None

    def test_ideal_is_the_padded_time_for_the_rows_that_count(self):
        shape = RAGGED_SHAPES[0]
        outcomes = {PADDED: timed(100), LENGTHS: timed(100 * filled_fraction(shape))}
        result = ShapeResult(shape, 1, outcomes)
        assert beside_ideal(result, LENGTHS) == pytest.approx(1.0)
        assert beside_ideal(result, PACKED_SEQUENCE) is None

    def test_share_of_the_limit_knows_how_large_weights_are(self):
        shape = shapes_by_name()["single_step_h512"]
        result = ShapeResult(shape, 1, {OURS: timed(1000), FLOAT16: timed(1000)})
        assert share_of_limit(result, OURS, None) is None
        whole, half = (share_of_limit(result, n, made_up_limits()) for n in (OURS, FLOAT16))
        assert half < whole / 2


class TestContract:
    def test_complete_run_is_judged_in_every_row(self):
        rows = judge(complete_report(), 1)
        assert len(rows) == 20
        assert {row.verdict for row in rows} <= {"ok", "MISSED", "-"}
        assert not any(row.figure.gaps for row in rows)

    @pytest.mark.parametrize(("us", "verdict"), [(13.0, "ok"), (13.5, "MISSED")])
    def test_geometric_mean(self, us, verdict):
        row = row_of(complete_report(lstm_native=us), "float32, packed weights")
        assert row.figure.value == pytest.approx(20 / us)
        assert row.verdict == verdict

    def test_single_steps_have_bounds_of_their_own(self):
        report = complete_report(lstm_native=10.0)
        verdicts = {
            row.what: (row.bound, row.verdict)
            for row in judge(report, 1)
            if row.what.startswith("T = 1")
        }
        assert verdicts == {
            "T = 1, N = 1, H = 64": (2.5, "MISSED"),
            "T = 1, N = 1, H = 256": (1.4, "ok"),
            "T = 1, N = 1, H = 512": (1.1, "ok"),
        }

    def test_worst_shape_is_named_with_its_share_of_the_limit(self):
        slow = timed(40)
        report = complete_report()
        last = report.results[-1]
        worst = dataclasses.replace(last, outcomes={**last.outcomes, OURS: slow})
        report = dataclasses.replace(report, results=(*report.results[:-1], worst))
        row = row_of(report, "every single shape")
        assert (row.figure.value, row.verdict) == (0.5, "MISSED")
        assert row.figure.note.startswith(f"{last.shape.name}, ")
        assert row.figure.note.endswith("% of the limit")

    def test_at_most_is_the_other_way_round(self):
        assert row_of(complete_report(lstm_native_plain=10.9), "plain").verdict == "ok"
        row = row_of(complete_report(lstm_native_plain=12.0), "plain")
        assert (row.verdict, row.figure.value) == ("MISSED", pytest.approx(1.2))

    def test_ragged_rows(self):
        report = complete_report(lstm_native_packed_sequence=5.0, lstm_native_lengths=20.0)
        worst = max(0.5 / filled_fraction(shape) for shape in RAGGED_SHAPES)
        assert row_of(report, "ragged, packed").figure.value == pytest.approx(worst)
        assert row_of(report, "ragged, packed").verdict == "ok"
        assert row_of(report, "ragged, lengths").verdict == "MISSED"
        assert row_of(report, "ragged: torch").figure.value == pytest.approx(4.0)

    def test_half_precision_is_judged_by_mean_and_by_worst(self):
        report = complete_report(lstm_native_float16=10.0)
        mean, worst = (r for r in judge(report, 1) if "16-bit" in r.what)
        assert (mean.figure.value, mean.figure.note) == (pytest.approx(2.0), "4 of 4 shapes")
        assert (worst.figure.value, worst.verdict) == (pytest.approx(2.0), "ok")

    def test_avx2_is_ours_where_it_is_in_use(self):
        row = row_of(complete_report(lstm_native=10.0), "avx2 in use")
        assert (row.figure.value, row.bound) == (pytest.approx(2.0), 1.0)

    def test_avx2_is_the_forced_variant_where_more_is_in_use(self):
        report = complete_report()
        context = {**report.context, "config": {OURS: {"isa": {"in_use": "avx512"}}}}
        row = row_of(dataclasses.replace(report, context=context), "avx2 forced")
        assert (row.verdict, row.figure.value) == ("not judged", None)
        assert row.figure.gaps == ("lstm_native avx2 not in this run (all)",)

    def test_nothing_is_required_of_the_baseline(self):
        assert row_of(complete_report(), "baseline forced").verdict == "-"

    def test_missing_peer_makes_no_one_the_best(self):
        report = complete_report()
        absent = Outcome(Status.NOT_INSTALLED, "No module named 'ncnn'")
        results = tuple(
            dataclasses.replace(result, outcomes={**result.outcomes, "ncnn": absent})
            for result in report.results
        )
        report = dataclasses.replace(report, results=results)
        row = row_of(report, "float32, packed weights")
        assert row.verdict == "not judged"
        assert row.figure.gaps == ("ncnn not installed (all)",)
        # What loses against the peers that were there would lose against more.
        assert row_of(report, "T = 1, N = 1, H = 64").verdict == "MISSED"
        assert row_of(report, "T = 1, N = 1, H = 256").verdict == "not judged"

    def test_missing_shapes_are_counted(self):
        report = complete_report()
        report = dataclasses.replace(report, results=report.results[5:])
        row = row_of(report, "float32, packed weights")
        names = ", ".join(shape.name for shape in BENCH_SHAPES[:3])
        assert row.figure.gaps == (f"shape not in this run ({names} and 2 more)",)
        assert (row.verdict, row.figure.note) == ("not judged", "10 of 15 shapes")

    def test_empty_run_judges_nothing(self):
        rows = judge(dataclasses.replace(made_up_report(), results=()), 1)
        assert {row.verdict for row in rows} == {"not judged"}
        assert all(row.figure.gaps for row in rows)
        text = render_contract(rows)
        assert "| - | not judged; shape not in this run (all) |" in text

    def test_table_says_what_was_required_and_what_was_reached(self):
        text = render_contract(judge(complete_report(), 1))
        assert (
            "| float32, packed weights: geometric mean | 1.5 | 2 | 2.00 (15 of 15 shapes) | ok |"
            in text
        )
        assert "| at most 1.1 | 1.03 | 1.00 (stream_h128) | ok |" in text
        assert "| training, every single shape | 1.15 | 1.5 | 2.00 (forecast_h32) | ok |" in text


class TestResults:
    def test_quoted_time_is_the_minimum_over_all_rounds(self):
        outcome = timed(4.0, 3.0, 9.0)
        assert (outcome.min_us, outcome.median_us) == (3.0, 8.0)

    def test_ratio_is_the_best_peers_time_over_ours(self):
        result = made_up_result(lstm_native=timed(10), torch=timed(30), ncnn=timed(15))
        assert result.best_peer() == "ncnn"
        assert result.ratio("ncnn", OURS) == pytest.approx(1.5)
        assert result.ratio("torch", OURS) == pytest.approx(3.0)

    def test_wrong_peer_is_not_the_best_however_fast(self):
        wrong = timed(1)
        wrong.status = Status.WRONG_ANSWER
        result = made_up_result(lstm_native=timed(10), torch=timed(30), ncnn=wrong)
        assert result.best_peer() == "torch"

    def test_without_a_time_there_is_no_ratio(self):
        alone = made_up_result(lstm_native=timed(10), torch=Outcome(Status.CRASHED))
        assert alone.best_peer() is None
        assert alone.ratio(None, OURS) is None
        assert made_up_result(torch=timed(1)).ratio("torch", OURS) is None

    def test_geometric_mean(self):
        assert geometric_mean([1.0, 4.0]) == pytest.approx(2.0)
        assert geometric_mean([]) is None

    def test_json_is_strict_and_complete(self):
        wrong = Outcome(Status.WRONG_ANSWER, "c_n is off", max_abs_error=math.nan)
        report = made_up_report(made_up_result(lstm_native=timed(2, 1), torch=wrong))
        read = json.loads(json.dumps(to_record(report), allow_nan=False))
        (result,) = read["results"]
        ours = result["implementations"]["lstm_native"]
        assert read["commit"] == {"hash": "abc123", "dirty": True}
        assert result["shape"]["name"] == BENCH_SHAPES[0].name
        assert (ours["min_us"], ours["max_abs_error"], len(ours["rounds"])) == (1, 1e-7, 2)
        assert result["implementations"]["torch"]["max_abs_error"] == "nan"

    def test_record_is_read_back(self):
        report = complete_report(threads=(1, 2))
        record = json.loads(json.dumps(to_record(report), allow_nan=False))
        assert from_record(record) == report
        assert record["contract"]["2"][0]["verdict"] == "ok"


def shapes_section(*results: ShapeResult) -> str:
    """What precedes the contract."""
    return render(made_up_report(*results)).partition("### What must be reached")[0]


class TestTable:
    def rows(self, *results: ShapeResult) -> list[str]:
        return [line for line in shapes_section(*results).splitlines() if "|" in line]

    def test_row_gives_times_and_ratio(self):
        row = self.rows(made_up_result(lstm_native=timed(10), torch=timed(30), ncnn=timed(15)))[2]
        assert row == "| single_step_h64 | 1,1,64 | 10.0 us | 30.0 us | **15.0 us** | 1.50 | - |"

    def test_last_row_gives_geometric_means(self):
        unsupported = Outcome(Status.UNSUPPORTED, "batch of one only")
        row = self.rows(
            made_up_result(lstm_native=timed(10), torch=timed(10), ncnn=unsupported),
            made_up_result(lstm_native=timed(10), torch=timed(80), ncnn=timed(40)),
        )[-1]
        assert row == "| geometric mean, peer / ours |  |  | 2.83 | 4.00 | 2.00 |  |"

    def test_each_number_of_threads_has_its_table(self):
        text = render(made_up_report(made_up_result(lstm_native=timed(1)), made_up_result(2)))
        assert text.index("## 1 thread\n") < text.index("## 2 threads\n")

    def test_what_was_not_timed_is_explained(self):
        crashed = Outcome(Status.CRASHED, "exit status -11\nlast words")
        missing = Outcome(Status.NOT_INSTALLED, "No module named 'ncnn'")
        result = made_up_result(lstm_native=timed(1), torch=crashed, ncnn=missing)
        text = render(made_up_report(result))
        assert "| 1.00 us | crashed | not installed | - | - |" in text
        assert "- torch, crashed: exit status -11\n      last words\n- ncnn, not installed" in text

    def test_shapes_are_named_where_only_some_failed(self):
        wrong = Outcome(Status.WRONG_ANSWER, "h_n is off")
        results = made_up_result(torch=timed(1)), made_up_result(2, torch=wrong)
        text = render(made_up_report(*results))
        assert "- torch, wrong answer: h_n is off; shapes (threads): single_step_h64 (2)" in text

    def test_circumstances_are_given(self):
        text = render(made_up_report(made_up_result(lstm_native=timed(1))))
        assert "Made-Up CPU, 2 cores, L2 512K" in text
        assert "load average before: 0.12" in text
        assert "abc123 with uncommitted changes" in text
        assert "ISA in use avx2, BLAS OpenBLAS" in text
        assert "`python -m bench --quick`" in text

    def test_complete_report_has_every_part(self):
        text = render(complete_report(threads=(1, 2)), "x.png")
        for part in (
            "](x.png)",
            "| FMA peak, avx2 | 100 GFLOP/s | 100 GFLOP/s |",
            "| read, memory | 10 GB/s (64 MB each) |",
            "### Variants of lstm_native, 2 threads",
            "| 10.0 us (2.00) | - | - | 10.0 us (2.00) |",
            "### Ragged batches, 1 thread",
            "| ragged_tagger | 200,64,64/128 | 0.59 |",
            "### Training, 2 threads",
            "### What must be reached, 2 threads",
            "| 64 | 1 | 6.00 us | 5.00 us | 3.00 us | 4.00 us | 2.00 us | ok |",
            "- narrower-isas: left out by --quick",
            "- lstm_native plain, left out: T >= 25 only",
        ):
            assert part in text

    def test_limits_of_different_parts_share_a_table(self):
        fewer = dataclasses.replace(made_up_limits(2), bandwidths=made_up_limits().bandwidths[:2])
        text = render_limits([made_up_limits(), fewer])
        assert "| read, 1/4 of L3 | 50 GB/s (8 MB each) | - |" in text

    def test_step_that_costs_too_much_is_told(self):
        slow_into = StreamLatency(64, 1, step=6.0, step_into=8.0, run_step=4.0, kernel=4.0)
        assert render_streams([slow_into]).endswith("| 4.00 us | MISSED |")

    @pytest.mark.parametrize(
        ("us", "text"),
        [(3.456, "3.46 us"), (34.56, "34.6 us"), (345.6, "346 us"), (75100.0, "75.1 ms")],
    )
    def test_times_have_three_digits(self, us, text):
        assert format_time(us) == text


class TestTiming:
    def test_min_samples_are_taken_though_the_budget_is_spent(self):
        assert time_turn(lambda: sum(range(100_000)), 0.0, 3).calls == 3

    def test_short_calls_share_a_reading_of_the_clock(self):
        calls = []
        turn = time_turn(lambda: calls.append(None), 0.0, 1)
        assert turn.calls > 1
        assert turn.min_us < 20

    def test_minimum_is_at_most_the_median(self):
        turn = time_turn(lambda: sum(range(1000)), 1.0, 3)
        assert 0 < turn.min_us <= turn.median_us


class TestCommandLine:
    def test_defaults_are_everything(self):
        options = parse([])
        assert options.shapes == BENCH_SHAPES
        assert options.implementations == (OURS, PLAIN, FLOAT16, *PEERS)
        assert options.omissions == {}
        assert options.settings == Settings()

    def test_ours_always_runs(self):
        options = parse(["--peers", "torch", "--shapes", "stream_h128"])
        assert options.implementations == (OURS, PLAIN, FLOAT16, "torch")
        assert [shape.name for shape in options.shapes] == ["stream_h128"]

    @pytest.mark.parametrize(
        ("line", "suffix"),
        [
            ("", ""),
            ("--rounds 20", ""),
            ("--threads 1 2 4", ""),
            ("--quick", "-quick"),
            ("--peers torch", "-partial"),
            ("--without ragged", "-partial"),
            ("--quick --without narrower-isas training", "-quick"),
            ("--without training", "-partial"),
            ("--quick --without ragged", "-quick-partial"),
            ("--quick --shapes stream_h128", "-quick-partial"),
        ],
    )
    def test_lesser_run_does_not_replace_a_full_one(self, line, suffix):
        assert parse(line.split()).name_suffix == suffix

    def test_parts_can_be_left_out(self):
        options = parse(["--quick", "--without", "plain", "limits"])
        assert options.implementations == (OURS, FLOAT16, *PEERS)
        assert options.omissions == {
            "narrower-isas": "left out by --quick",
            "training": "left out by --quick",
            "plain": "left out by --without",
            "limits": "left out by --without",
        }

    @pytest.mark.parametrize(
        "line", ["--threads 0", "--shapes nonsense", "--peers nonsense", "--without nonsense"]
    )
    def test_nonsense_is_refused(self, line, capsys):
        with pytest.raises(SystemExit):
            parse(line.split())
        assert line.split()[1] in capsys.readouterr().err

    def test_rounds_override_those_of_quick(self):
        quick = parse(["--quick"]).settings
        assert quick.rounds < Settings().rounds
        assert quick.turn_ms < Settings().turn_ms
        assert parse(["--quick", "--rounds", "99"]).settings.rounds == 99

    def test_cpu_gives_a_file_name(self, monkeypatch):
        name = "Intel(R) Xeon(R) Platinum 8375C CPU @ 2.90GHz"
        monkeypatch.setattr(machine, "cpu_model", lambda: name)
        for flags, slug in (
            ([], "intel-xeon-platinum-8375c-cpu"),
            (["avx", "avx2"], "intel-xeon-platinum-8375c-cpu-avx2"),
            (["avx", "avx2", "avx512f"], "intel-xeon-platinum-8375c-cpu-avx512"),
        ):
            monkeypatch.setattr(machine, "_isa_flags", lambda flags=flags: flags)
            assert machine.cpu_slug() == slug

    def test_machine_is_described(self):
        described = machine.describe_machine()
        assert described["cpu"]
        assert described["cores"] >= 1
        json.dumps(described)


class TestRun:
    NO_MORE = ("--without", *PARTS)

    def test_results_are_written_and_printed(self, monkeypatch, tmp_path, capsys):
        result = made_up_result(lstm_native=timed(10), torch=timed(30))
        context = dict(made_up_report().context)
        monkeypatch.setattr(run, "describe_run", lambda *args: context)
        monkeypatch.setattr(run, "measure", lambda *args: result)
        arguments = ["--quick", "--threads", "1", "--peers", "torch", "--out", str(tmp_path)]
        arguments += self.NO_MORE
        assert run.main([*arguments, "--shapes", result.shape.name]) == 0
        (table,) = tmp_path.glob("*-quick-partial.md")
        (read,) = json.loads(table.with_suffix(".json").read_text())["results"]
        assert read["implementations"]["lstm_native"]["min_us"] == 10
        assert table.read_text() in capsys.readouterr().out

    def test_exit_status_tells_that_ours_failed(self, monkeypatch, tmp_path):
        result = made_up_result(lstm_native=Outcome(Status.WRONG_ANSWER, "h_n is off"))
        context = dict(made_up_report().context)
        monkeypatch.setattr(run, "describe_run", lambda *args: context)
        monkeypatch.setattr(run, "measure", lambda *args: result)
        assert run.main(["--out", str(tmp_path), *self.NO_MORE]) == 1

    def test_every_part_is_measured_or_said_to_be_missing(self, monkeypatch, tmp_path):
        def program(module, arguments):
            assert arguments == ["--threads", "1"]
            if module == "bench.limits":
                raise SideProcessError("ImportError: no probes")
            return [dataclasses.asdict(StreamLatency(64, 1, 6.0, 5.0, 3.0, 4.0))]

        crews = []

        def fake_measure(shape, threads, crew, settings):
            crews.append(crew.names)
            return ShapeResult(shape, threads, {name: timed(10) for name in crew.names})

        monkeypatch.setattr(run, "describe_run", lambda *args: dict(made_up_report().context))
        monkeypatch.setattr(run, "run_program", program)
        monkeypatch.setattr(run, "measure", fake_measure)
        monkeypatch.setattr(ragged, "measure", fake_measure)
        monkeypatch.setattr(training, "measure", fake_measure)
        arguments = ["--threads", "1", "--out", str(tmp_path), "--peers", "ncnn"]
        assert run.main([*arguments, "--shapes", "stream_h128"]) == 0
        (path,) = tmp_path.glob("*-partial.json")
        record = json.loads(path.read_text())
        assert record["omissions"] == {"limits": "ImportError: no probes"}
        assert record["streams"][0]["step"] == 6.0
        assert crews[0] == (OURS, PLAIN, FLOAT16, "ncnn", isa_variant("baseline"))
        # Without torch among the peers, its ragged batches aren't timed, either.
        end = 1 + len(RAGGED_SHAPES)
        assert crews[1:end] == [(PADDED, PACKED_SEQUENCE, LENGTHS)] * len(RAGGED_SHAPES)
        even, packed = (TRAINING, RECOMPUTE, FADING), (PACKED_TRAINING,)
        assert crews[end:] == [even] * len(EVEN_TRAINING_SHAPES) + [packed] * len(RAGGED_SHAPES)


class TestSideProcess:
    def test_failure_is_told_by_its_last_words(self):
        with pytest.raises(SideProcessError, match=r"bench\.nonsense"):
            run_program("bench.nonsense", [])


class TestPlot:
    def test_picture_is_drawn(self, tmp_path):
        pytest.importorskip("matplotlib")
        text, why_no_picture = write(complete_report(threads=(1, 2)), tmp_path / "x.json")
        assert why_no_picture == ""
        assert (tmp_path / "x.png").read_bytes().startswith(b"\x89PNG")
        assert "](x.png)" in text

    def test_picture_of_next_to_nothing_is_drawn(self, tmp_path):
        pytest.importorskip("matplotlib")
        report = made_up_report(made_up_result(torch=Outcome(Status.CRASHED)))
        _, why_no_picture = write(report, tmp_path / "x.json")
        assert why_no_picture == ""

    def test_tables_need_no_matplotlib(self, monkeypatch, tmp_path):
        for module in ("bench.plot", "matplotlib"):
            monkeypatch.delitem(sys.modules, module, raising=False)
        monkeypatch.setitem(sys.modules, "matplotlib", None)
        (tmp_path / "x.png").write_bytes(b"an older run's")
        text, why_no_picture = write(complete_report(), tmp_path / "x.json")
        assert "matplotlib" in why_no_picture
        assert not (tmp_path / "x.png").exists()
        assert "x.png" not in text

    def test_labels_keep_clear_of_each_other_and_of_points(self):
        points = [(0.0, 0.0), (1.0, 2.0), (2.0, -2.0), (60.0, 0.0)]
        boxes = place_labels(points, [40.0] * len(points), 10.0)
        for index, box in enumerate(boxes):
            assert not any(box.overlaps(other) for other in boxes[:index])
            assert not any(
                box.left < x < box.left + box.width and box.bottom < y < box.bottom + box.height
                for x, y in points
            )


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
        described, prepared, saved, timed_turn = self.converse(
            monkeypatch,
            lambda name: FakePeer(),
            {"op": "describe"},
            {"op": "prepare", "shape": TINY.name, "threads": 1, "seed": 3},
            {"op": "save_answer", "path": str(path)},
            {"op": "time", "budget_ms": 0.1, "min_samples": 1},
        )
        assert described == {"versions": {"fake": "1.2"}, "config": {}}
        assert prepared == {"unsupported": "", "tape_bytes": None}
        assert saved == {}
        assert timed_turn["calls"] >= 1
        with np.load(path) as answer:
            np.testing.assert_array_equal(answer["h_n"], make_case(TINY, seed=3).h0)

    def test_errors_are_replies(self, monkeypatch):
        unsupported, failed = self.converse(
            monkeypatch,
            lambda name: FakePeer(),
            {"op": "prepare", "shape": "ones", "threads": 1, "seed": 0},
            {"op": "time", "budget_ms": 1, "min_samples": 1},
        )
        assert unsupported == {"unsupported": "bidirectional only", "tape_bytes": None}
        assert failed == {"error": "RuntimeError: no shape is prepared"}

    @pytest.mark.parametrize(("missing", "kind"), [("fake", "not_installed"), ("other", "error")])
    def test_only_its_own_absence_counts_as_not_installed(self, monkeypatch, missing, kind):
        def load_peer(name):
            raise ModuleNotFoundError(f"No module named {missing!r}", name=missing)

        (reply,) = self.converse(monkeypatch, load_peer, {"op": "describe"})
        assert list(reply) == [kind]

    def test_what_libraries_print_stays_out_of_the_replies(self):
        code = (
            "import os; from bench.worker import _claim_stdout; replies = _claim_stdout();"
            "print('chatter', flush=True); os.write(1, b'native chatter\\n');"
            "replies.write('reply'); replies.flush()"
        )
        done = subprocess.run(
            [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
        )
        assert done.stdout == "reply"
        assert "native chatter" in done.stderr


class TestWorkerProcess:
    def test_crash_is_told_from_an_answer(self):
        with closing(WorkerProcess(OURS)) as process:
            process._process.kill()
            with pytest.raises(WorkerCrashedError, match="exit status"):
                process.request("describe")

    def test_unknown_implementation_is_a_failure(self):
        with closing(WorkerProcess("nonsense")) as process:
            for _ in range(2):
                with pytest.raises(RequestFailedError, match="nonsense"):
                    process.request("describe")

    def test_our_own_implementation_makes_the_round_trip(self):
        with closing(Crew([OURS])) as crew:
            description = crew.request(OURS, "describe")
            result = measure(TINY, 1, crew, NO_WAITING)
        outcome = result.outcomes[OURS]
        assert description["versions"][OURS]
        assert outcome.detail == ""
        assert outcome.max_abs_error <= OUR_TOLERANCE
        assert outcome.min_us > 0

    @pytest.mark.parametrize(
        ("shape", "names"),
        [
            (shapes_by_name()["long"], (PLAIN, isa_variant("baseline"))),
            (shapes_by_name()["single_step_h512"], (FLOAT16,)),
            (RAGGED_SHAPES[-1], (PADDED, PACKED_SEQUENCE, LENGTHS)),
        ],
        ids=lambda value: getattr(value, "name", ""),
    )
    def test_our_variants_make_the_round_trip(self, shape, names):
        with closing(Crew(names)) as crew:
            outcomes = measure(shape, 1, crew, NO_WAITING).outcomes
        for name in names:
            assert outcomes[name].detail == ""
            assert outcomes[name].max_abs_error <= variants.tolerance_of(name)
            assert outcomes[name].min_us > 0

    @pytest.mark.parametrize("name", ["lstm_native nonsense", "lstm_native float17"])
    def test_unknown_variant_is_a_failure(self, name):
        with (
            closing(WorkerProcess(name)) as process,
            pytest.raises(RequestFailedError, match=name.split()[1]),
        ):
            process.request("describe")
