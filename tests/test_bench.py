"""The benchmark's own correctness: what it reports must be what happened."""

import io
import json
import math
import subprocess
import sys
from contextlib import closing

import numpy as np
import pytest

from bench import ROOT, machine, rounds, run, worker
from bench.check import NAMES, OUR_TOLERANCE, check_answer
from bench.crew import Crew
from bench.options import parse
from bench.oracle import expected_answer
from bench.peers import IMPLEMENTATIONS, OURS
from bench.peers.base import Peer, Prepared
from bench.results import Outcome, Report, ShapeResult, Status, geometric_mean
from bench.rounds import Settings, measure
from bench.table import format_time, render
from bench.timing import Turn, time_turn
from bench.worker_process import (
    NotInstalledError,
    RequestFailedError,
    WorkerCrashedError,
    WorkerProcess,
)
from reference_lstm import reference
from shapes import BENCH_SHAPES, TEST_SHAPES, Shape, make_case, shapes_by_name

TINY = shapes_by_name()["bi_two_layers"]
NO_WAITING = Settings(rounds=2, turn_ms=0.0, min_samples=1, pause_ms=0.0)


def timed(*min_us: float) -> Outcome:
    turns = [Turn(min_us=time, median_us=2 * time, calls=3) for time in min_us]
    return Outcome(max_abs_error=1e-7, turns=turns)


def made_up_report(*results: ShapeResult) -> Report:
    context = {
        "date": "2026-01-02T03:04:05+00:00",
        "command": "python -m bench --quick",
        "commit": {"hash": "abc123", "dirty": True},
        "machine": {"cpu": "Made-Up CPU", "cores": 2, "caches": {"L2": "512K"}},
        "load_average_before": 0.125,
        "versions": {"torch": {"torch": "2.13.0"}},
        "config": {OURS: {"isa": {"in_use": "avx2"}, "blas": {"name": "OpenBLAS"}}},
    }
    return Report(context, ("lstm_native", "torch", "ncnn"), results)


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


class FakeCrew(Crew):
    """Implementations that answer as told, without processes."""

    def __init__(self, **behaviours):
        super().__init__(tuple(behaviours))
        self.behaviours = behaviours
        self.times = []

    def request(self, name, op, **arguments):
        reply = self.behaviours[name](op)
        if op == "prepare":
            return reply or {"unsupported": ""}
        if op == "save_answer":
            values = [np.full(1, 0.0 if reply is None else reply)] * 3
            np.savez(arguments["path"], **dict(zip(NAMES, values, strict=True)))
        if op == "time":
            self.times.append(name)
        return {"min_us": 5.0, "median_us": 6.0, "calls": 7}


def behaving(**replies):
    """A behaviour that is right, but for the operations given."""
    return replies.get


def raising(error, at):
    def behaviour(op):
        if op == at:
            raise error

    return behaviour


@pytest.fixture
def _zeros_expected(monkeypatch):
    monkeypatch.setattr(rounds, "expected_answer", lambda shape, seed: [np.zeros(1)] * 3)


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


class TestResults:
    def test_quoted_time_is_the_minimum_over_all_rounds(self):
        outcome = timed(4.0, 3.0, 9.0)
        assert (outcome.min_us, outcome.median_us) == (3.0, 8.0)

    def test_ratio_is_the_best_peers_time_over_ours(self):
        result = made_up_result(lstm_native=timed(10), torch=timed(30), ncnn=timed(15))
        assert result.best_peer(OURS) == "ncnn"
        assert result.ratio("ncnn", OURS) == pytest.approx(1.5)
        assert result.ratio("torch", OURS) == pytest.approx(3.0)

    def test_wrong_peer_is_not_the_best_however_fast(self):
        wrong = timed(1)
        wrong.status = Status.WRONG_ANSWER
        result = made_up_result(lstm_native=timed(10), torch=timed(30), ncnn=wrong)
        assert result.best_peer(OURS) == "torch"

    def test_without_a_time_there_is_no_ratio(self):
        alone = made_up_result(lstm_native=timed(10), torch=Outcome(Status.CRASHED))
        assert alone.best_peer(OURS) is None
        assert alone.ratio(None, OURS) is None
        assert made_up_result(torch=timed(1)).ratio("torch", OURS) is None

    def test_geometric_mean(self):
        assert geometric_mean([1.0, 4.0]) == pytest.approx(2.0)
        assert geometric_mean([]) is None

    def test_json_is_strict_and_complete(self):
        wrong = Outcome(Status.WRONG_ANSWER, "c_n is off", max_abs_error=math.nan)
        report = made_up_report(made_up_result(lstm_native=timed(2, 1), torch=wrong))
        read = json.loads(json.dumps(report.to_json(), allow_nan=False))
        (result,) = read["results"]
        ours = result["implementations"]["lstm_native"]
        assert read["commit"] == {"hash": "abc123", "dirty": True}
        assert result["shape"]["name"] == BENCH_SHAPES[0].name
        assert (ours["min_us"], ours["max_abs_error"], len(ours["rounds"])) == (1, 1e-7, 2)
        assert result["implementations"]["torch"]["max_abs_error"] == "nan"


