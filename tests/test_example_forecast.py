"""The forecast example: its parts, its refusals, and one run on the real series."""

import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from calls import assert_same_bits
from example_scripts import imported

SCRIPT = Path(__file__).parents[1] / "examples" / "forecast.py"
PACKAGES = ("matplotlib", "statsmodels", "tqdm")


@pytest.fixture(scope="module")
def example():
    """Return the script as a module; importing it needs NumPy only."""
    with imported(SCRIPT, "sunspots", "windows") as module:
        yield module


@pytest.fixture(scope="module")
def sunspots(example):
    """Return the package of the script's parts."""
    return sys.modules["sunspots"]


@pytest.fixture
def needs_packages():
    for name in PACKAGES:
        pytest.importorskip(name, reason=f"the example needs {name}")


@pytest.fixture
def values():
    """Return a made-up series (S,) that swings."""
    return (1 + np.sin(np.arange(120) * 2 * np.pi / 11)).astype(np.float32)


@pytest.fixture
def made_up(sunspots):
    years = np.arange(1700, 1800)
    return sunspots.series.Series(years, 50 + 40 * np.sin(years * 0.6) + years % 7)


# --- The series ----------------------------------------------------------------------------------


def test_part_includes_its_last_year(made_up):
    part = made_up.until(1720)
    assert part.years[-1] == 1720
    np.testing.assert_array_equal(part.numbers, made_up.numbers[:21])


def test_scale_goes_there_and_back(sunspots):
    numbers = np.array([0.0, 1.0, 50.0, 190.2])
    scale = sunspots.series.Scale(numbers)
    values = scale.values(numbers)
    assert values.dtype == np.float32
    assert values[0] == 0
    assert np.std(values) == pytest.approx(1)
    np.testing.assert_allclose(scale.numbers(values), numbers, rtol=1e-6)
    assert scale.numbers(np.float32(-3)) == 0


def test_windows_are_stretches_of_the_series_times_a_factor(sunspots):
    values = np.arange(1, 201, dtype=np.float32)
    batches = list(sunspots.windows.draw_windows(values, 3, np.random.default_rng(0)))
    assert len(batches) == 3
    factors = []
    for windows in batches:
        assert windows.shape == (sunspots.windows.WINDOW_YEARS + 1, sunspots.windows.BATCH)
        assert windows.dtype == np.float32
        steps = np.diff(windows, axis=0)
        np.testing.assert_allclose(steps, np.broadcast_to(steps[:1], steps.shape), rtol=1e-3)
        first = windows[0] / steps[0]
        np.testing.assert_allclose(first, np.round(first), rtol=1e-4)
        factors.append(steps[0])
    # Of roots of sunspot numbers, which may double or halve.
    assert 0.7 < np.min(factors) < 0.8
    assert 1.3 < np.max(factors) < 1.42


# --- Baselines -----------------------------------------------------------------------------------


def test_naive_forecasts(sunspots, made_up):
    forecasts = sunspots.baselines.naive_forecasts(made_up)
    for numbers, years in zip(forecasts.values(), (1, 11), strict=True):
        assert np.isnan(numbers[:years]).all()
        np.testing.assert_array_equal(numbers[years:], made_up.numbers[:-years])


@pytest.mark.usefixtures("needs_packages")
def test_linear_forecast_finds_a_linear_law_and_knows_no_later_year(sunspots, made_up):
    baselines, series = sunspots.baselines, sunspots.series
    roots = 5 + 3 * np.sin(made_up.years * 0.6) + np.cos(made_up.years * 0.25)
    law = made_up._replace(numbers=roots**2)
    learnt = law.until(1760)
    scale = series.Scale(learnt.numbers)
    forecast = baselines.linear_forecast(law, learnt, scale)
    assert np.isnan(forecast[: baselines.LINEAR_YEARS]).all()
    np.testing.assert_allclose(forecast[9:], law.numbers[9:], rtol=1e-3)
    changed = law._replace(numbers=law.numbers.copy())
    changed.numbers[80] += 10
    other = baselines.linear_forecast(changed, learnt, scale)
    np.testing.assert_array_equal(other[:81], forecast[:81])
    assert other[81] != forecast[81]


def test_errors_are_those_of_either_part(sunspots, made_up):
    forecast = made_up.numbers + np.where(made_up.years <= 1750, 3, -4)
    forecast[:5] = np.nan
    errors = sunspots.report.errors_of(forecast, made_up, made_up.until(1750), 5)
    assert errors == (pytest.approx(3), pytest.approx(4))


# --- Training ------------------------------------------------------------------------------------


