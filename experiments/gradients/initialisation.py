"""Study 2: recurrent gain, from vanishing over the edge to exploding."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
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
from experiments.gradients.common import adam, characters, lag_profile, paced
from experiments.gradients.mean_field import critical_gain
from experiments.gradients.panels import SMALLEST, Rows, bars
from experiments.gradients.rates import told_rate, tuned
from experiments.gradients.reach import reach, reaches
from experiments.gradients.runs import common_row, told, trained
from experiments.gradients.study import Job, Result, Study, Table
from experiments.results.intervals import Mean, mean
from lm.config import InitConfig, ModelConfig, Recurrent
from lm.gradflow.lyapunov import lyapunov_spectrum
from lm.gradflow.transitions import of_layer

EXPECTS = (
    "A tanh network's largest Lyapunov exponent crosses 0 where mean-field theory has "
    "it for its inputs: at gain 1 (orthogonal) and √3 (uniform) without any, a little "
    "above with ours. Below, gradients vanish; above, they explode. Training goes best "
    "from the edge (|λ| < 0.1)."
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
SPREAD = {"orthogonal": 1.0, "uniform": 3**-0.5}
"""The deviation of a draw's weights, times √H, at gain 1."""
EDGE, NEAR = 0.1, 0.1
"""|λ| of a start at the edge; how far off theory's gain the crossing may be."""


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


def make_measure(
    config: Config,
    model: Any,
    dataset: Any,
    *,
    lags: int,
    lanes: int,
    warmup: int,
    measured: int,
    streams: int,
):
    """Norms for the lag profile, and the largest Lyapunov exponent on the text, with
    the variance of what the input adds to pre-activations."""
    profile = lag_profile(config, model, dataset, lags=lags, lanes=lanes)
    ids = dataset.splits["valid"].ids
    xs_TB = windows(ids, warmup + measured, streams).inputs_TB

    @jax.jit
    def exponent(params):
        state = model.initial_state(params, xs_TB.shape[1])
        return lyapunov_spectrum(of_layer(model.layer, params), state, xs_TB, warmup, 1)

    def measure(params):
        λ = exponent(params)
        return {
            **profile(params),
            "exponent": np.asarray(λ.exponents_K[0]),
            "standard_error": np.asarray(λ.standard_error_K[0]),
            "input_variance": np.asarray(input_variance(params, xs_TB)),
        }

    return measure


def input_variance(params: Any, ids_TB: Any) -> Any:
    """The mean square of x·W_x + b of the bottom layer, over units and time."""
    layer = params["layers"][0]
    zs_TBH = params["embedding"][ids_TB] @ layer["w_x"] + layer["b"][None, None]
    return jnp.mean(zs_TBH**2)


def run(size: Initialisation, job: Job) -> Result:
    """Trains from every start, then reads the rows off the runs."""
    variants = tuned(configs(size), size.rates, job)
    names = ("lags", "lanes", "warmup", "measured", "streams")
    settings = {name: getattr(size, name) for name in names}
    groups = trained(variants, partial(make_measure, **settings), job)
    rows = [row_of(name, group) for name, group in groups.items()]
    return Result(headline(rows), rows, table(rows), figure_of(rows))


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
        "input_variance": float(
            np.mean([run.measures[before]["input_variance"] for run in runs])
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


def expected_edges(rows: Sequence[dict[str, Any]]) -> dict[str, float]:
    """For each way to draw, the gain where mean-field theory expects λ = 0, with the
    inputs that were measured; without inputs where rows of old have none."""
    found = {}
    for draw in DRAWS:
        variances = [r.get("input_variance", 0.0) for r in rows if r["draw"] == draw]
        found[draw] = critical_gain(float(np.mean(variances))) / SPREAD[draw]
    return found


def edges(rows: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """For each way to draw, the gain where λ crosses 0: a mean over seeds."""
    found = {}
    for draw in DRAWS:
        of = [row for row in rows if row["draw"] == draw]
        gains = [row["gain"] for row in of]
        seeds = zip(*(row["exponents"] for row in of), strict=True)
        found[draw] = mean([crossing(gains, λs) for λs in seeds])
    return found


def headline(rows: Sequence[dict[str, Any]]) -> str:
    """The sentence, from the rows alone."""
    found = edges(rows)
    theory = expected_edges(rows)

    def place(draw):
        if math.isnan(found[draw].value):
            return f"over {max(row['gain'] for row in rows):g} ({draw})"
        return f"{found[draw]} ({draw})"

    best = min(rows, key=lambda row: row["perplexity"])
    near = abs(best["exponent"]) < EDGE
    agree = all(abs(found[d].value / theory[d] - 1) <= NEAR for d in DRAWS)
    return (
        f"Gradients neither vanish nor explode at gain {place('orthogonal')} and "
        f"{place('uniform')}, {'as expected' if agree else 'unexpected'}; the best "
        f"start, {best['variant']}, lies "
        f"{'at the edge, as expected' if near else 'off the edge, unexpected'}."
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


def figure_of(rows: Rows) -> Figure:
    """λ against the gain, lag profiles of some gains, perplexity against the gain."""
    reading = (
        "λ is the mean growth of a small disturbance, in nats a step: below 0 it dies "
        "and the gradient vanishes, above 0 both explode; the vertical lines are where "
        "it crosses 0, dotted where mean-field theory expects it. Middle: the gradient "
        "left k characters back in untrained networks with orthogonal matrices, by "
        "their gain. Bars: 95 % over seeds."
    )
    with styled():
        figure, axes = new_figure(reading, 12.6, 4.4, ncols=3)
        exponents, profiles, perplexities = axes
        found, theory = edges(rows), expected_edges(rows)
        for number, draw in enumerate(DRAWS):
            of = [row for row in rows if row["draw"] == draw]
            gains = [row["gain"] for row in of]
            style = line_style(number)
            bars(exponents, gains, of, "exponent", f"{draw}, untrained", style)
            trained = {**line_style(number + 2), "color": style["color"], "alpha": 0.6}
            bars(exponents, gains, of, "exponent_after", f"{draw}, trained", trained)
            bars(perplexities, gains, of, "perplexity", draw, style)
            for panel in (exponents, perplexities):
                panel.axvline(theory[draw], color=style["color"], alpha=0.5, ls=":")
                if np.isfinite(found[draw].value):
                    panel.axvline(found[draw].value, color=style["color"], alpha=0.5)
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
    headline=headline,
)
