"""What the benchmark makes of its measurements: ratios, limits, verdicts, pages."""

import dataclasses
import itertools
import json
import math

import pytest

from bench import ROOT, run
from bench.measure import machine, ragged, training
from bench.measure.results import Outcome, ShapeResult, Status, StreamLatency, geometric_mean
from bench.measure.rounds import Settings
from bench.measure.side_process import SideProcessError
from bench.options import PARTS, parse
from bench.peers import OURS, PEERS
from bench.peers.cases import EVEN_TRAINING_SHAPES, RAGGED_SHAPES, filled_fraction
from bench.peers.variants import (
    FADING,
    FLOAT16,
    LENGTHS,
    PACKED_SEQUENCE,
    PACKED_TRAINING,
    PADDED,
    PLAIN,
    RECOMPUTE,
    TRAINING,
    isa_variant,
)
from bench.report.contract import judge
from bench.report.label_placement import Box, place_labels
from bench.report.output import write
from bench.report.page import render
from bench.report.ratios import beside_ideal, share_of_limit, speedup
from bench.report.record import from_record, to_record
from bench.report.roofline import FLOAT16_BYTES, flops, intensity, limit_us
from bench_helpers import MB, complete_report, context, made_up_limits, timed
from shapes import BENCH_SHAPES, Shape, shapes_by_name

# The device check (docs/cuda.md) keeps records of another kind there.
KEPT = [
    path
    for path in sorted((ROOT / "bench" / "results").glob("*.json"))
    if not path.stem.startswith("nvidia")
]


def result_of(threads: int = 1, **outcomes: Outcome) -> ShapeResult:
    return ShapeResult(BENCH_SHAPES[0], threads, outcomes)


def row_of(report, beginning):
    (row,) = (row for row in judge(report, 1) if row.what.startswith(beginning))
    return row


class TestKeptResults:
    """One golden file per kept run: a change of a page shows in `git diff` after a redraw."""

    @pytest.mark.parametrize("path", KEPT, ids=lambda path: path.stem)
    def test_page_is_what_the_record_gives(self, path):
        report = from_record(json.loads(path.read_text("utf-8")))
        page = path.with_suffix(".md").read_text("utf-8")
        assert render(report, path.with_suffix(".png").name) == page, (
            f"python -m bench.report.redraw {path.relative_to(ROOT)}"
        )

    def test_record_is_read_back(self):
        report = complete_report()
        nan = Outcome(Status.WRONG_ANSWER, "c_n is off", 0.5, math.inf)
        report = dataclasses.replace(report, training=(*report.training, result_of(ours=nan)))
        record = json.loads(json.dumps(to_record(report), allow_nan=False))
        assert from_record(record) == report
        assert record["contract"]["1"][0]["verdict"] == "ok"

    def test_picture_is_drawn(self, tmp_path):
        pytest.importorskip("matplotlib")
        text, why_no_picture = write(complete_report(), tmp_path / "x.json")
        assert why_no_picture == ""
        assert (tmp_path / "x.png").read_bytes().startswith(b"\x89PNG")
        assert "](x.png)" in text

    @pytest.mark.parametrize("path", KEPT, ids=lambda path: path.stem)
    def test_no_label_of_the_roofline_covers_another_text(self, path):
        figures = pytest.importorskip("matplotlib.figure")
        from bench.report.roofline_plot import draw_roofline  # noqa: PLC0415

        report = from_record(json.loads(path.read_text("utf-8")))
        limits = report.limits_with(max(result.threads for result in report.results))
        figure = figures.Figure(figsize=(9, 5.2), layout="constrained")
        axes = figure.subplots()
        draw_roofline(figure, axes, report, limits)
        figure.draw_without_rendering()
        boxes = [text.get_window_extent() for text in axes.texts if text.get_text()]
        assert len(boxes) == 1 + len({result.shape for result in report.results})
        for one, other in itertools.combinations(boxes, 2):
            assert not one.overlaps(other)

    def test_page_needs_no_picture(self, tmp_path, monkeypatch):
        monkeypatch.setattr("bench.report.output._draw", lambda report, path: "no matplotlib")
        text, why_no_picture = write(complete_report(), tmp_path / "x.json")
        assert why_no_picture == "no matplotlib"
        assert "x.png" not in text

    def test_what_was_not_timed_is_explained(self):
        crashed = Outcome(Status.CRASHED, "exit status -11\nlast words")
        missing = Outcome(Status.NOT_INSTALLED, "No module named 'ncnn'")
        results = (
            result_of(lstm_native=timed(1), torch=crashed, ncnn=missing),
            result_of(2, lstm_native=timed(1), torch=timed(2), ncnn=missing),
        )
        report = dataclasses.replace(
            complete_report(), results=results, implementations=(OURS, "torch", "ncnn")
        )
        text = render(report)
        assert "| 1.00 us | crashed | not installed | - |" in text
        where = "      last words\n- ncnn, not installed: No module named 'ncnn'\n"
        named = "- torch, crashed: exit status -11; shapes (threads): single_step_h64 (1)\n"
        assert named + where in text


