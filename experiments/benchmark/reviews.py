"""Sentiment of film reviews by all ten folds: `sentiment_reviews`, and bags of bigrams
on the same folds."""

import dataclasses
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from experiments.applications.sentiment.config import SentimentConfig
from experiments.benchmark import Benchmark
from experiments.benchmark.training import trained
from experiments.config import GradflowConfig, load_named
from experiments.results.intervals import mean
from experiments.results.markdown import markdown, measured
from experiments.results.rows import Row


def measure(corpus: str) -> dict[str, Any]:
    """Trains a run a fold; accuracies on each fold's test split. What is chosen, where
    to stop and how strongly to regularise, is chosen on each fold's validation split.

    Raises:
      RunError: where a fold was interrupted.
    """
    return over_folds(corpus)


def over_folds(
    corpus: str,
    folds: int = 0,
    changed: Callable[[SentimentConfig, Path], SentimentConfig] = lambda c, _: c,
) -> dict[str, Any]:
    """A row's metrics of the first `folds` folds; 0: of all.

    changed  (a fold's config, a folder of its own) -> the config that is trained.
    """
    base = load_named("sentiment_reviews")
    found: dict[str, list[float]] = {}
    parameters = []
    for fold in range(min(folds or base.data.folds, base.data.folds)):
        data = dataclasses.replace(base.data, corpus=corpus, fold=fold)
        config = dataclasses.replace(base, data=data, gradflow=GradflowConfig(every=0))
        with tempfile.TemporaryDirectory(prefix="reviews-") as folder:
            own = changed(config, Path(folder))
            summary = trained(own, Path(folder) / "run")
        ours = {"network": {"test": summary["scores"]["test"]}}
        for name, splits in (ours | summary["baselines"]).items():
            found.setdefault(name, []).append(splits["test"]["accuracy"])
        parameters.append(summary["parameters"])
        print(f"fold {fold}:", {name: each[-1] for name, each in found.items()})
    means = {name: {"accuracy": mean(each).value} for name, each in found.items()}
    network = means.pop("network")
    return {
        "accuracies": found,
        "parameters": int(np.mean(parameters)),
        "test": network,
        "scores": {"test": network},
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
