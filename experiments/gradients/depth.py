"""Study 6: gradients down the layers and back in time, with and without residuals."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from experiments.config import Config
from experiments.figures.style import legend, line_style, new_figure, styled
from experiments.gradients.common import adam, characters, lag_profile, paced
from experiments.gradients.panels import Rows, bars
from experiments.gradients.rates import told_rate, tuned
from experiments.gradients.runs import common_row, told, trained
from experiments.gradients.study import Job, Result, Study, Table
from experiments.results.intervals import Mean, rounded
from lm.config import ModelConfig

EXPECTS = (
    "Before training, without residual connections each layer down loses a constant "
    "share of the gradient, so that little reaches the first of 8; with them the "
    "first layer gets as much as the last. After training the deep plain stacks "
    "predict worse than shallow ones, and the deep residual stacks do not."
)


@dataclass(frozen=True)
class Depth:
    """What a size sets."""

    cell: str = "lstm"
    layers: tuple[int, ...] = (1, 2, 4, 8)
    hidden: int = 48
    steps: int = 600
    seeds: int = 3
    batch: int = 16
    window: int = 32
    rates: tuple[float, ...] = (0.006, 0.02, 0.06)
    """Learning rates: each stack has its best of these."""
    lags: int = 32
    lanes: int = 64


SIZES = {
    "small": Depth(),
    "full": Depth(
        layers=(1, 2, 3, 4, 5, 6, 7, 8),
        hidden=128,
        steps=4000,
        seeds=5,
        window=64,
        lags=64,
        rates=(0.002, 0.006, 0.02),
    ),
}


def configs(size: Depth) -> dict[str, Config]:
    """A run for each depth, plain and, from two layers on, residual."""
    found = {}
    for layers in size.layers:
        for residual in (False, True)[: min(layers, 2)]:
            kind = "residual" if residual else "plain"
            found[f"{kind}, {layers} layers"] = Config(
                data=characters(size.batch, size.window),
                model=ModelConfig(
                    size.cell, layers, size.hidden, 32, residual=residual
                ),
                optim=adam(),
                train=paced(size.steps, 1),
            )
    return found


def run(size: Depth, job: Job) -> Result:
    """Trains every stack, then reads the rows off the runs."""
    variants = tuned(configs(size), size.rates, job)
    measure = partial(lag_profile, lags=size.lags, lanes=size.lanes)
    groups = trained(variants, measure, job)
    rows = [row_of(name, group) for name, group in groups.items()]
    return Result(headline(rows), rows, table(rows), figure_of(rows))


def row_of(name: str, runs: list) -> dict[str, Any]:
    """What the seeds of one stack found. `down`: the share of the last layer's gradient
    that reaches the first, see `share_down`; a geometric mean over seeds."""
    row, runs = common_row(name, runs)
    config = runs[0].config
    row |= {
        "layers": config["model"]["layers"],
        "residual": config["model"]["residual"],
        "parameters": runs[0].summary["parameters"],
    }
    for when, step in {"before": 0, "after": max(runs[0].measures)}.items():
        logs_SLK = np.stack([flow(run.measures[step]) for run in runs])
        row[f"flow_{when}"] = logs_SLK.mean(axis=0)
        row[f"down_{when}"] = float(10 ** share_down(logs_SLK).mean())
    return row


def flow(measures: dict[str, Any]):
    """log₁₀ of Gˡ(k) over that of the last layer at lag 0: (L, K)."""
    raw_LK = measures["lag_norms_LKB"].mean(axis=-1)
    tiny = np.finfo(np.float32).tiny
    return np.log10(np.maximum(raw_LK, tiny) / np.maximum(raw_LK[-1, 0], tiny))


def share_down(logs_SLK: Any):
    """log₁₀ of √Σ_k G¹(k)² over √Σ_k Gᴸ(k)², of each seed: all lags count, since in a
    deep stack most of what comes down has gone back in time on its way."""
    totals_SL = np.log10(np.sum(10.0 ** (2 * np.asarray(logs_SLK)), axis=-1)) / 2
    return totals_SL[:, 0] - totals_SL[:, -1]


def headline(rows: Sequence[dict[str, Any]]) -> str:
    """The sentence, from the rows alone."""
    deepest = max(row["layers"] for row in rows)
    plain, residual = (
        next(r for r in rows if r["layers"] == deepest and r["residual"] is kind)
        for kind in (False, True)
    )
    vanishes = plain["down_before"] < 0.1 and 0.3 < residual["down_before"]
    helps = plain["perplexity"] > residual["perplexity"]
    shallow = min(r["perplexity"] for r in rows if not r["residual"])
    shown = vanishes and helps and plain["perplexity"] > shallow
    return (
        f"Untrained, {share(plain['down_before'])} of the gradient comes down "
        f"{deepest} plain layers, "
        f"{share(residual['down_before'])} down residual ones; trained, "
        f"perplexity is {rounded(plain['perplexity'], 3)} against "
        f"{rounded(residual['perplexity'], 3)}: "
        f"{'as expected' if shown else 'not in every way what was expected'}."
    )


def share(value: float) -> str:
    """0.034 as "3.4 %", 2.1 as "2.1 times all"."""
    return f"{value:.2g} times all" if value >= 1.5 else f"{rounded(100 * value, 2)} %"


def table(rows: list[dict[str, Any]]) -> Table:
    """A line a stack."""
    head = (
        "stack",
        "rate",
        "parameters",
        "perplexity",
        "reaches layer 1: before",
        "after",
    )
    body = [
        (
            told(row),
            told_rate(row),
            f"{row['parameters']:,}",
            str(Mean(row["perplexity"], row["perplexity_half"])),
            share(row["down_before"]),
            share(row["down_after"]),
        )
        for row in rows
    ]
    return Table(head, body)


def figure_of(rows: Rows) -> Figure:
    """Heat maps (layer × lag) of the deepest stacks, and perplexity against depth."""
    reading = (
        "Maps: the gradient of a character's loss in each layer (top: the last) and k "
        "characters back, as a power of ten of that in the last layer at lag 0; "
        "brighter is more, lines join equal powers. Right: perplexity, mean and 95 % "
        "over seeds."
    )
    deepest = max(row["layers"] for row in rows)
    deep = [row for row in rows if row["layers"] == deepest]
    floor = max(-8, min(np.min(row["flow_before"]) for row in deep))
    with styled():
        figure, axes = new_figure(reading, 12.6, 6.0, nrows=2, ncols=3)
        for panel in axes[:, 2]:
            panel.remove()
        whole = figure.add_subplot(axes[0, 2].get_gridspec()[:, 2])
        for across, row in enumerate(deep):
            kind = "residual" if row["residual"] else "plain"
            for down, when in enumerate(("before", "after")):
                panel = axes[down, across]
                mesh = draw_map(panel, np.asarray(row[f"flow_{when}"], float), floor)
                panel.set_title(f"{kind}, {when} training")
        figure.colorbar(mesh, ax=axes[:, :2], label="log₁₀ of the share", pad=0.01)
        for number, kind in enumerate((False, True)):
            of = [r for r in rows if r["residual"] is kind or r["layers"] == 1]
            layers = [r["layers"] for r in of]
            label = "residual" if kind else "plain"
            bars(whole, layers, of, "perplexity", label, line_style(number))
        whole.grid(True)
        whole.set_xticks(sorted({row["layers"] for row in rows}))
        whole.set_xlabel("layers")
        whole.set_ylabel("validation perplexity")
        legend(whole)
    return figure


def draw_map(axes: Axes, logs_LK: np.ndarray, floor: float) -> Any:
    """One heat map, from 10⁰ down to 10^floor."""
    layers, lags = logs_LK.shape
    edges = np.arange(lags + 1) - 0.5, np.arange(layers + 1) + 0.5
    shown = {"cmap": "viridis", "vmin": floor, "vmax": 0.5, "rasterized": True}
    mesh = axes.pcolormesh(*edges, logs_LK, **shown)
    if min(logs_LK.shape) > 1:
        at = np.arange(lags), np.arange(1, layers + 1)
        powers = [p for p in range(-8, 1) if logs_LK.min() < p < logs_LK.max()]
        if powers:
            lines = axes.contour(
                *at, logs_LK, powers, colors="white", linestyles="solid", linewidths=0.8
            )
            axes.clabel(lines, fmt=lambda power: f"{power:.0f}", fontsize=7)
    axes.grid(False)
    axes.set_yticks(range(1, layers + 1))
    axes.set_xlabel("lag k, in characters")
    axes.set_ylabel("layer")
    return mesh


STUDY = Study(
    expects=EXPECTS,
    sizes=SIZES,
    run=run,
    headline=headline,
)
