"""Study 3: what truncating backpropagation at τ steps costs."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from typing import Any

import jax
import numpy as np
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
from experiments.gradients.common import adam, characters, paced
from experiments.gradients.panels import Rows, bars
from experiments.gradients.rates import told_rate, tuned
from experiments.gradients.runs import common_row, told, trained
from experiments.gradients.study import Job, Result, Study, Table
from experiments.results.intervals import Mean, mean
from lm.config import ModelConfig
from lm.gradflow.terms import truncation_bias
from lm.types import Batch

EXPECTS = (
    "The truncated gradient's relative error falls with every longer τ, and faster "
    "for tanh than for the LSTM; perplexity falls with τ as well, and is within 1 % "
    "of full backpropagation's long before τ reaches the window."
)


@dataclass(frozen=True)
class Truncation:
    """What a size sets."""

    cells: tuple[str, ...] = ("tanh", "lstm")
    τs: tuple[int, ...] = (1, 2, 4, 8, 16)
    """The truncations trained with; the full window besides."""
    hidden: int = 64
    steps: int = 900
    seeds: int = 3
    batch: int = 8
    window: int = 32
    rates: tuple[float, ...] = (0.006, 0.02, 0.06)
    """Learning rates: each cell and τ has its best of these."""
    lanes: int = 32
    """Windows on which the bias is measured."""


SIZES = {
    "small": Truncation(),
    "full": Truncation(
        τs=(1, 2, 4, 8, 16, 32),
        hidden=128,
        steps=4000,
        seeds=5,
        window=64,
        rates=(0.002, 0.006, 0.02),
    ),
}


def configs(size: Truncation) -> dict[str, Config]:
    """A run for each cell and τ; 0 is the full gradient."""
    found = {}
    for cell in size.cells:
        for τ in (*size.τs, 0):
            found[f"{cell}, τ {τ or 'full'}"] = Config(
                data=characters(size.batch, size.window),
                model=ModelConfig(cell, 1, size.hidden, 32),
                optim=adam(τ),
                train=paced(size.steps, 1),
            )
    return found


def measured_at(size: Truncation) -> list[int]:
    """The τs at which the bias is measured: powers of 2 and the longest."""
    powers = [2**n for n in range(size.window) if 2**n < size.window - 1]
    return [0, *powers, size.window - 1]


def make_measure(
    config: Config, model: Any, dataset: Any, *, τs: list[int], lanes: int
):
    """The bias of truncation at each τ, in the runs that train with none."""
    if config.optim.truncation:
        return lambda params: {}
    text = windows(dataset.splits["valid"].ids, config.data.window, lanes)
    lanes = text.inputs_TB.shape[1]
    mask_TB = np.ones(text.inputs_TB.shape, np.float32)
    batch = Batch(text.inputs_TB, text.targets_TB, mask_TB, np.ones(lanes, bool))

    @jax.jit
    def bias(params):
        state = model.initial_state(params, lanes)
        return truncation_bias(model, params, batch, state, τs)

    def measure(params):
        found = bias(params)
        return {
            "relative_error": np.asarray(found.relative_error_τ),
            "cosine": np.asarray(found.cosine_τ),
        }

    return measure


def run(size: Truncation, job: Job) -> Result:
    """Trains with every τ, then reads the rows off the runs."""
    variants = tuned(configs(size), size.rates, job)
    τs = measured_at(size)
    measure = partial(make_measure, τs=τs, lanes=size.lanes)
    groups = trained(variants, measure, job)
    rows = [row_of(name, group, τs) for name, group in groups.items()]
    return Result(headline(rows), rows, table(rows), figure_of(rows))


def row_of(name: str, runs: list, τs: list[int]) -> dict[str, Any]:
    """What the seeds of one cell and τ found; of the full gradient's, the bias that
    truncation would have, before and after training."""
    row, runs = common_row(name, runs)
    config = runs[0].config
    row |= {
        "cell": config["model"]["cell"],
        "τ": config["optim"]["truncation"] or config["data"]["window"] - 1,
        "full": not config["optim"]["truncation"],
    }
    if not row["full"]:
        return row
    steps = {"before": 0, "after": max(runs[0].measures)}
    bias: dict[str, Any] = {"τ": τs}
    for when, step in steps.items():
        for what in ("relative_error", "cosine"):
            columns = zip(*(run.measures[step][what] for run in runs), strict=True)
            means = [mean([float(x) for x in column]) for column in columns]
            bias[f"{what}_{when}"] = [m.value for m in means]
            bias[f"{what}_{when}_half"] = [m.half for m in means]
    return {**row, "bias": bias}


def enough(rows: Sequence[dict[str, Any]], cell: str, slack: float = 0.01) -> int:
    """The smallest τ from which on perplexity stays within `slack` of the full one."""
    of = sorted((r for r in rows if r["cell"] == cell), key=lambda r: r["τ"])
    found = of[-1]["τ"]
    for row in reversed(of):
        if row["perplexity"] > of[-1]["perplexity"] * (1 + slack):
            break
        found = row["τ"]
    return found


def headline(rows: Sequence[dict[str, Any]]) -> str:
    """The sentence, from the rows alone; whether errors fall as expected counts where
    the rows have them."""
    cells = list(dict.fromkeys(row["cell"] for row in rows))
    groups = [[row for row in rows if row["cell"] == cell] for cell in cells]
    groups = [sorted(group, key=lambda row: row["τ"]) for group in groups]
    shortest, full = ([group[at]["perplexity"] for group in groups] for at in (0, -1))
    needs = [enough(rows, cell) for cell in cells]
    shown = errors_fall([group[-1]["bias"] for group in groups if "bias" in group[-1]])
    shown &= all(a > b for a, b in zip(shortest, full, strict=True))
    shown &= all(n < group[-1]["τ"] for n, group in zip(needs, groups, strict=True))
    told = (f"{p:.3g} ({cell})" for p, cell in zip(shortest, cells, strict=True))
    return (
        f"Cutting at τ = {groups[0][0]['τ']} gives perplexity {' and '.join(told)}, "
        f"the full gradient {' and '.join(f'{p:.3g}' for p in full)}; within 1 % from "
        f"τ {' and '.join(map(str, needs))} on, "
        f"{'as expected' if shown else 'unexpected'}."
    )


def errors_fall(biases: Sequence[dict[str, Any]]) -> bool:
    """Whether each cell's error after training falls with τ, and the first cell's is
    the smallest at τ = 4."""
    errors = [bias["relative_error_after"] for bias in biases]
    at_4 = [e[bias["τ"].index(4)] for e, bias in zip(errors, biases, strict=True)]
    falls = (a >= b for e in errors for a, b in pairwise(e))
    return all(falls) and all(at_4[0] <= e for e in at_4)


def table(rows: list[dict[str, Any]]) -> Table:
    """A line a cell and τ."""
    head = (
        "run",
        "rate",
        "perplexity",
        "error before",
        "after",
        "cosine before",
        "after",
    )
    biases = {row["cell"]: row["bias"] for row in rows if row["full"]}
    body = []
    for row in rows:
        bias = biases[row["cell"]]
        at = bias["τ"].index(row["τ"])
        names = ("relative_error_before", "relative_error_after")
        errors = [f"{bias[name][at]:.2%}" for name in names]
        cosines = [f"{bias[f'cosine_{w}'][at]:.4f}" for w in ("before", "after")]
        perplexity = str(Mean(row["perplexity"], row["perplexity_half"]))
        body.append((told(row), told_rate(row), perplexity, *errors, *cosines))
    return Table(head, body)


def figure_of(rows: Rows) -> Figure:
    """Relative error, cosine and perplexity against τ."""
    reading = (
        "Left: how much of the full gradient is thrown away when each loss flows back "
        "at most τ steps, as a share of its norm, and the cosine of the angle to it. "
        "Right: perplexity of networks trained with that gradient. Bars: 95 % over "
        "seeds."
    )
    with styled():
        figure, axes = new_figure(reading, 12.6, 4.4, ncols=3)
        errors, cosines, perplexities = axes
        for number, row in enumerate(row for row in rows if row["full"]):
            bias = row["bias"]
            for later, when in enumerate(("before", "after")):
                style = line_style(2 * number + later)
                label = f"{row['cell']}, {when} training"
                seen = np.asarray(bias["relative_error_" + when])
                shown = seen > 1e-4
                τs = np.asarray(bias["τ"])
                errors.plot(τs[shown], seen[shown], label=label, **style)
                cosines.plot(τs, bias["cosine_" + when], label=label, **style)
            of = [r for r in rows if r["cell"] == row["cell"]]
            of = sorted(of, key=lambda r: r["τ"])
            style = line_style(2 * number + 1)
            τs = [r["τ"] for r in of]
            bars(perplexities, τs, of, "perplexity", row["cell"], style)
        logarithmic(errors)
        errors.set_ylabel("relative error of the gradient")
        cosines.set_ylabel("cosine to the full gradient")
        perplexities.set_ylabel("validation perplexity")
        for panel in axes:
            panel.set_xscale("symlog", base=2, linthresh=1)
            ticks = [t for t in (0, 1, 2, 4, 8, 16, 32, 64) if t <= max(τs) + 1]
            panel.set_xticks(ticks, [str(t) for t in ticks])
            panel.set_xlabel("truncation τ, in steps")
            legend(panel)
    return figure


STUDY = Study(
    expects=EXPECTS,
    sizes=SIZES,
    run=run,
    headline=headline,
)
