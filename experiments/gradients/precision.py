"""Study 10: how far back a gradient is right whose products are in bfloat16."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from data_pipeline.windows import windows
from experiments.config import Config
from experiments.figures.style import (
    legend,
    line_style,
    logarithmic,
    new_figure,
    styled,
)
from experiments.gradients.common import (
    adam,
    characters,
    last_alone,
    paced,
    whole_norms,
)
from experiments.gradients.panels import Rows
from experiments.gradients.rates import told_rate, tuned
from experiments.gradients.runs import common_row, told, trained
from experiments.gradients.study import Job, Result, Study, Table
from experiments.results.intervals import Mean, mean
from lm.config import ModelConfig
from lm.gradflow.through_time import state_gradients
from lm.precision import bfloat16_products
from lm.types import Array

EXPECTS = (
    "Every step back multiplies by weights that were rounded, so that the error of "
    "∂ℓ_t/∂s_{t−k} grows with k, but slower than k itself, and is below 5 % at the "
    "longest lag in each cell. Perplexities in float32 and in bfloat16 are the same "
    "within both intervals."
)
ALLOWED = 0.05


@dataclass(frozen=True)
class Precision:
    """What a size sets."""

    cells: tuple[str, ...] = ("tanh", "gru", "lstm")
    hidden: int = 96
    steps: int = 900
    seeds: int = 3
    batch: int = 32
    window: int = 64
    rates: tuple[float, ...] = (0.006, 0.02)
    """Learning rates: each cell has, in both precisions, its best of these in
    float32."""
    lags: int = 64
    """Lags measured; windows of the probe are a third longer."""
    lanes: int = 64


SIZES = {
    "small": Precision(),
    "full": Precision(hidden=256, steps=4000, seeds=5, lags=256, rates=(0.002, 0.006)),
}


def configs(size: Precision) -> dict[str, Config]:
    """The run of each cell in float32."""
    return {
        f"{cell}, float32": Config(
            data=characters(size.batch, size.window),
            model=ModelConfig(cell, 1, size.hidden, 32),
            optim=adam(),
            train=paced(size.steps, 1),
        )
        for cell in size.cells
    }


def in_both(variants: dict[str, Config]) -> dict[str, Config]:
    """Each with its twin in bfloat16 behind it."""
    found = {}
    for name, config in variants.items():
        half = replace(config.optim, precision="bfloat16")
        found[name] = config
        found[name.replace("float32", "bfloat16")] = replace(config, optim=half)
    return found


def make_measure(config: Config, model: Any, dataset: Any, *, lags: int, lanes: int):
    """‖∂ℓ_t/∂s_{t−k} in bfloat16 − in float32‖ over the latter's norm, the median over
    lanes, for the first `lags` + 1 lags: "error_K", in the runs in float32."""
    if config.optim.precision != "float32":
        return lambda params: {}
    text = windows(dataset.splits["valid"].ids, lags * 4 // 3, lanes)
    batch = last_alone(text)

    @jax.jit
    def error(params):
        def gradients(params):
            state = model.initial_state(params, text.inputs_TB.shape[1])
            (state,) = state_gradients(model.problem, params, state, batch).values()
            return state

        return relative_error(bfloat16_products(gradients)(params), gradients(params))

    def measure(params: Any) -> dict[str, Any]:
        return {"error_K": np.asarray(error(params))[::-1][: lags + 1]}

    return measure


def relative_error(found: Any, right: Any) -> Array:
    """‖found − right‖ / ‖right‖ of states of (T, B, …) arrays, the median over lanes:
    (T,)."""
    apart = whole_norms(jax.tree.map(jnp.subtract, found, right))
    size = jnp.maximum(whole_norms(right), jnp.finfo(apart.dtype).tiny)
    return jnp.median(apart / size, axis=1)


def run(size: Precision, job: Job) -> Result:
    """Trains each cell in both precisions, then reads the rows off the runs."""
    variants = in_both(tuned(configs(size), size.rates, job))
    measure = partial(make_measure, lags=size.lags, lanes=size.lanes)
    groups = trained(variants, measure, job)
    rows = [row_of(name, group) for name, group in groups.items()]
    return Result(headline(rows), rows, table(rows), figure_of(rows))


def row_of(name: str, runs: list) -> dict[str, Any]:
    """What the seeds of one cell and precision found; in float32 also the errors, as
    means over seeds, before and after training."""
    row, runs = common_row(name, runs)
    config = runs[0].config
    row |= {
        "cell": config["model"]["cell"],
        "precision": config["optim"]["precision"],
    }
    if row["precision"] != "float32":
        return row
    for when, step in {"before": 0, "after": max(runs[0].measures)}.items():
        columns = zip(*(run.measures[step]["error_K"] for run in runs), strict=True)
        means = [mean([float(x) for x in column]) for column in columns]
        row[f"error_{when}"] = [m.value for m in means]
        row[f"error_{when}_half"] = [m.half for m in means]
    row["last_error"], row["lags"] = row["error_after"][-1], len(row["error_after"]) - 1
    row["grows_slower"] = slower(row["error_after"])
    return row


def slower(error_K: Sequence[float]) -> bool:
    """Whether the last lag has more of it than lag 1, but not by as much as the lag."""
    return error_K[1] < error_K[-1] < (len(error_K) - 1) * error_K[1]


def headline(rows: Sequence[dict[str, Any]]) -> str:
    """The sentence, from the rows alone."""
    whole = [row for row in rows if row["precision"] == "float32"]
    half = [row for row in rows if row["precision"] != "float32"]
    shown = all(row["last_error"] < ALLOWED and row["grows_slower"] for row in whole)
    shown &= all(map(alike, whole, half))
    errors = ", ".join(f"{row['last_error']:.1%} ({row['cell']})" for row in whole)
    perplexities = "; ".join(
        f"{a['perplexity']:.3g}, {b['perplexity']:.3g}"
        for a, b in zip(whole, half, strict=True)
    )
    return (
        f"In bfloat16 a gradient is off by {errors} {whole[0]['lags']} steps back; "
        f"perplexities (float32, bfloat16) {perplexities}: "
        f"{'as expected' if shown else 'unexpected'}."
    )


def alike(one: dict[str, Any], other: dict[str, Any]) -> bool:
    """Whether two perplexities are the same within both intervals."""
    apart = abs(one["perplexity"] - other["perplexity"])
    return apart <= one["perplexity_half"] + other["perplexity_half"]


def shown_lags(lags: int) -> list[int]:
    """Those of the table."""
    return [0, 1, lags // 4, lags]


def table(rows: list[dict[str, Any]]) -> Table:
    """A line a cell and precision."""
    lags = shown_lags(rows[0]["lags"])
    head = ("run", "rate", "perplexity", *(f"error at lag {k}" for k in lags))
    body = []
    for row in rows:
        errors = row.get("error_after")
        cells = [f"{errors[k]:.2%}" if errors else "" for k in lags]
        perplexity = str(Mean(row["perplexity"], row["perplexity_half"]))
        body.append((told(row), told_rate(row), perplexity, *cells))
    return Table(head, body)


def figure_of(rows: Rows) -> Figure:
    """Errors by lag, and perplexities."""
    reading = (
        "Left: how far a gradient with products in bfloat16 is from one in float32, "
        "as a share of its norm, k steps back from the loss; bands: 95 % over seeds. "
        "Right: perplexity of networks trained with either."
    )
    with styled():
        figure, (errors, perplexities) = new_figure(reading, 9.6, 4.4, ncols=2)
        whole = [row for row in rows if "error_after" in row]
        for number, row in enumerate(whole):
            for later, when in enumerate(("before", "after")):
                curve(errors, row, when, 2 * number + later)
        logarithmic(errors)
        errors.set_ylim(top=1.0)
        errors.set_ylabel("relative error of the gradient")
        errors.set_xlabel("lag k, in steps")
        legend(errors)
        for number, precision in enumerate(("float32", "bfloat16")):
            own = [row for row in rows if row["precision"] == precision]
            places = np.arange(len(own)) + 0.12 * (2 * number - 1)
            halves = np.nan_to_num([row["perplexity_half"] for row in own])
            style = line_style(number) | {"linestyle": "none"}
            values = [row["perplexity"] for row in own]
            perplexities.errorbar(places, values, halves, label=precision, **style)
        cells = [row["cell"] for row in whole]
        perplexities.set_xticks(range(len(cells)), cells)
        perplexities.set_ylabel("validation perplexity")
        legend(perplexities)
    return figure


def curve(axes: Axes, row: dict[str, Any], when: str, number: int) -> None:
    """One cell's error by lag, with its interval."""
    error = np.asarray(row[f"error_{when}"])
    half = np.nan_to_num(row[f"error_{when}_half"])
    style = line_style(number, len(error))
    (line,) = axes.plot(error, label=f"{row['cell']}, {when} training", **style)
    low = np.maximum(error - half, error / 10)
    axes.fill_between(
        range(len(error)), low, error + half, color=line.get_color(), alpha=0.15
    )


STUDY = Study(expects=EXPECTS, sizes=SIZES, run=run, headline=headline)