class TestLabels:
    def test_take_the_nearest_place_that_is_free(self):
        (free,) = place_labels([(0.0, 0.0)], [20.0], 10.0)
        assert free == Box(7.0, -5.0, 20.0, 10.0)
        (left,) = place_labels([(0.0, 0.0)], [20.0], 10.0, [free])
        assert left == Box(-27.0, -5.0, 20.0, 10.0)
        (above,) = place_labels([(0.0, 0.0)], [20.0], 10.0, [Box(-50.0, -9.0, 100.0, 9.0)])
        assert above == Box(7.0, 0.0, 20.0, 10.0)


class TestRatios:
    def test_speedup_is_against_the_best_peer_and_no_variant(self):
        wrong = timed(1)
        wrong.status = Status.WRONG_ANSWER
        result = result_of(
            **{OURS: timed(10), PLAIN: timed(5), "torch": timed(20), "openvino": wrong}
        )
        assert result.best_peer() == "torch"
        assert speedup(result, OURS) == 2.0
        assert speedup(result, PLAIN) == 4.0
        assert speedup(result, "ncnn") is None
        assert speedup(result_of(lstm_native=timed(10)), OURS) is None

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
        assert whole == pytest.approx(limit_us(shape, made_up_limits()) / 1000)
        assert half < whole / 2

    def test_geometric_mean(self):
        assert geometric_mean([1.0, 4.0]) == pytest.approx(2.0)
        assert geometric_mean([]) is None


class TestRoofline:
    def test_operations_are_counted_twice_per_multiply_add(self):
        assert flops(Shape("", 3, 2, 5, 7)) == 2 * 3 * 2 * 4 * 7 * (5 + 7)
        two_layers = Shape("", 1, 1, 5, 7, num_layers=2, bidirectional=True)
        assert flops(two_layers) == 2 * 2 * 4 * 7 * ((5 + 7) + (14 + 7))

    def test_large_batch_is_bound_by_multiply_adds(self):
        shape = Shape("", 10, 1000, 64, 64)
        assert limit_us(shape, made_up_limits()) == pytest.approx(flops(shape) / 100e3)

    @pytest.mark.parametrize(("hidden_size", "bandwidth"), [(32, 200.0), (128, 100.0)])
    def test_recurrent_weights_in_l1_or_l2_come_from_there(self, hidden_size, bandwidth):
        shape = Shape("", 10_000, 1, 1, hidden_size)
        unbound = dataclasses.replace(made_up_limits(), gflops={"avx2": 1e9})
        read = shape.seq_len * 4 * hidden_size**2 * 4
        assert limit_us(shape, unbound) == pytest.approx(read / bandwidth / 1e3, rel=1e-3)

    @pytest.mark.parametrize(("hidden_size", "bandwidth"), [(512, 50), (2048, 10)])
    def test_beyond_l2_an_l2_full_stays(self, hidden_size, bandwidth):
        shape = Shape("", 1, 1, hidden_size, hidden_size)
        rest = 32 * hidden_size**2 - 0.5 * MB
        expected = (0.5 * MB / 100 + rest / bandwidth) / 1e3
        assert limit_us(shape, made_up_limits()) == pytest.approx(expected)

    def test_threads_share_the_reading(self):
        shape = Shape("", 1, 1, 176, 176)  # one thread's share fits L2, the whole does not
        assert limit_us(shape, made_up_limits(2)) < limit_us(shape, made_up_limits(1))

    def test_half_as_many_bytes_double_the_intensity(self):
        shape = Shape("", 1, 1, 512, 512)
        assert (intensity(shape), intensity(shape, FLOAT16_BYTES)) == (0.5, 1.0)


