"""Train an LSTM to forecast next year's sunspot number, with only `lstm_native` and NumPy.

The series are the yearly means since 1700 that the PyPI package `statsmodels` carries. The sun's
cycle takes 9 to 14 years and rises faster than it falls: the LSTM reads one number a year, and has
to find out by itself where in a cycle it is.

    number of the year -> square root -> LSTM -> weighted sum -> square -> number of the next year

It learns from windows of the years up to 1920, by `lstm_native.lstm_vjp` and the optimiser Adam in
`sunspots/adam.py`, and then goes through the whole series once; each forecast uses the numbers of
the years before it only. It must beat naive forecasts: the number of the year before,
and that of one cycle before. Linear autoregression, which has to learn, too, is printed beside.

    pip install -r examples/requirements-forecast.txt
    python examples/forecast.py [--seed N] [--threads N] [--out PNG]

The hidden size, the number of steps and the rate were chosen without the held-out years, by the
forecasts of `--learn-until 1790 --until 1830`, of 1830 and 1870, and of 1870 and 1920. The
functions below use the LSTM; the parts around it are in the folder `sunspots`, whose `__init__.py`
explains the letters in docstrings.
"""

from __future__ import annotations

import argparse
import math
import sys
from collections.abc import Sequence

import numpy as np

from cli.errors import InputError
from cli.packages import check_packages
from cli.pictures import check_folder
from sunspots.adam import Adam
from sunspots.baselines import LINEAR, linear_forecast, naive_forecasts
from sunspots.options import check_years, parse_arguments
from sunspots.picture import draw
from sunspots.report import errors_of, print_errors, print_series
from sunspots.series import Array, Scale, Series, load_series
from sunspots.windows import WARM_UP_YEARS, draw_windows

REQUIRED_PACKAGES = ("lstm_native", "matplotlib", "statsmodels", "tqdm")

HIDDEN_SIZE = 16
STEPS = 300
RATE = 0.02

LSTM = "LSTM"
# Of the best naive forecast's error, on the held-out years.
LARGEST_SHARE = 0.75


def first_parameters(rng: np.random.Generator) -> list[Array]:
    """Draw w_ih (4H, 1), w_hh (4H, H), b_ih (4H,), b_hh (4H,) and the head's (H,) and (1,)."""
    gates, bound = 4 * HIDDEN_SIZE, HIDDEN_SIZE**-0.5
    shapes = ((gates, 1), (gates, HIDDEN_SIZE), (gates,), (gates,), (HIDDEN_SIZE,), (1,))
    parameters = [rng.uniform(-bound, bound, shape).astype(np.float32) for shape in shapes]
    # Forget gates begin open, so that gradients reach far back (Gers et al., 2000).
    parameters[2][HIDDEN_SIZE : 2 * HIDDEN_SIZE] += 1
    return parameters


def no_states(batch: int) -> tuple[Array, Array]:
    """Return the states (1, N, H) before the first year."""
    zeros = np.zeros((1, batch, HIDDEN_SIZE), np.float32)
    return zeros, zeros


def head(hidden: Array, parameters: Sequence[Array]) -> Array:
    """Map hidden states (T, N, H) to forecasts (T, N)."""
    # Not by BLAS, as further below: it may add up in another order with more threads.
    forecasts: Array = np.einsum("tnh,h->tn", hidden, parameters[4]) + parameters[5]
    return forecasts


