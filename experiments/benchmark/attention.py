"""How far the loss of a translated word reaches into its source, with and without
attention: the config `translation`, three seeds of each."""

import tempfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from experiments.benchmark import Benchmark
from experiments.benchmark.training import trained
from experiments.config import GradflowConfig, load_named
from experiments.figures.pairs import source_reach_and_lengths
from experiments.results.intervals import mean
from experiments.results.markdown import markdown, measured
from experiments.results.rows import Row
from experiments.run.directory import EXAMPLES
from experiments.run.files import read_json

PLACES = {
    "no attention": {"attention": "none"},
    "luong": {"attention": "luong", "score": "general"},
    "bahdanau": {"attention": "bahdanau", "score": "additive"},
}
SEEDS = range(3)
SCORES = ("exact", "bleu", "loss")


def measure() -> dict[str, Any]:
    """{"places": {where attention stands: {score: one a seed, "reach": (3, 10), see
    `lm.gradflow.source.along`, "lengths": [source tokens, BLEU]}}}, of the test."""
    base = replace(load_named("translation"), gradflow=GradflowConfig(every=0))
    found = {}
    for place, fields in PLACES.items():
        each: dict[str, list[Any]] = {
            name: [] for name in (*SCORES, "reach", "lengths")
        }
        for seed in SEEDS:
            config = replace(base, seed=seed, model=replace(base.model, **fields))
            with tempfile.TemporaryDirectory(prefix="attention-") as folder:
                run = Path(folder) / "run"
                test = trained(config, run)["scores"]["test"]
                seen = read_json(run / EXAMPLES)
            for score in SCORES:
                each[score].append(test[score])
            each["reach"].append(seen["reach"])
            each["lengths"].append([pair[:2] for pair in seen["lengths"]])
        found[place] = {score: each[score] for score in SCORES}
        for name in ("reach", "lengths"):
            found[place][name] = np.mean(each[name], axis=0).round(4).tolist()
        print(f"{place}:", {s: mean(each[s]) for s in SCORES}, flush=True)
    return {"places": found}


def figure(metrics: dict[str, Any]) -> Figure:
    """Where in the source the gradient ends up, and BLEU by length."""
    places = metrics["places"]
    return source_reach_and_lengths(
        {name: np.array(own["reach"]) for name, own in places.items()},
        {name: own["lengths"] for name, own in places.items()},
    )


def table(rows: Sequence[Row]) -> str:
    """A line a place of attention."""
    (row,) = rows
    lines = []
    for place, own in row["metrics"]["places"].items():
        tops = [str(int(np.argmax(third)) / 10) for third in own["reach"]]
        (short, best), (long, worst) = own["lengths"][0], own["lengths"][-1]
        lines.append(
            (
                place,
                str(mean(own["exact"])),
                str(mean(own["bleu"])),
                f"{best:.1f} → {worst:.1f} ({short:.0f} → {long:.0f} tokens)",
                ", ".join(tops),
            )
        )
    head = (
        "attention",
        "exact, 3 seeds, 95 %",
        "BLEU",
        "BLEU of the shortest and the longest sixth",
        "where the gradient of first, middle, last words is largest",
    )
    return f"{markdown(head, lines)}\n{measured(row)}\n"


BENCHMARK = Benchmark(measure, table, figure=figure)
