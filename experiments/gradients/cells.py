"""Study 1: which cells' gradients reach back, and is that what predicts?"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from experiments.config import Config
from experiments.figures.style import (
    limit_line,
    line_style,
    logarithmic,
    new_figure,
    steps_along,
    styled,
)
from experiments.gradients.common import adam, characters, lag_profile, paced
from experiments.gradients.panels import SMALLEST, Rows
from experiments.gradients.rates import told_rate, tuned
from experiments.gradients.reach import reach, reaches
from experiments.gradients.runs import common_row, prepared, told, trained
from experiments.gradients.study import Job, Result, Study, Table
from experiments.gradients.widths import with_parameters
from experiments.results.intervals import Mean, rank_correlation, rounded, span
from lm.cells import is_gated
from lm.config import InitConfig, ModelConfig

EXPECTS = (
    "After training the gated cells (GRU, LSTM) reach further back than the Elman "
    "networks, and over all cells a longer horizon goes with a lower perplexity. "
    "Before training the order is another: there only the initial weights speak, so "
    "that the forget bias and orthogonal or identity matrices hold the gradient. "
    "The horizon is the lag at which 1 % of the gradient of a character's loss is "
    "left, with respect to all that the cell carries on (of an LSTM, h and c)."
)


@dataclass(frozen=True)
class Cells:
    """What a size sets."""

    parameters: int = 40_000
    """Of every model, to 2 %; the hidden size follows."""
    steps: int = 600
    seeds: int = 3
    batch: int = 32
    window: int = 64
    rates: tuple[float, ...] = (0.006, 0.02, 0.06)
    """Learning rates: each cell has its best of these."""
    embedding: int = 32
    lags: int = 96
    """Lags measured; windows of the probe are a third longer."""
    lanes: int = 96


SIZES = {
    "small": Cells(),
    "full": Cells(
        parameters=250_000,
        steps=6000,
        seeds=5,
        lags=192,
        window=128,
        rates=(0.0006, 0.002, 0.006, 0.02),
    ),
}
VARIANTS: dict[str, ModelConfig] = {
    "tanh": ModelConfig("tanh"),
    "tanh, orthogonal": ModelConfig("tanh", init=InitConfig(recurrent="orthogonal")),
    "ReLU": ModelConfig("relu"),
    "ReLU, identity": ModelConfig("irnn"),
    "GRU": ModelConfig("gru"),
    "LSTM, forget 0": ModelConfig("lstm", init=InitConfig(forget_bias=0)),
    "LSTM, forget 1": ModelConfig("lstm", init=InitConfig(forget_bias=1)),
    "LSTM, forget 3": ModelConfig("lstm", init=InitConfig(forget_bias=3)),
}


def configs(size: Cells) -> dict[str, Config]:
    """The run of each variant, its seed aside."""
    return {name: config_of(size, model) for name, model in VARIANTS.items()}


def config_of(
    size: Cells, model: ModelConfig, evaluations: int = 4, unit: int = 1
) -> Config:
    """The run of a model, of a width by the budget, in multiples of `unit`."""
    data = characters(size.batch, size.window)
    vocabulary = prepared(data).vocabulary.size
    model = replace(model, embedding=size.embedding)
    return Config(
        data=data,
        model=with_parameters(model, vocabulary, size.parameters, unit),
        optim=adam(),
        train=paced(size.steps, evaluations),
    )


def run(size: Cells, job: Job) -> Result:
    """Trains every variant, then reads the rows off the runs."""
    variants = tuned(configs(size), size.rates, job)
    measure = partial(lag_profile, lags=size.lags, lanes=size.lanes)
    groups = trained(variants, measure, job)
    job.display.note("measured; drawing")
    rows = [row_of(name, group) for name, group in groups.items()]
    return Result(headline(rows), rows, table(rows), figure_of(rows))


def row_of(name: str, runs: list) -> dict[str, Any]:
    """What a variant's seeds found: perplexity, and the reach at each stage."""
    row, runs = common_row(name, runs)
    model = runs[0].config["model"]
    stages = sorted(runs[0].measures)
    reaches = [reach_at(runs, step) for step in stages]
    return row | {
        "cell": model["cell"],
        "hidden": model["hidden"],
        "parameters": runs[0].summary["parameters"],
        "steps": stages,
        "horizon": [r.horizon for r in reaches],
        "half_life": [r.half_life for r in reaches],
        "horizons_by_seed": reaches[-1].horizons,
        "horizon_of_h": reach_at(runs, stages[-1], "h_norms_LKB").horizon,
        "lags": len(reaches[0].normalised_K) - 1,
        "profile": [r.normalised_K for r in reaches],
        "profile_low": [r.low_K for r in reaches],
        "profile_high": [r.high_K for r in reaches],
    }


def reach_at(runs: list, step: int, norms: str = "lag_norms_LKB"):
    """The top layer's reach after so many steps, over all seeds."""
    return reach(np.stack([run.measures[step][norms][-1] for run in runs]))


