"""Sentiment of film reviews by `sentiment_reviews`, begun as a language model of the
fold's own text, on a few folds."""

import dataclasses
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from data_pipeline.config import DataConfig
from experiments.applications.sentiment.config import SentimentConfig
from experiments.applications.sentiment.data import read
from experiments.benchmark import Benchmark
from experiments.config import (
    Config,
    GradflowConfig,
    RunConfig,
    TrainConfig,
    load_named,
)
from experiments.console.command_line import Options
from experiments.results.intervals import mean
from experiments.results.markdown import markdown, measured
from experiments.results.rows import Row
from experiments.run.files import RunError, read_json
from experiments.train.session import train
from lm.config import ModelConfig, OptimConfig

EPOCHS = 6


def begun_as_language_model(config: SentimentConfig, folder: Path) -> SentimentConfig:
    """The config with a language model to start from, trained in `folder` on the
    sentences of the training split; those of validation choose its step. It reads one
    way, as a language model does."""
    data, text = config.data, folder / "text"
    text.mkdir()
    splits = read(data).splits
    for name, of in (("train", "train"), ("valid", "valid"), ("test", "valid")):
        lines = "\n".join(splits[of].texts)
        (text / f"{name}.txt").write_text(f"{lines}\n", encoding="utf-8")
    fields = {own.name for own in dataclasses.fields(ModelConfig)}
    model = {name: getattr(config.model, name) for name in fields}
    language_model = Config(
        seed=config.seed,
        data=DataConfig(
            str(text),
            tokenizer=data.tokenizer,
            lower=data.lower,
            max_vocabulary=data.max_vocabulary,
            min_count=data.min_count,
            reading="sentences",
            batch=data.batch,
        ),
        model=ModelConfig(**model),
        optim=OptimConfig("adam", 0.004, clip_at=1.0, schedule="cosine"),
        train=TrainConfig(epochs=EPOCHS, eval_batch=100, samples=0),
        gradflow=GradflowConfig(every=0),
    )
    start = folder / "language_model"
    trained(language_model, start)
    reader = dataclasses.replace(config.model, from_run=str(start), both_ways=False)
    return dataclasses.replace(config, model=reader)


def trained(config: RunConfig, run: Path) -> dict[str, Any]:
    """Trains; the run's summary. RunError where it was interrupted."""
    if train(config, Options(run), ()) is None:
        raise RunError(f"{run.name} was interrupted: begin again")
    return read_json(run / "summary.json")


def measure(corpus: str, folds: int) -> dict[str, Any]:
    """Accuracies on the test splits of the first `folds` folds."""
    base = load_named("sentiment_reviews")
    found: dict[str, list[float]] = {}
    for fold in range(min(folds, base.data.folds)):
        data = dataclasses.replace(base.data, corpus=corpus, fold=fold)
        config = dataclasses.replace(base, data=data, gradflow=GradflowConfig(every=0))
        with tempfile.TemporaryDirectory(prefix="reviews-") as folder:
            begun = begun_as_language_model(config, Path(folder))
            summary = trained(begun, Path(folder) / "run")
        ours = {"network": {"test": summary["scores"]["test"]}}
        for name, splits in (ours | summary["baselines"]).items():
            found.setdefault(name, []).append(splits["test"]["accuracy"])
        print(f"fold {fold}:", {name: each[-1] for name, each in found.items()})
    means = {name: {"accuracy": mean(each).value} for name, each in found.items()}
    own = means.pop("network")
    return {
        "accuracies": found,
        "parameters": summary["parameters"],
        "test": own,
        "scores": {"test": own},
        "baselines": {name: {"test": scores} for name, scores in means.items()},
    }


def table(rows: Sequence[Row]) -> str:
    """A line a method: its mean over the folds, and the folds."""
    (row,) = rows
    found = row["metrics"]["accuracies"]
    lines = [
        (
            name,
            str(mean([100 * x for x in each])),
            ", ".join(f"{x:.1%}" for x in each),
        )
        for name, each in found.items()
    ]
    count = len(found["network"])
    head = (f"rt-polarity, folds 0 to {count - 1}", "accuracy, %, 95 %", "the folds")
    return f"{markdown(head, lines)}\n{measured(row)}\n"


BENCHMARK = Benchmark(measure, table, ("corpus", "folds"), "benchmark_reviews_{name}")
