"""Forecasts without a network: the last value, that of a season ago, autoregression.

Each knows the training split alone; only the autoregression's order is chosen, by its
squared error on the validation split.
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from data_pipeline.series import Series
from experiments.applications.forecast.scores import Ahead, Forecasts, Z

OVER = 5  # training values for each number that is fitted, at least


class Baseline(NamedTuple):
    """one_step: (series) -> `Forecasts`. ahead: (series, origins, H) -> `Ahead`."""

    one_step: Callable[[Series], Forecasts]
    ahead: Callable[[Series, np.ndarray, int], Ahead]


def baselines(series: Series, most_lags: int) -> dict[str, Baseline]:
    """By name; seasonal naive where the series has a season."""
    found = {"naive": lagged(1)}
    if series.period > 1:
        found[f"seasonal naive ({series.period})"] = lagged(series.period)
    weights, deviation = chosen_autoregression(series, most_lags)
    found[f"AR({len(weights) - 1})"] = autoregressive(weights, deviation)
    return found


def lagged(lag: int) -> Baseline:
    """x_t as x_{t−lag} was; its variance is that of such errors in training."""

    def one_step(series: Series) -> Forecasts:
        train = series.of("train")
        mean = np.full(len(series.values), np.nan)
        mean[lag:] = series.values[:-lag]
        variance = np.mean((train[lag:] - train[:-lag]) ** 2)
        return Forecasts(mean, np.full(len(mean), max(variance, 1e-12)))

    def ahead(series: Series, origins: np.ndarray, steps: int) -> Ahead:
        back = lag - np.arange(steps) % lag - 1  # steps before the origin
        return Ahead(origins, series.values[origins[:, None] - back], {})

    return Baseline(one_step, ahead)


def rows_of(values: np.ndarray, order: int) -> np.ndarray:
    """(N − p, p + 1): 1 and the p values before each value from position p on, the
    nearest first."""
    if not order:
        return np.ones((len(values), 1))
    windows = np.lib.stride_tricks.sliding_window_view(values[:-1], order)[:, ::-1]
    return np.column_stack([np.ones(len(windows)), windows])


def chosen_autoregression(series: Series, most_lags: int) -> tuple[np.ndarray, float]:
    """(p + 1 weights: constant and lags 1 to p, residual standard deviation), p with
    the least squared error on the validation split; least squares in training."""
    train, (first, end) = series.of("train"), series.splits["valid"]
    most = max(1, min(most_lags, len(train) // OVER, first - 1))
    best = None
    for order in range(1, most + 1):
        rows, targets = rows_of(train, order), train[order:]
        weights = np.linalg.lstsq(rows, targets, rcond=None)[0]
        error = np.mean(
            (
                series.values[first:end]
                - one_step_means(series.values, weights)[first:end]
            )
            ** 2
        )
        freedom = max(len(targets) - len(weights), 1)
        deviation = np.sqrt(np.sum((targets - rows @ weights) ** 2) / freedom)
        if best is None or error < best[0]:
            best = error, weights, float(deviation)
    assert best is not None
    return best[1], best[2]


def one_step_means(values: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """(N,): nan for the first p."""
    order = len(weights) - 1
    mean = np.full(len(values), np.nan)
    mean[order:] = rows_of(values, order) @ weights
    return mean


def autoregressive(weights: np.ndarray, deviation: float) -> Baseline:
    """x_t = w₀ + Σ w_k·x_{t−k} + noise; several steps ahead by its own means, with the
    variance Σ ψ² of its moving-average form (Box & Jenkins 1970, chapter 5)."""
    order = len(weights) - 1

    def one_step(series: Series) -> Forecasts:
        mean = one_step_means(series.values, weights)
        return Forecasts(mean, np.full(len(mean), max(deviation**2, 1e-12)))

    def ahead(series: Series, origins: np.ndarray, steps: int) -> Ahead:
        known = series.values[origins[:, None] + np.arange(1 - order, 1)]
        ψ = [1.0]
        for step in range(steps):
            rows = known[:, : -order - 1 : -1]
            new = weights[0] + rows @ weights[1:]
            known = np.column_stack([known, new])
            back = min(step + 1, order)
            ψ.append(float(np.dot(weights[1 : back + 1], ψ[: -back - 1 : -1])))
        mean = known[:, order:]
        spread = deviation * np.sqrt(np.cumsum(np.square(ψ[:steps])))
        bands = {
            share: (mean - z * spread, mean + z * spread) for share, z in Z.items()
        }
        return Ahead(origins, mean, bands)

    return Baseline(one_step, ahead)