def headline(rows: Sequence[dict[str, Any]]) -> str:
    """The sentence, from the rows alone."""
    steady = [row for row in rows if not row["diverged"]] or rows
    best = min(steady, key=lambda row: row["perplexity"])
    among = "" if len(steady) == len(rows) else " of those that never diverged"
    gated = [final_horizon(row) for row in rows if is_gated(row["cell"])]
    plain = [final_horizon(row) for row in rows if not is_gated(row["cell"])]
    horizons = [final_horizon(row) for row in rows]
    ρ = rank_correlation(horizons, [row["perplexity"] for row in rows])
    beyond = "over " if final_horizon(best) >= best["lags"] else ""
    further, together = min(gated) > max(plain), ρ < -0.5
    verdict = {
        (True, True): "gated cells reach further and far sight predicts better (rank "
        f"correlation {ρ:.2f}), as expected",
        (True, False): "gated cells reach further, as expected, but far sight does not "
        f"predict better (rank correlation {ρ:.2f})",
        (False, True): f"far sight predicts better (rank correlation {ρ:.2f}), as "
        "expected, but not all gated cells reach further",
        (False, False): f"far sight does not predict better (rank correlation {ρ:.2f}),"
        " nor do all gated cells reach further: unexpected",
    }[further, together]
    return (
        f"{best['variant']} predicts best{among} (perplexity "
        f"{rounded(best['perplexity'], 3)}, horizon {beyond}{final_horizon(best):g}); "
        f"{verdict}."
    )


def final_horizon(row: dict[str, Any]) -> float:
    """The horizon after training."""
    return row["horizon"][-1][0]


def table(rows: list[dict[str, Any]]) -> Table:
    """A line a variant, best perplexity first."""
    head = (
        "cell",
        "rate",
        "H",
        "parameters",
        "perplexity",
        "horizon: before",
        "during",
        "after",
        "of h alone",
        "half-life",
    )
    body = [
        (
            told(row),
            told_rate(row),
            str(row["hidden"]),
            f"{row['parameters']:,}",
            str(Mean(row["perplexity"], row["perplexity_half"])),
            reaches(row, 0),
            reaches(row, 1),
            reaches(row),
            span(row["horizon_of_h"]),
            f"{row['half_life'][-1][0]:g}",
        )
        for row in sorted(rows, key=lambda row: row["perplexity"])
    ]
    return Table(head, body)


def figure_of(rows: Rows) -> Figure:
    """Lag profiles before and after training; horizons, and their perplexities."""
    reading = (
        "Above: the gradient of a character's loss that is left k characters back, "
        "before and after training; a line that falls fast forgets (shaded: 95 % over "
        "windows). Below: the lag at which 1 % is left, while training, and against "
        "perplexity on held-out text; lower right is far sight and good prediction."
    )
    with styled():
        figure, axes = new_figure(reading, 9.6, 7.4, nrows=2, ncols=2)
        (before, after), (during, against) = axes
        after.sharey(before)
        for number, row in enumerate(rows):
            draw_profile(before, number, row, 0)
            draw_profile(after, number, row, -1)
            horizons = [triple[0] for triple in row["horizon"]]
            style = line_style(number)
            during.plot(row["steps"], horizons, label=row["variant"], **style)
            draw_point(against, number, row)
        before.set_title("before training")
        after.set_title("after training")
        before.set_ylabel("gradient that is left, G(k) / G(0)")
        for panel in (before, after):
            logarithmic(panel)
            panel.set_ylim(SMALLEST, 3)
            panel.set_xlabel("lag k, in characters")
            limit_line(panel, 0.01, "1 %: the horizon", left=True)
        steps_along(during)
        during.set_ylabel("horizon, in characters")
        during.set_title("during training")
        against.set_xlabel("horizon after training, in characters")
        against.set_ylabel("validation perplexity, per character")
        against.set_title("horizon and perplexity")
        perplexities = [row["perplexity"] for row in rows]
        if max(perplexities) > 3 * min(perplexities):
            logarithmic(against)
        figure.legend(
            *during.get_legend_handles_labels(),
            loc="outside upper center",
            ncols=4,
        )
    return figure


def draw_profile(axes: Axes, number: int, row: dict[str, Any], stage: int) -> None:
    """One lag profile with its interval."""
    values, low, high = (
        np.maximum(np.asarray(row[name][stage], float), SMALLEST / 10)
        for name in ("profile", "profile_low", "profile_high")
    )
    style = line_style(number, len(values))
    axes.fill_between(
        np.arange(len(values)), low, high, color=style["color"], alpha=0.2, lw=0
    )
    axes.plot(np.arange(len(values)), values, **style)


def draw_point(axes: Axes, number: int, row: dict[str, Any]) -> None:
    """Horizon and perplexity after training, with their intervals."""
    horizon, low, high = row["horizon"][-1]
    half = row["perplexity_half"]
    style = {**line_style(number), "linestyle": "none", "markersize": 7}
    axes.errorbar(
        horizon,
        row["perplexity"],
        xerr=[[max(0.0, horizon - low)], [max(0.0, high - horizon)]],
        yerr=half if np.isfinite(half) else None,
        elinewidth=0.8,
        **style,
    )


STUDY = Study(
    expects=EXPECTS,
    sizes=SIZES,
    run=run,
    headline=headline,
)
