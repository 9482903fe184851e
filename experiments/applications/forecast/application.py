"""Time series, bound to the forecaster (lm.models.forecaster).

Scores: "loss", −ln density of a value in nats; "squared_error" and "absolute_error" in
the values' unit; "coverage_80" and "coverage_95", the shares within such bands; and at
the end those of `scores.scored`.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from data_pipeline.batches import Reading
from data_pipeline.errors import DataError
from data_pipeline.series import (
    Series,
    SeriesWindows,
    WholeStretch,
    from_csv,
    made,
    read_column,
    sunspot_series,
    windows_at,
)
from experiments.applications.application import (
    Application,
    Final,
    Prepared,
    Restored,
)
from experiments.applications.forecast.ahead import (
    many_ahead,
    next_values,
    origins_of,
    over_all,
    read_stretch,
)
from experiments.applications.forecast.baselines import baselines
from experiments.applications.forecast.config import ForecastConfig
from experiments.applications.forecast.scores import (
    Forecasts,
    by_horizon,
    of_ranges,
    scales_of,
    scored,
)
from experiments.applications.forecast.shown import (
    ahead_shown,
    one_step_shown,
    section,
)
from experiments.applications.lines import Line, read_lines
from experiments.run.directory import read_kept
from experiments.run.record import Text
from lm.models.forecaster import Forecaster, build_forecaster
from lm.problem import Problem
from lm.types import Batch, Params

TABLES = (".csv", ".tsv", ".tab")


class Source(NamedTuple):
    """What the network needs: mean and standard deviation of the training split. And
    the series, while it is there."""

    centre: float
    spread: float
    series: Any = None


def prepare(config: ForecastConfig) -> Prepared:
    """The series in its splits.

    Raises:
      DataError: for a CSV file that cannot be read, has gaps or is too short.
    """
    data = config.data
    if data.csv:
        shares = data.valid_share, data.test_share
        series = from_csv(data.csv, data.column, max(data.period, 1), *shares)
    else:
        sunspots = data.series == "sunspots"
        series = sunspot_series() if sunspots else made(data.series, data.length)
    train = series.of("train")
    source = Source(float(train.mean()), float(train.std()), series)
    sizes = ", ".join(f"{n} {end - f:,}" for n, (f, end) in series.splits.items())
    return Prepared(
        text=Text(series.name, series.fingerprint, ""),
        splits=series.splits,
        size=data.updates * data.batch * min(data.window, len(train) - 1),
        told=f"{len(series.values):,} values, {sizes}",
        facts=optimum_of(series),
        save=lambda run: run.keep({"centre": source.centre, "spread": source.spread}),
        source=source,
    )


def optimum_of(series: Series) -> dict[str, Any]:
    """What the true distributions of the test values score, where they are known."""
    if series.truth is None:
        return {}
    known = Forecasts(series.truth.mean, series.truth.deviation**2)
    found = scored(series, known, series.splits["test"], scales_of(series))
    return {"optimum": {name: found[name] for name in ("loss", "rmse", "mase")}}


def restore(config: ForecastConfig, directory: Path) -> Prepared:
    """The scale that the run kept."""
    kept = read_kept(directory)
    data = config.data
    source = Source(kept["centre"], kept["spread"])
    return Prepared(Text(data.csv or data.series, "", ""), {}, source=source)


def told(config: ForecastConfig) -> str:
    """The network in a few words."""
    model = config.model
    return f"{model.layers}-layer {model.kind}, {model.hidden} units"


def model_of(config: ForecastConfig, source: Source) -> Forecaster:
    """The forecaster."""
    return build_forecaster(config.model, source.centre, source.spread)


def problem(config: ForecastConfig, prepared: Prepared) -> Problem:
    """What is trained."""
    return model_of(config, prepared.source).problem


def reading(
    config: ForecastConfig, prepared: Prepared, split: str, evaluation: bool = False
) -> Reading:
    """Windows at random places; an evaluation reads a split in one piece."""
    data, series = config.data, prepared.source.series
    if evaluation:
        return WholeStretch(series.values, series.splits[split], data.context)
    sizes = data.batch, data.window, data.burn_in, data.updates
    return SeriesWindows(series.of(split), *sizes)


def probed(config: ForecastConfig, prepared: Prepared) -> Batch | None:
    """Windows that end in the validation split, spread over it; lag 0 is the forecast
    of their last value."""
    series, flow = prepared.source.series, config.gradflow
    first, end = series.splits["valid"]
    steps = flow.lags + 1
    if end - 1 - steps < 0:
        return None
    first = max(first, steps)
    last_B = np.linspace(first, end - 1, min(flow.lanes, end - first)).astype(int)
    return windows_at(series.values, last_B - steps, steps, np.ones(steps))


def example(restored: Restored) -> Batch:
    """A window of a sine wave around the mean."""
    source = restored.prepared.source
    steps = restored.config.gradflow.lags + 1
    values = source.centre + source.spread * np.sin(np.arange(steps + 1) * 0.5)
    return windows_at(values, np.zeros(1, int), steps, np.ones(steps))


def final(config: ForecastConfig, prepared: Prepared, params: Params) -> Final:
    """One step ahead and many, beside forecasts without a network."""
    data, series = config.data, prepared.source.series
    scales, (first, end) = scales_of(series), series.splits["test"]
    last = max([end, *(stop for _, stop in series.ranges.values())])
    model = model_of(config, prepared.source)
    whole = model, params, series
    valid, _, _ = read_stretch(*whole, series.splits["valid"], data.context)
    found, states, begin = read_stretch(*whole, (first, last), data.context)
    others = baselines(series, data.most_lags)
    scores = {
        "valid": scored(series, valid, series.splits["valid"], scales),
        "test": scored(series, found, (first, end), scales)
        | of_ranges(series, found, scales),
    }
    beside = {}
    for name, baseline in others.items():
        one = baseline.one_step(series)
        beside[name] = {
            split: scored(series, one, series.splits[split], scales)
            for split in ("valid", "test")
        }
        beside[name]["test"] |= of_ranges(series, one, scales)
    examples = {"one_step": one_step_shown(series, found, (first, last))}
    origins = origins_of(series, data.horizon, data.origins)
    if len(origins):
        futures = many_ahead(model, params, states, begin, series, origins, data)
        curves = {"network": by_horizon(series, futures)}
        for name, baseline in others.items():
            ahead = baseline.ahead(series, origins, data.horizon)
            curves[name] = by_horizon(series, ahead)
            beside[name]["test"] |= over_all(curves[name], scales.naive)
        scores["test"] |= over_all(curves["network"], scales.naive)
        examples |= {"ahead": ahead_shown(series, futures), "by_horizon": curves}
    return Final(scores=scores, baselines=beside, examples=examples)


def predict(restored: Restored, path: str) -> Iterator[dict[str, Any]]:
    """The values that come next, with bands.

    A CSV file is one series, a row a value: a record for each of `data.horizon` steps
    ahead. Of any other file each line is a series, numbers between blanks or commas: a
    record for the next value, the later ones in its "ahead".

    Raises:
      DataError: for a series with gaps, or a line that is none.
    """
    config, source = restored.config, restored.prepared.source
    given = model_of(config, source), restored.params
    if Path(path).suffix.lower() in TABLES:
        values = read_column(path, config.data.column)
        for step in next_values(*given, values, config.data):
            yield {"text": f"{step['step']} ahead", **step}
        return
    for line in read_lines(path, option="--input"):
        values = parsed(line)
        steps = next_values(*given, values, config.data)
        yield {"text": line.text, **steps[0], "ahead": steps}


def parsed(line: Line) -> np.ndarray:
    """A line as (N,) numbers; DataError where it is none."""
    words = line.text.replace(",", " ").split()
    try:
        values = np.array([float(word) for word in words])
        if len(values) and np.isfinite(values).all():
            return values
    except ValueError:
        pass
    raise DataError(
        f"{line.place} is no series: {line.text[:40]!r}; give numbers with blanks or "
        "commas between them, without gaps (or a .csv file, a row a value)"
    )


APPLICATION = Application(
    config=ForecastConfig,
    told=told,
    prepare=prepare,
    restore=restore,
    problem=problem,
    reading=reading,
    probed=probed,
    final=final,
    section=section,
    predict=predict,
    example=example,
    monitor="loss",
)