def test_adam_moves_by_the_rate_at_first_and_finds_a_minimum(sunspots):
    place = np.array([3.0, -200.0])
    adam = sunspots.adam.Adam([place])
    adam.step([2 * place], 0.5)
    np.testing.assert_allclose(place, [2.5, -199.5])
    for step in range(2000):
        adam.step([2 * place], 1 - step / 2000)
    np.testing.assert_allclose(place, 0, atol=1e-2)


def test_gradients_are_those_of_the_loss(example, sunspots, values):
    rng = np.random.default_rng(0)
    parameters = example.first_parameters(rng)
    (windows,) = sunspots.windows.draw_windows(values, 1, rng)
    _, gradients = example.loss_and_gradients(parameters, windows, 1)
    for index, gradient in enumerate(gradients):
        assert gradient.shape == parameters[index].shape
        assert gradient.dtype == np.float32
        direction = gradient / np.linalg.norm(gradient)
        losses = []
        for step in (-1e-2, 1e-2):
            moved = list(parameters)
            moved[index] = (parameters[index] + step * direction).astype(np.float32)
            losses.append(example.loss_and_gradients(moved, windows, 1)[0])
        slope = (losses[1] - losses[0]) / 2e-2
        # Differences of losses in float32 know three digits.
        assert slope == pytest.approx(np.linalg.norm(gradient), rel=1e-2)


def test_forecast_knows_no_later_year(example, values):
    parameters = example.first_parameters(np.random.default_rng(0))
    forecast = example.forecast(parameters, values, 1)
    assert forecast.shape == values.shape
    assert np.isnan(forecast[0])
    changed = values.copy()
    changed[60] += 1
    other = example.forecast(parameters, changed, 1)
    np.testing.assert_array_equal(other[:61], forecast[:61])
    assert other[61] != forecast[61]


@pytest.mark.usefixtures("needs_packages")
def test_training_depends_on_the_seed_and_on_no_number_of_threads(example, values, monkeypatch):
    monkeypatch.setattr(example, "STEPS", 10)
    expected = example.train(values, 0, 1)
    for threads in (1, 2, 3):
        assert_same_bits(example.train(values, 0, threads), expected)
    assert not np.array_equal(example.train(values, 1, 1)[0], expected[0])


# --- Refusals ------------------------------------------------------------------------------------


def refusal(example, capsys, *arguments):
    assert example.main(arguments) == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    assert printed.err.count("\n") == 1
    assert printed.err.startswith("forecast: ")
    return printed.err


@pytest.mark.usefixtures("needs_packages")
@pytest.mark.parametrize(
    "arguments",
    [
        ("--learn-until", "1743"),
        ("--learn-until", "2008"),
        ("--learn-until", "1950", "--until", "1950"),
        ("--until", "2009"),
    ],
)
def test_years_with_nothing_to_learn_or_to_forecast_are_refused(example, capsys, arguments):
    assert "1744 <= learn-until < until <= 2008" in refusal(example, capsys, *arguments)


def test_missing_folder_for_the_picture_is_refused(example, tmp_path, capsys):
    assert "no such folder" in refusal(example, capsys, f"--out={tmp_path / 'none' / 'a.png'}")


def test_missing_packages_are_named(example, monkeypatch, capsys):
    monkeypatch.setattr(example, "REQUIRED_PACKAGES", ("numpy", "no_such_package"))
    assert "not installed: no_such_package; see" in refusal(example, capsys)


@pytest.mark.usefixtures("needs_packages")
def test_poor_forecasts_end_with_an_error(example, monkeypatch, tmp_path, capsys):
    monkeypatch.setattr(example, "STEPS", 1)
    assert example.main(["--out", str(tmp_path / "a.png")]) == 1
    assert "does not beat" in capsys.readouterr().err


# --- The real series -----------------------------------------------------------------------------


@pytest.mark.usefixtures("needs_packages")
def test_run(tmp_path):
    picture = tmp_path / "picture.png"
    # In a process of its own, as a user runs it.
    run = subprocess.run(
        [sys.executable, str(SCRIPT), "--out", str(picture), "--threads", "1"],
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert run.returncode == 0, run.stderr
    assert "1700 to 1920 to learn from, 1921 to 2008 held out" in run.stdout
    rows = re.findall(r"^  (\S.*\S) +(\d+\.\d) +(\d+\.\d)$", run.stdout, re.MULTILINE)
    held_out = {name: float(error) for name, _, error in rows}
    assert list(held_out) == [
        "LSTM",
        "linear in the 9 years before",
        "the year before",
        "one cycle of 11 years before",
    ]
    # The naive forecasts, from statsmodels' series only.
    assert held_out["the year before"] == 30.4
    assert held_out["one cycle of 11 years before"] == 34.2
    assert held_out["LSTM"] <= 0.75 * 30.4
    assert "training: 100%" in run.stderr
    assert picture.read_bytes().startswith(b"\x89PNG")
