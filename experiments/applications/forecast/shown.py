"""What a run on a series forecast: examples, and the report's pictures."""

from collections.abc import Iterator
from typing import Any

import numpy as np

from data_pipeline.series import Range, Series
from experiments.applications.forecast.scores import Ahead, Forecasts, Z
from experiments.figures.forecasts import Fan, coverage, fans, skill
from experiments.figures.page import table_block

LONGEST, FANS, BEFORE = 120, 4, 2


def one_step_shown(series: Series, found: Forecasts, stretch: Range) -> dict[str, Any]:
    """The first values of a stretch beside their forecasts."""
    place = slice(stretch[0], min(stretch[1], stretch[0] + LONGEST))
    deviation = np.sqrt(found.variance[place])
    mean = found.mean[place]
    return {
        "at": (series.start + np.arange(place.start, place.stop)).tolist(),
        "actual": series.values[place].tolist(),
        "mean": mean.tolist(),
        "bands": {
            str(share): [
                (mean - z * deviation).tolist(),
                (mean + z * deviation).tolist(),
            ]
            for share, z in Z.items()
        },
    }


def ahead_shown(series: Series, found: Ahead) -> list[dict[str, Any]]:
    """Some forecasts of many steps, spread over their origins, with what came before
    and after."""
    steps = found.mean.shape[1]
    rows = np.linspace(0, len(found.origins) - 1, min(FANS, len(found.origins)))
    shown = []
    for row in rows.astype(int):
        origin = int(found.origins[row])
        first = max(0, origin - BEFORE * max(steps, 6))
        shown.append(
            {
                "origin": series.start + origin,
                "first": series.start + first,
                "actual": series.values[first : origin + steps + 1].tolist(),
                "mean": found.mean[row].tolist(),
                "bands": {
                    str(share): [low[row].tolist(), high[row].tolist()]
                    for share, (low, high) in found.bands.items()
                },
            }
        )
    return shown


def bands_of(kept: dict[str, Any]) -> dict[int, tuple[np.ndarray, np.ndarray]]:
    """Bands out of JSON."""
    return {
        int(share): (np.array(low, float), np.array(high, float))
        for share, (low, high) in kept["bands"].items()
    }


def section(examples: dict[str, Any]) -> Iterator[Any]:
    """The series with bands, one step ahead and many; skill and coverage by horizon."""
    one = examples["one_step"]
    at = np.array(one["at"])
    fan = Fan(at, np.array(one["mean"]), bands_of(one), at, np.array(one["actual"]))
    reading = (
        "Each value is forecast from all that came before it. Four in five should lie "
        "in the darker band, nineteen in twenty in the lighter one."
    )
    yield "one_step_ahead", fans([fan], "One step ahead, from the test split", reading)
    if "ahead" not in examples:
        return
    shown = []
    for one in examples["ahead"]:
        steps = np.arange(1, len(one["mean"]) + 1)
        past = one["first"] + np.arange(len(one["actual"]))
        actual = np.array(one["actual"])
        shown.append(
            Fan(
                one["origin"] + steps,
                np.array(one["mean"]),
                bands_of(one),
                past,
                actual,
            )
        )
    reading = (
        "From where the band begins the network reads what it has drawn itself; mean "
        "and bands are those of many such futures. The line goes on with what came."
    )
    yield "many_steps_ahead", fans(shown, "Many steps ahead", reading)
    curves = examples["by_horizon"]
    errors = {name: c["rmse"] for name, c in curves.items() if name != "naive"}
    yield "skill", skill(errors, curves["naive"]["rmse"])
    rates = {share: curves["network"][f"coverage_{share}"] for share in Z}
    yield "coverage", coverage(rates)
    steps = range(len(curves["naive"]["rmse"]))
    yield table_block(
        ["steps ahead", *curves],
        [[h + 1, *(f"{c['rmse'][h]:.4g}" for c in curves.values())] for h in steps],
        "Root mean squared error by steps ahead.",
    )
