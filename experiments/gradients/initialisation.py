"""Study 2: recurrent gain, from vanishing over the edge to exploding."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import jax
import numpy as np
from matplotlib.figure import Figure

from data_pipeline.windows import windows
from experiments.config import Config
from experiments.figures.style import (
    legend,
    limit_line,
    line_style,
    logarithmic,
    new_figure,
    styled,
)
from experiments.gradients.common import adam, characters, lag_measure, paced
from experiments.gradients.panels import SMALLEST, Rows, bars
from experiments.gradients.rates import told_rate, tuned
from experiments.gradients.reach import reach, reaches
from experiments.gradients.runs import common_row, told, trained
from experiments.gradients.study import Job, Result, Study, Table
from experiments.results.intervals import Mean, mean
from lm.config import InitConfig, ModelConfig, Recurrent
from lm.gradflow.lyapunov import lyapunov_spectrum
from lm.gradflow.transitions import of_model

EXPECTS = (
    "At its start a tanh network's largest Lyapunov exponent crosses 0 a little "
    "above the gain at which the recurrent matrix alone neither shrinks nor grows: "
    "1 for an orthogonal matrix, √3 for entries from U(±gain/√H), since inputs and "
    "tanh only ever shrink. Below, gradients vanish; above, they explode. Some "
    "hundred steps of training predict best from a start near the edge (|λ| < 0.1)."
)


@dataclass(frozen=True)
class Initialisation:
    """What a size sets."""

    gains: tuple[float, ...] = (0.5, 0.75, 1.0, 1.25, 1.5, 1.75, 2.0, 2.5)
    hidden: int = 64
    steps: int = 300
    seeds: int = 3
    batch: int = 32
    window: int = 64
    rates: tuple[float, ...] = (0.002, 0.006, 0.02)
    """Learning rates: each start has its best of these."""
    lags: int = 64
    lanes: int = 64
    warmup: int = 50
    """Steps before the exponent is measured, over `measured` more in `streams`."""
    measured: int = 400
    streams: int = 4


SIZES = {
    "small": Initialisation(),
    "full": Initialisation(
        gains=tuple(0.5 + 0.1 * n for n in range(21)),
        hidden=256,
        steps=2000,
        seeds=5,
        measured=2000,
    ),
}
DRAWS: dict[str, Recurrent] = {"orthogonal": "orthogonal", "uniform": "same"}
THEORY = {"orthogonal": 1.0, "uniform": 3**0.5}
EDGE = 0.1


def configs(size: Initialisation) -> dict[str, Config]:
    """A run for each way to draw and each gain."""
    found = {}
    for draw, recurrent in DRAWS.items():
        for gain in size.gains:
            init = InitConfig(recurrent=recurrent, gain=gain)
            found[f"{draw} {gain:g}"] = Config(
                data=characters(size.batch, size.window),
                model=ModelConfig("tanh", 1, size.hidden, 32, init=init),
                optim=adam(),
                train=paced(size.steps, 1),
            )
    return found


def make_measure(size: Initialisation, config: Config, model: Any, dataset: Any):
    """Norms for the lag profile, and the largest Lyapunov exponent on the text."""
    ids = dataset.splits["valid"].ids
    lags = lag_measure(model, windows(ids, size.lags * 4 // 3, size.lanes), size.lags)
    xs_TB = windows(ids, size.warmup + size.measured, size.streams).inputs_TB

    @jax.jit
    def exponent(params):
        state = model.initial_state(params, xs_TB.shape[1])
        return lyapunov_spectrum(of_model(model, params), state, xs_TB, size.warmup, 1)

    def measure(params):
        λ = exponent(params)
        return {
            **lags(params),
            "exponent": np.asarray(λ.exponents_K[0]),
            "standard_error": np.asarray(λ.standard_error_K[0]),
        }

    return measure


def run(size: Initialisation, job: Job) -> Result:
    """Trains from every start, then reads the rows off the runs."""
    variants = tuned(configs(size), size.rates, job)
    groups = trained(variants, partial(make_measure, size), job)
    rows = [row_of(name, group) for name, group in groups.items()]
    found = edges(rows)
    figure = figure_of(rows, found)
    return Result(headline(rows, found), rows, table(rows), figure)


def row_of(name: str, runs: list) -> dict[str, Any]:
    """What the seeds of one start found."""
    row, runs = common_row(name, runs)
    before, after = min(runs[0].measures), max(runs[0].measures)
    started, ended = (
        mean([float(run.measures[step]["exponent"]) for run in runs])
        for step in (before, after)
    )
    profiles = [
        reach(np.stack([run.measures[step]["lag_norms_LKB"][-1] for run in runs]))
        for step in (before, after)
    ]
    return row | {
        "draw": name.split()[0],
        "gain": runs[0].config["model"]["init"]["gain"],
        "exponents": [float(run.measures[before]["exponent"]) for run in runs],
        "exponent": started.value,
        "exponent_half": started.half,
        "standard_error": float(
            np.mean([run.measures[before]["standard_error"] for run in runs])
        ),
        "exponent_after": ended.value,
        "exponent_after_half": ended.half,
        "horizon": [profile.horizon for profile in profiles],
        "lags": len(profiles[0].normalised_K) - 1,
        "profile": [profile.normalised_K for profile in profiles],
    }


def crossing(xs: Sequence[float], ys: Sequence[float]) -> float:
    """The first x at which y rises through 0, linearly between points; nan
    where it never does."""
    points = list(zip(xs, ys, strict=True))
    for (x0, y0), (x1, y1) in zip(points, points[1:], strict=False):
        if y0 <= 0 <= y1 and y0 < y1:
            return x0 + (x1 - x0) * -y0 / (y1 - y0)
    return float("nan")


def edges(rows: list[dict[str, Any]]) -> dict[str, Any]:
    """For each way to draw, the gain where λ crosses 0: a mean over seeds."""
    found = {}
    for draw in DRAWS:
        of = [row for row in rows if row["draw"] == draw]
        gains = [row["gain"] for row in of]
        seeds = zip(*(row["exponents"] for row in of), strict=True)
        found[draw] = mean([crossing(gains, λs) for λs in seeds])
    return found


def headline(rows: list[dict[str, Any]], found: dict[str, Any]) -> str:
    """The sentence, from the rows alone."""

    def place(draw):
        if found[draw].value != found[draw].value:
            return f"not in every seed up to gain {max(row['gain'] for row in rows):g}"
        return f"at gain {found[draw]}"

    best = min(rows, key=lambda row: row["perplexity"])
    near = abs(best["exponent"]) < EDGE
    above = all(THEORY[d] <= found[d].value <= 1.25 * THEORY[d] for d in DRAWS)
    perplexity = Mean(best["perplexity"], best["perplexity_half"])
    start = Mean(best["exponent"], best["exponent_half"])
    verdict = {
        (True, True): "Both are as expected.",
        (True, False): "The crossings are as expected, the best start is not.",
        (False, True): "The best start is as expected, the crossings are not.",
        (False, False): "Neither is what was expected.",
    }[above, near]
    return (
        "The largest Lyapunov exponent of an untrained tanh network crosses 0 "
        f"{place('orthogonal')} for orthogonal matrices (1 without inputs and tanh) "
        f"and {place('uniform')} for uniform ones (√3 = 1.73); training went best "
        f"from the {best['variant']} start, where λ = {start} nats a step (perplexity "
        f"{perplexity}). {verdict}"
    )


def regime(row: dict[str, Any]) -> str:
    """Vanishing, edge or exploding, by the exponent at the start."""
    if abs(row["exponent"]) < EDGE:
        return "edge"
    return "exploding" if row["exponent"] > 0 else "vanishing"


def table(rows: list[dict[str, Any]]) -> Table:
    """A line a start."""
    head = (
        "start",
        "rate",
        "λ before",
        "",
        "λ after",
        "horizon before",
        "after",
        "perplexity",
    )
    body = [
        (
            told(row),
            told_rate(row),
            str(Mean(row["exponent"], row["exponent_half"])),
            regime(row),
            str(Mean(row["exponent_after"], row["exponent_after_half"])),
            reaches(row, 0),
            reaches(row),
            str(Mean(row["perplexity"], row["perplexity_half"])),
        )
        for row in rows
    ]
    return Table(head, body)


def figure_of(rows: Rows, edges: dict[str, Any]) -> Figure:
    """λ against the gain, lag profiles of some gains, perplexity against the gain."""
    reading = (
        "λ is the mean growth of a small disturbance, in nats a step: below 0 it dies "
        "and the gradient vanishes, above 0 both explode; the vertical lines are where "
        "it crosses 0. Middle: the gradient left k characters back in untrained "
        "networks with orthogonal matrices, by their gain. Bars: 95 % over seeds."
    )
    with styled():
        figure, axes = new_figure(reading, 12.6, 4.4, ncols=3)
        exponents, profiles, perplexities = axes
        for number, draw in enumerate(edges):
            of = [row for row in rows if row["draw"] == draw]
            gains = [row["gain"] for row in of]
            style = line_style(number)
            bars(exponents, gains, of, "exponent", f"{draw}, untrained", style)
            trained = {**line_style(number + 2), "color": style["color"], "alpha": 0.6}
            bars(exponents, gains, of, "exponent_after", f"{draw}, trained", trained)
            bars(perplexities, gains, of, "perplexity", draw, style)
            if np.isfinite(edges[draw].value):
                for panel in (exponents, perplexities):
                    panel.axvline(edges[draw].value, color=style["color"], alpha=0.5)
        limit_line(exponents, 0.0, "edge", left=True)
        exponents.set_ylabel("largest Lyapunov exponent λ, nats a step")
        perplexities.set_ylabel("validation perplexity after training")
        orthogonal = [row for row in rows if row["draw"] == "orthogonal"]
        for number, row in enumerate(orthogonal[:: max(1, len(orthogonal) // 5)]):
            values = np.asarray(row["profile"][0], float)
            values = np.where(values > SMALLEST, values, np.nan)
            style = line_style(number, len(values))
            profiles.plot(values, label=f"gain {row['gain']:g}", **style)
        logarithmic(profiles)
        profiles.set_xlabel("lag k, in characters")
        profiles.set_ylabel("gradient that is left, G(k) / G(0)")
        for panel in (exponents, perplexities):
            panel.set_xlabel("recurrent gain")
        for panel in axes:
            legend(panel, loc="lower right" if panel is profiles else "best")
    return figure


STUDY = Study(
    expects=EXPECTS,
    sizes=SIZES,
    run=run,
)
