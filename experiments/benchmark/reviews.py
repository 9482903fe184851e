"""Sentiment of film reviews by all ten folds: `sentiment_reviews`, and bags of bigrams
on the same folds."""

import dataclasses
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from experiments.benchmark import Benchmark
from experiments.config import GradflowConfig, load_named
from experiments.console.command_line import Options
from experiments.results.intervals import mean
from experiments.results.markdown import markdown, measured
from experiments.results.rows import Row
from experiments.run.files import RunError, read_json
from experiments.train.session import train


def measure(corpus: str) -> dict[str, Any]:
    """Trains a run a fold; accuracies on each fold's test split. What is chosen, where
    to stop and how strongly to regularise, is chosen on each fold's validation split.

    Raises:
      RunError: where a fold was interrupted.
    """
    base = load_named("sentiment_reviews")
    found: dict[str, list[float]] = {}
    parameters = []
    for fold in range(base.data.folds):
        data = dataclasses.replace(base.data, corpus=corpus, fold=fold)
        config = dataclasses.replace(base, data=data, gradflow=GradflowConfig(every=0))
        with tempfile.TemporaryDirectory(prefix="reviews-") as folder:
            run = Path(folder) / "run"
            if train(config, Options(run), ()) is None:
                raise RunError(f"fold {fold} was interrupted: begin again")
            summary = read_json(run / "summary.json")
        ours = {"network": {"test": summary["scores"]["test"]}}
        for name, splits in (ours | summary["baselines"]).items():
            found.setdefault(name, []).append(splits["test"]["accuracy"])
        parameters.append(summary["parameters"])
        print(f"fold {fold}:", {name: each[-1] for name, each in found.items()})
    means = {name: {"accuracy": mean(each).value} for name, each in found.items()}
    own = means.pop("network")
    return {
        "accuracies": found,
        "parameters": int(np.mean(parameters)),
        "test": own,
        "scores": {"test": own},
        "baselines": {name: {"test": scores} for name, scores in means.items()},
    }


def table(rows: Sequence[Row]) -> str:
    """A line a method: its mean over the folds, least and greatest."""
    (row,) = rows
    lines = [
        (
            name,
            str(mean([100 * x for x in each])),
            f"{min(each):.1%} to {max(each):.1%}",
        )
        for name, each in row["metrics"]["accuracies"].items()
    ]
    told = markdown(("rt-polarity, 10 folds", "accuracy, %, 95 %", "the folds"), lines)
    return f"{told}\n{measured(row)}\n"


BENCHMARK = Benchmark(measure, table, ("corpus",))
