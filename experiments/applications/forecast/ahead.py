"""What a trained forecaster says of a series: one step ahead, and many."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from data_pipeline.series import Range, Series, WholeStretch
from experiments.applications.forecast.config import SeriesConfig
from experiments.applications.forecast.scores import Ahead, Forecasts, Z
from lm.models.forecaster import Forecaster
from lm.types import Params

SHARES = {80: (0.1, 0.9), 95: (0.025, 0.975)}


def read_stretch(
    model: Forecaster, params: Params, series: Series, stretch: Range, context: int
) -> tuple[Forecasts, Any, int]:
    """(forecasts of each value of a stretch, the states before each value that was
    read, the position of the first of these)."""
    whole = WholeStretch(series.values, stretch, context)
    values_TB1 = whole.batch_at(0, 0, 0).inputs
    found = jax.device_get(jax.jit(model.forecast)(params, values_TB1))
    states = jax.jit(model.states)(params, values_TB1)
    forecasts = Forecasts(*(np.full(len(series.values), np.nan) for _ in range(2)))
    place = slice(whole.begin + 1, whole.end)
    forecasts.mean[place] = found.mean[:, 0]
    forecasts.variance[place] = found.variance[:, 0]
    return forecasts, states, whole.begin


def over_all(curves: dict[str, list[float]], naive: float) -> dict[str, float]:
    """Means over the steps ahead: "mase_ahead", and the bands' coverage."""
    found = {"mase_ahead": float(np.mean(curves["mae"])) / naive}
    for name in ("coverage_80", "coverage_95"):
        if name in curves:
            found[f"{name}_ahead"] = float(np.mean(curves[name]))
    return found


def origins_of(series: Series, horizon: int, most: int) -> np.ndarray:
    """Positions from the last value before the test split on, spread over it, after
    which `horizon` values of it are left."""
    first, end = series.splits["test"]
    places = np.arange(first - 1, end - horizon)
    if len(places) <= most:
        return places
    return places[np.linspace(0, len(places) - 1, most).astype(int)]


def many_ahead(
    model: Forecaster,
    params: Params,
    states: Any,
    begin: int,
    series: Series,
    origins: np.ndarray,
    data: SeriesConfig,
) -> Ahead:
    """Means and bands of `data.paths` futures from each origin."""
    at_M = jnp.asarray(origins - begin)
    state = jax.tree.map(lambda s: jnp.repeat(s[at_M, 0], data.paths, axis=0), states)
    values = np.repeat(series.values[origins], data.paths).astype(np.float32)
    paths = jax.jit(model.paths, static_argnums=4)
    drawn = paths(params, state, values[:, None], jax.random.key(0), data.horizon)
    drawn_HMN = np.asarray(drawn).reshape(data.horizon, len(origins), data.paths)
    bands = {}
    for share, ends in SHARES.items():
        low, high = np.quantile(drawn_HMN, ends, axis=-1)
        bands[share] = low.T, high.T
    return Ahead(origins, drawn_HMN.mean(axis=-1).T, bands)


def next_values(
    model: Forecaster, params: Params, values: np.ndarray, data: SeriesConfig
) -> list[dict[str, Any]]:
    """[{"step": 1, "mean": …, "low_95": …, "low_80", "high_80", "high_95"}, …]; those
    of the next value are its distribution's own, later ones are of drawn futures."""
    values_TB1 = values.astype(np.float32)[:, None, None]
    states = jax.jit(model.states)(params, values_TB1)
    series = Series("", values, {}, {})
    origins = np.array([len(values) - 1])
    found = many_ahead(model, params, states, 0, series, origins, data)
    one = jax.jit(model.forecast)(params, values_TB1)
    mean, deviation = float(one.mean[-1, 0]), float(one.variance[-1, 0]) ** 0.5
    records = []
    for step in range(data.horizon):
        bands = {
            share: (float(low[0, step]), float(high[0, step]))
            for share, (low, high) in found.bands.items()
        }
        if not step:
            bands = {
                s: (mean - z * deviation, mean + z * deviation) for s, z in Z.items()
            }
        records.append(
            {
                "step": step + 1,
                "mean": float(found.mean[0, step]) if step else mean,
                "low_95": bands[95][0],
                "low_80": bands[80][0],
                "high_80": bands[80][1],
                "high_95": bands[95][1],
            }
        )
    return records