class TestContract:
    def test_complete_run_is_judged_in_every_row(self):
        rows = judge(complete_report(), 1)
        assert len(rows) == 20
        assert {row.verdict for row in rows} <= {"ok", "MISSED", "-"}
        assert not any(row.figure.gaps for row in rows)

    @pytest.mark.parametrize(
        ("times", "row", "reached", "verdict"),
        [
            ({"lstm_native": 13.0}, "float32, packed weights", 20 / 13, "ok"),
            ({"lstm_native": 13.5}, "float32, packed weights", 20 / 13.5, "MISSED"),
            ({}, "T = 1, N = 1, H = 64", 2.0, "MISSED"),
            ({}, "T = 1, N = 1, H = 256", 2.0, "ok"),
            ({"lstm_native_float16": 10.0}, "N = 1, H >= 512, 16-bit weights: g", 2.0, "ok"),
            ({"lstm_native_plain": 10.9}, "plain weights", 1.09, "ok"),
            ({"lstm_native_plain": 12.0}, "plain weights", 1.2, "MISSED"),
            ({"lstm_native_packed_sequence": 5.0}, "ragged: torch", 4.0, "ok"),
            ({}, "avx2 in use", 2.0, "ok"),
            ({}, "baseline forced", 2.0, "-"),
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

    def test_ragged_rows_are_judged_by_the_worst_shape(self):
        report = complete_report(lstm_native_packed_sequence=5.0, lstm_native_lengths=20.0)
        worst = max(0.5 / filled_fraction(shape) for shape in RAGGED_SHAPES)
        row = row_of(report, "ragged, packed")
        assert (row.figure.value, row.verdict) == (pytest.approx(worst), "ok")
        assert row_of(report, "ragged, lengths").verdict == "MISSED"

    def test_worst_shape_is_named_with_its_share_of_the_limit(self):
        report = complete_report()
        last = report.results[-1]
        worst = dataclasses.replace(last, outcomes={**last.outcomes, OURS: timed(40)})
        report = dataclasses.replace(report, results=(*report.results[:-1], worst))
        row = row_of(report, "every single shape")
        assert (row.figure.value, row.verdict) == (0.5, "MISSED")
        assert row.figure.note.startswith(f"{last.shape.name}, ")
        assert row.figure.note.endswith("% of the limit")

    def test_avx2_is_the_forced_variant_where_more_is_in_use(self):
        report = dataclasses.replace(complete_report(), context=context(in_use="avx512"))
        row = row_of(report, "avx2 forced")
        assert (row.verdict, row.figure.value) == ("not judged", None)
        assert row.figure.gaps == ("lstm_native avx2 not in this run (all)",)

    def test_without_a_peer_only_a_loss_is_judged(self):
        report = complete_report()
        absent = Outcome(Status.NOT_INSTALLED, "No module named 'ncnn'")
        results = tuple(
            dataclasses.replace(result, outcomes={**result.outcomes, "ncnn": absent})
            for result in report.results
        )
        report = dataclasses.replace(report, results=results)
        row = row_of(report, "float32, packed weights")
        assert (row.verdict, row.figure.gaps) == ("not judged", ("ncnn not installed (all)",))
        # A loss against the peers that were there stays one when another peer is added.
        assert row_of(report, "T = 1, N = 1, H = 64").verdict == "MISSED"
        assert row_of(report, "T = 1, N = 1, H = 256").verdict == "not judged"

    def test_missing_shapes_are_counted(self):
        report = complete_report()
        report = dataclasses.replace(report, results=report.results[5:], training=())
        row = row_of(report, "float32, packed weights")
        names = ", ".join(shape.name for shape in BENCH_SHAPES[:3])
        assert row.figure.gaps == (f"shape not in this run ({names} and 2 more)",)
        assert (row.verdict, row.figure.note) == ("not judged", "10 of 15 shapes")
        assert row_of(report, "training, every single shape").verdict == "not judged"


class TestCommandLine:
    def test_defaults_are_everything(self):
        options = parse([])
        assert options.shapes == BENCH_SHAPES
        assert options.implementations == (OURS, PLAIN, FLOAT16, *PEERS)
        assert options.omissions == {}
        assert options.settings == Settings()

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
            ("--quick --shapes stream_h128", "-quick-partial"),
        ],
    )
    def test_lesser_run_does_not_replace_a_full_one(self, line, suffix):
        assert parse(line.split()).name_suffix == suffix

    def test_parts_can_be_left_out(self):
        options = parse(["--quick", "--without", "plain", "--peers", "torch", "--rounds", "99"])
        assert options.implementations == (OURS, FLOAT16, "torch")
        assert options.settings.rounds == 99
        assert options.omissions == {
            "narrower-isas": "left out by --quick",
            "training": "left out by --quick",
            "plain": "left out by --without",
        }

    @pytest.mark.parametrize(
        "line", ["--threads 0", "--shapes nonsense", "--peers nonsense", "--without nonsense"]
    )
    def test_nonsense_is_refused(self, line, capsys):
        with pytest.raises(SystemExit):
            parse(line.split())
        assert line.split()[1] in capsys.readouterr().err

    def test_cpu_gives_a_file_name(self, monkeypatch):
        name = "Intel(R) Xeon(R) Platinum 8375C CPU @ 2.90GHz"
        monkeypatch.setattr(machine, "cpu_model", lambda: name)
        monkeypatch.setattr(machine, "_isa_flags", lambda: ["avx", "avx2", "avx512f"])
        assert machine.cpu_slug() == "intel-xeon-platinum-8375c-cpu-avx512"


