"""Study 7: which recurrences can count modulo 2, learnt on 40 bits and asked on 256."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from experiments.applications.sequences.config import RuleConfig, SequencesConfig
from experiments.config import GradflowConfig, TrainConfig
from experiments.figures.style import limit_line, line_style, new_figure, styled
from experiments.gradients.concluded import Whole, conclude_all
from experiments.gradients.panels import Rows
from experiments.gradients.study import Job, Result, Study, Table
from lm.config import ModelConfig, OptimConfig

RIGHT = 0.9  # share of answers that counts as solved (Delétang 2023)
# By what their recurrence can do to a state: turn it around or not (Grazzi 2024).
TURNING = ("tanh", "lstm", "slstm", "gated_delta_net_negative")
KEEPING = ("min_gru", "rg_lru", "mlstm", "gated_delta_net")

EXPECTS = (
    "Recurrences whose eigenvalues lie in [0, 1] (minGRU, RG-LRU, mLSTM, gated "
    "DeltaNet with β ≤ 1) learn no parity that holds beyond the training's length; "
    "those that reach −1 or mix units nonlinearly (tanh, LSTM, sLSTM, gated DeltaNet "
    "with β ≤ 2) do: Grazzi 2024, who prove the first half."
)


@dataclass(frozen=True)
class Parity:
    """What a size sets."""

    cells: tuple[str, ...] = TURNING + KEEPING
    length: int = 40
    """Bits that are learnt from; after each the parity so far is asked for."""
    asked: int = 256
    """Bits of the test, whose parity is asked for at the end."""
    seeds: int = 3
    steps: int = 5_000
    check: int = 500
    """Updates between evaluations; the best parameters are those of one."""
    learning_rate: float = 0.003
    """Of Adam, behind clipping at norm 1."""
    hidden: int = 32
    batch: int = 32
    layers: int = 2
    """With a residual connection."""
    examined: int = 2_000
    """Sequences of the test."""


SIZES = {
    "small": Parity(cells=(*TURNING, "min_gru"), seeds=2),
    "medium": Parity(),
    "full": Parity(seeds=5, steps=50_000, hidden=64),
}


def config_of(size: Parity, cell: str, seed: int) -> SequencesConfig:
    """One run."""
    return SequencesConfig(
        name=f"{cell}-seed{seed}",
        seed=seed,
        data=RuleConfig(
            "running_parity",
            lengths=(size.length, size.length),
            longer=(size.asked, size.asked),
            batch=size.batch,
            updates=size.check,
            examined=size.examined,
        ),
        model=ModelConfig(cell, size.layers, size.hidden, 0, residual=size.layers > 1),
        optim=OptimConfig("adam", size.learning_rate, clip="norm", clip_at=1.0),
        train=TrainConfig(
            epochs=0, steps=size.steps, eval_batch=100, keep=1, samples=0, fused=10
        ),
        gradflow=GradflowConfig(every=0),
    )


def run(size: Parity, job: Job) -> Result:
    """Trains every cell with every seed; seeds outermost."""
    wholes = []
    for seed in range(job.seeds):
        for cell in size.cells:
            config = config_of(size, cell, seed)
            label = f"{cell}, seed {seed}"
            wholes.append(Whole(label, config, job.directory / config.name))
    summaries = conclude_all(wholes, job)
    shares = [right_of(summary) for summary in summaries]
    count = len(size.cells)
    rows = [
        row_of(size, cell, shares[number::count])
        for number, cell in enumerate(size.cells)
    ]
    return Result(headline(rows), rows, table(rows), figure_of(rows))


def right_of(summary: dict[str, Any]) -> float:
    """The share of long sequences whose parity is right; 0 of a run that diverged."""
    if "diverged" in summary:
        return 0.0
    return float(summary["scores"]["test"]["solved_longer"])


def row_of(size: Parity, cell: str, right: Sequence[float]) -> dict[str, Any]:
    """What a cell's seeds found."""
    return {
        "variant": cell,
        "turns": cell in TURNING,
        "length": size.length,
        "asked": size.asked,
        "seeds": len(right),
        "right": list(right),
        "able": sum(share > RIGHT for share in right),
    }


def headline(rows: Sequence[dict[str, Any]]) -> str:
    """The sentence, from the rows alone."""
    found = [2 * row["able"] > row["seeds"] for row in rows]
    verdict = "as expected" if found == [row["turns"] for row in rows] else "unexpected"
    counts = ", ".join(f"{row['variant']} {row['able']}/{row['seeds']}" for row in rows)
    trained, asked = rows[0]["length"], rows[0]["asked"]
    return (
        f"Parity of {asked} bits, learnt from {trained}, by seeds: {counts}; {verdict}."
    )


def table(rows: Rows) -> Table:
    """What each cell's seeds came to."""
    head = ("cell", "turns", f"over {RIGHT:.0%} right", "right, by seed")
    body = [
        (
            row["variant"],
            "yes" if row["turns"] else "no",
            f"{row['able']}/{row['seeds']}",
            ", ".join(f"{share:.1%}" for share in row["right"]),
        )
        for row in rows
    ]
    return Table(head, body)


def figure_of(rows: Rows) -> Figure:
    """Each seed's share of right answers, by cell."""
    reading = (
        f"The share of sequences of {rows[0]['asked']} bits whose parity a network "
        f"gets right, having learnt on {rows[0]['length']}: a mark for each seed. Left "
        "of the line, cells whose recurrence can turn a state around; right of it, "
        "cells whose eigenvalues lie in [0, 1]. Half is chance."
    )
    with styled():
        figure, axes = new_figure(reading, 7.0, 3.4)
        for at, row in enumerate(rows):
            right = np.asarray(row["right"])
            places = at + 0.12 * (np.arange(len(right)) - (len(right) - 1) / 2)
            style = line_style(0 if row["turns"] else 1) | {"linestyle": "none"}
            axes.plot(places, right, **style)
        limit_line(axes, 0.5, "chance")
        turning = sum(row["turns"] for row in rows)
        axes.axvline(turning - 0.5, color="0.7", linewidth=0.8)
        names = [row["variant"].replace("_", " ") for row in rows]
        axes.set_xticks(range(len(rows)), names, rotation=20, ha="right")
        axes.set_ylabel("sequences answered rightly")
        axes.set_ylim(min(0.4, *(s for r in rows for s in r["right"])) - 0.05, 1.05)
    return figure


STUDY = Study(expects=EXPECTS, sizes=SIZES, run=run, headline=headline)
