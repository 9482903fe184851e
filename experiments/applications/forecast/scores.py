"""How forecasts are judged: conventions, and scores of normal distributions."""

from typing import NamedTuple

import numpy as np

from data_pipeline.series import Range, Series

Z = {80: 1.2815515655446004, 95: 1.959963984540054}


class Forecasts(NamedTuple):
    """Mean and variance of each value of a series before it comes, (N,); nan where
    there is no forecast."""

    mean: np.ndarray
    variance: np.ndarray


class Scales(NamedTuple):
    """What errors are divided by.

    naive     mean |x_t − x_{t−1}| over the training split, for MASE (Hyndman & Koehler
              2006, equation 1: the naive forecast's in-sample error, one step).
    variance  of all values up to the end of the test split, for the average relative
              variance, ARV (Weigend, Huberman & Rumelhart 1990 divide by the variance
              of the whole series, whichever stretch is scored).
    """

    naive: float
    variance: float


def scales_of(series: Series) -> Scales:
    """Those of a series."""
    end = series.splits["test"][1]
    naive = np.mean(np.abs(np.diff(series.of("train"))))
    return Scales(float(naive) or 1.0, float(np.var(series.values[:end])) or 1.0)


def scored(
    series: Series, found: Forecasts, stretch: Range, scales: Scales
) -> dict[str, float]:
    """Scores of one-step forecasts over a stretch of the series.

    loss         mean −ln density, in nats a value
    rmse         root of the mean squared error, in the values' unit
    mase         mean absolute error over the naive one's, see `Scales`
    arv          mean squared error over the variance, see `Scales`
    coverage_80  share of values within the central 80 % of their distribution; 95 alike
    """
    values, mean, variance = (
        array[slice(*stretch)] for array in (series.values, *found)
    )
    off = values - mean
    scores = {
        "loss": np.mean(0.5 * (np.log(2 * np.pi * variance) + off**2 / variance)),
        "rmse": np.sqrt(np.mean(off**2)),
        "mase": np.mean(np.abs(off)) / scales.naive,
        "arv": np.mean(off**2) / scales.variance,
    }
    for share, z in Z.items():
        scores[f"coverage_{share}"] = np.mean(np.abs(off) <= z * np.sqrt(variance))
    return {name: float(score) for name, score in scores.items()}


def of_ranges(series: Series, found: Forecasts, scales: Scales) -> dict[str, float]:
    """{"arv_1921_1955": …} and the root mean squared errors of the stretches that are
    scored apart."""
    scores = {}
    for name, stretch in series.ranges.items():
        own = scored(series, found, stretch, scales)
        scores |= {f"{score}_{name}": own[score] for score in ("arv", "rmse")}
    return scores


class Ahead(NamedTuple):
    """Forecasts of many steps from M origins, (M, H) each: step h of origin m is the
    value h + 1 steps after it.

    origins  (M,) positions of the last value that was read.
    bands    {80: (low, high), 95: …}; empty where there are none.
    """

    origins: np.ndarray
    mean: np.ndarray
    bands: dict[int, tuple[np.ndarray, np.ndarray]]

    def actual(self, series: Series) -> np.ndarray:
        """(M, H): what came."""
        steps = np.arange(1, self.mean.shape[1] + 1)
        return series.values[self.origins[:, None] + steps]


def by_horizon(series: Series, found: Ahead) -> dict[str, list[float]]:
    """Scores at each step ahead: "rmse", "mae" and, with bands, their coverage."""
    actual = found.actual(series)
    off = actual - found.mean
    scores = {
        "rmse": np.sqrt(np.mean(off**2, axis=0)),
        "mae": np.mean(np.abs(off), axis=0),
    }
    for share, (low, high) in found.bands.items():
        inside = (low <= actual) & (actual <= high)
        scores[f"coverage_{share}"] = np.mean(inside, axis=0)
    return {name: score.tolist() for name, score in scores.items()}