class TestRun:
    @pytest.fixture(autouse=True)
    def _circumstances(self, monkeypatch):
        monkeypatch.setattr(run, "describe_run", lambda *args: context())
        monkeypatch.setattr("bench.report.output._draw", lambda report, path: "no matplotlib")

    def test_exit_status_tells_that_ours_failed(self, monkeypatch, tmp_path):
        result = result_of(lstm_native=Outcome(Status.WRONG_ANSWER, "h_n is off"))
        monkeypatch.setattr(run, "measure", lambda *args: result)
        assert run.main(["--out", str(tmp_path), "--without", *PARTS]) == 1

    def test_every_part_is_measured_or_said_to_be_missing(self, monkeypatch, tmp_path, capsys):
        def program(module, arguments):
            assert arguments == ["--threads", "1"]
            if module == "bench.measure.limits":
                raise SideProcessError("ImportError: no probes")
            assert module == "bench.measure.streams"
            return [dataclasses.asdict(StreamLatency(64, 1, 6.0, 5.0, 3.0, 4.0))]

        crews = []

        def fake_measure(shape, threads, crew, settings):
            crews.append(crew.names)
            return ShapeResult(shape, threads, {name: timed(10) for name in crew.names})

        monkeypatch.setattr(run, "run_program", program)
        for module in (run, ragged, training):
            monkeypatch.setattr(module, "measure", fake_measure)
        arguments = ["--threads", "1", "--out", str(tmp_path), "--peers", "ncnn"]
        assert run.main([*arguments, "--shapes", "stream_h128"]) == 0
        (path,) = tmp_path.glob("*-partial.json")
        assert path.with_suffix(".md").read_text() in capsys.readouterr().out
        record = json.loads(path.read_text())
        assert record["omissions"] == {"limits": "ImportError: no probes"}
        assert record["streams"][0]["step"] == 6.0
        assert crews[0] == (OURS, PLAIN, FLOAT16, "ncnn", isa_variant("baseline"))
        # Without torch among the peers, its ragged batches are left out, too.
        end = 1 + len(RAGGED_SHAPES)
        assert crews[1:end] == [(PADDED, PACKED_SEQUENCE, LENGTHS)] * len(RAGGED_SHAPES)
        even, packed = (TRAINING, RECOMPUTE, FADING), (PACKED_TRAINING,)
        assert crews[end:] == [even] * len(EVEN_TRAINING_SHAPES) + [packed] * len(RAGGED_SHAPES)
