"""Sentiment of film reviews by `sentiment_reviews`, begun as a language model of the
fold's own text, on a few folds."""

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from data_pipeline.config import DataConfig
from experiments.applications.sentiment.config import SentimentConfig
from experiments.applications.sentiment.data import read
from experiments.benchmark import Benchmark
from experiments.benchmark.reviews import over_folds
from experiments.benchmark.training import trained
from experiments.config import (
    Config,
    GradflowConfig,
    TrainConfig,
)
from experiments.results.intervals import mean
from experiments.results.markdown import markdown, measured
from experiments.results.rows import Row
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


def measure(corpus: str, folds: int) -> dict[str, Any]:
    """Accuracies on the test splits of the first `folds` folds."""
    return over_folds(corpus, folds, begun_as_language_model)


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