class TestTable:
    def rows(self, *results: ShapeResult) -> list[str]:
        return [line for line in render(made_up_report(*results), OURS).splitlines() if "|" in line]

    def test_row_gives_times_and_ratio(self):
        row = self.rows(made_up_result(lstm_native=timed(10), torch=timed(30), ncnn=timed(15)))[2]
        assert row == "| single_step_h64 | 1,1,64 | 10.0 us | 30.0 us | **15.0 us** | 1.50 |"

    def test_last_row_gives_geometric_means(self):
        unsupported = Outcome(Status.UNSUPPORTED, "batch of one only")
        row = self.rows(
            made_up_result(lstm_native=timed(10), torch=timed(10), ncnn=unsupported),
            made_up_result(lstm_native=timed(10), torch=timed(80), ncnn=timed(40)),
        )[-1]
        assert row == "| geometric mean, peer / ours |  |  | 2.83 | 4.00 | 2.00 |"

    def test_each_number_of_threads_has_its_table(self):
        text = render(made_up_report(made_up_result(lstm_native=timed(1)), made_up_result(2)), OURS)
        assert text.index("## 1 thread\n") < text.index("## 2 threads\n")

    def test_what_was_not_timed_is_explained(self):
        crashed = Outcome(Status.CRASHED, "exit status -11\nlast words")
        missing = Outcome(Status.NOT_INSTALLED, "No module named 'ncnn'")
        result = made_up_result(lstm_native=timed(1), torch=crashed, ncnn=missing)
        text = render(made_up_report(result), OURS)
        assert "| 1.00 us | crashed | not installed | - |" in text
        assert "- torch, crashed: exit status -11\n      last words\n- ncnn, not installed" in text

    def test_shapes_are_named_where_only_some_failed(self):
        wrong = Outcome(Status.WRONG_ANSWER, "h_n is off")
        results = made_up_result(torch=timed(1)), made_up_result(2, torch=wrong)
        text = render(made_up_report(*results), OURS)
        assert "- torch, wrong answer: h_n is off; shapes (threads): single_step_h64 (2)" in text

    def test_circumstances_are_given(self):
        text = render(made_up_report(made_up_result(lstm_native=timed(1))), OURS)
        assert "Made-Up CPU, 2 cores, L2 512K" in text
        assert "load average before: 0.12" in text
        assert "abc123 with uncommitted changes" in text
        assert "ISA in use avx2, BLAS OpenBLAS" in text
        assert "`python -m bench --quick`" in text

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
        assert options.implementations == IMPLEMENTATIONS
        assert options.settings == Settings()

    def test_ours_always_runs(self):
        options = parse(["--peers", "torch", "--shapes", "stream_h128"])
        assert options.implementations == (OURS, "torch")
        assert [shape.name for shape in options.shapes] == ["stream_h128"]

    @pytest.mark.parametrize(
        ("line", "suffix"),
        [
            ("", ""),
            ("--rounds 20", ""),
            ("--threads 1 2 4", ""),
            ("--quick", "-quick"),
            ("--peers torch", "-partial"),
            ("--quick --shapes stream_h128", "-quick-partial"),
        ],
    )
    def test_lesser_run_does_not_replace_a_full_one(self, line, suffix):
        assert parse(line.split()).name_suffix == suffix

    @pytest.mark.parametrize("line", ["--threads 0", "--shapes nonsense", "--peers nonsense"])
    def test_nonsense_is_refused(self, line, capsys):
        with pytest.raises(SystemExit):
            parse(line.split())
        assert line.split()[1] in capsys.readouterr().err

    def test_rounds_override_those_of_quick(self):
        assert parse(["--quick"]).settings.rounds < Settings().rounds
        assert parse(["--quick", "--rounds", "99"]).settings.rounds == 99

    def test_cpu_gives_a_file_name(self, monkeypatch):
        name = "Intel(R) Xeon(R) Platinum 8375C CPU @ 2.90GHz"
        monkeypatch.setattr(machine, "cpu_model", lambda: name)
        assert machine.cpu_slug() == "intel-xeon-platinum-8375c-cpu"

    def test_machine_is_described(self):
        described = machine.describe_machine()
        assert described["cpu"]
        assert described["cores"] >= 1
        json.dumps(described)


class TestRun:
    def test_results_are_written_and_printed(self, monkeypatch, tmp_path, capsys):
        result = made_up_result(lstm_native=timed(10), torch=timed(30))
        context = dict(made_up_report().context)
        monkeypatch.setattr(run, "describe_run", lambda *args: context)
        monkeypatch.setattr(run, "measure", lambda *args: result)
        arguments = ["--quick", "--threads", "1", "--peers", "torch", "--out", str(tmp_path)]
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
        assert run.main(["--out", str(tmp_path)]) == 1


class FakePeer(Peer):
    """Returns its case's initial state as the answer."""

    def unsupported(self, shape: Shape) -> str:
        return "" if shape.bidirectional else "bidirectional only"

    def prepare(self, case, threads):
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
        assert prepared == {"unsupported": ""}
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
        assert unsupported == {"unsupported": "bidirectional only"}
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
        pytest.importorskip("lstm_native")
        with closing(Crew([OURS])) as crew:
            description = crew.request(OURS, "describe")
            result = measure(TINY, 1, crew, NO_WAITING)
        outcome = result.outcomes[OURS]
        assert description["versions"][OURS]
        assert outcome.detail == ""
        assert outcome.max_abs_error <= OUR_TOLERANCE
        assert outcome.min_us > 0