def loss_and_gradients(
    parameters: Sequence[Array], windows: Array, threads: int
) -> tuple[float, list[Array]]:
    """Return the mean square error over windows (T + 1, N), and its gradient of each parameter."""
    # Imported here, so that its absence can be reported.
    from lstm_native import lstm_vjp  # noqa: PLC0415

    known, wanted = windows[:-1], windows[1:]
    (hidden, _, _), pullback = lstm_vjp(
        known[..., np.newaxis],
        no_states(windows.shape[1]),
        parameters[:4],
        num_layers=1,
        dropout=0.0,
        train=True,
        bidirectional=False,
        num_threads=threads,
    )
    errors = head(hidden, parameters) - wanted
    errors[:WARM_UP_YEARS] = 0
    count = errors[WARM_UP_YEARS:].size
    d_forecasts = 2 / count * errors
    d_hidden = d_forecasts[..., np.newaxis] * parameters[4]
    _, _, d_weights = pullback(d_hidden, needs=("weights",))
    assert d_weights is not None
    d_head = np.einsum("tn,tnh->h", d_forecasts, hidden)
    d_bias = d_forecasts.sum(keepdims=True)[0]
    return float(np.square(errors).sum()) / count, [*d_weights, d_head, d_bias]


def train(values: Array, seed: int, threads: int) -> list[Array]:
    """Learn from values (S,); return the parameters."""
    from tqdm import tqdm  # noqa: PLC0415

    rng = np.random.default_rng(seed)
    parameters = first_parameters(rng)
    optimiser = Adam(parameters)
    progress = tqdm(draw_windows(values, STEPS, rng), "training", STEPS, unit=" steps")
    for step, windows in enumerate(progress):
        loss, gradients = loss_and_gradients(parameters, windows, threads)
        # From the whole rate down to nothing, along half a cosine.
        optimiser.step(gradients, RATE * (1 + math.cos(math.pi * step / STEPS)) / 2)
        progress.set_postfix(error=f"{math.sqrt(loss):.3f}", refresh=False)
    return parameters


def forecast(parameters: Sequence[Array], values: Array, threads: int) -> Array:
    """Forecast each of the values (S,) from those before it; NaN for the first one."""
    from lstm_native import lstm  # noqa: PLC0415

    hidden, _, _ = lstm(
        values[:-1, np.newaxis, np.newaxis],
        no_states(1),
        parameters[:4],
        num_layers=1,
        dropout=0.0,
        train=False,
        bidirectional=False,
        num_threads=threads,
    )
    return np.concatenate([[np.nan], head(hidden, parameters)[:, 0]])


def compare(series: Series, learnt: Series, options: argparse.Namespace) -> int:
    """Train, forecast, compare with the baselines, print and draw; return the exit code."""
    scale = Scale(learnt.numbers)
    print_series(series, learnt)
    parameters = train(scale.values(learnt.numbers), options.seed, options.threads)
    naive = naive_forecasts(series)
    forecasts = {
        LSTM: scale.numbers(forecast(parameters, scale.values(series.numbers), options.threads)),
        LINEAR: linear_forecast(series, learnt, scale),
        **naive,
    }
    errors = {
        name: errors_of(numbers, series, learnt, WARM_UP_YEARS)
        for name, numbers in forecasts.items()
    }
    print_errors(errors)
    draw(options.out, series, learnt, forecasts, errors)
    print(f"\nPicture: {options.out}")

    best = min(naive, key=lambda name: errors[name].held_out)
    share = errors[LSTM].held_out / errors[best].held_out
    print(
        f"Held out, the LSTM errs by {share:.2f} of what {best!r} does; {LARGEST_SHARE} is allowed"
    )
    # Written so that a NaN fails, too.
    if not share <= LARGEST_SHARE:
        print("forecast: the LSTM does not beat the naive forecast by enough", file=sys.stderr)
        return 1
    return 0


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the example; return 0, 1 for poor forecasts or 2 for what cannot be worked with."""
    options = parse_arguments(arguments)
    try:
        check_folder(options.out)
        check_packages(
            REQUIRED_PACKAGES, "examples/requirements-forecast.txt and the README (lstm_native)"
        )
        series = load_series()
        check_years(series, options)
        return compare(series.until(options.until), series.until(options.learn_until), options)
    except InputError as error:
        print(f"forecast: {error}", file=sys.stderr)
        return 2


if __name__ == "__main__":
    sys.exit(main())
