"""Variants of an application, by three seeds of a short form of its embedded config."""

import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from experiments.benchmark import Benchmark
from experiments.benchmark.pretrained import begun_as_language_model
from experiments.benchmark.training import trained
from experiments.config import RunConfig, from_dict, load_named, to_dict
from experiments.results.intervals import mean
from experiments.results.markdown import markdown, measured
from experiments.results.rows import Row
from lm.config import ConfigError, unknown

SEEDS = range(3)
Fields = Mapping[str, Any]
POOLINGS = ("last", "mean", "max", "attention")


class Compared(NamedTuple):
    """What is compared.

    short     fields of the application's embedded config that make it a short run.
    variants  {name: fields}; where a function stands, (config, folder) -> config.
    scores    of the test split, those that are shown.
    """

    short: Fields
    variants: Mapping[str, Fields | Callable[[Any, Path], Any]]
    scores: tuple[str, ...]


COMPARED: dict[str, Compared] = {
    "gap": Compared(
        {
            "data.grammar_sentences": 6_000,
            "model.cell": "gru",
            "model.hidden": 48,
            "model.embedding": 48,
            "optim.learning_rate": 0.015,
            "train.epochs": 4,
        },
        {side: {"sides": side} for side in ("both", "left", "right")},
        ("loss", "accuracy"),
    ),
    "char_words": Compared(
        {
            "data.grammar_sentences": 4_000,
            "data.max_vocabulary": 400,
            "model.hidden": 32,
            "model.embedding": 24,
            "spelling.units": 24,
            "optim.learning_rate": 0.01,
            "train.epochs": 4,
        },
        {words: {"words": words} for words in ("convolution", "bilstm", "embedding")},
        ("loss", "after_unknown"),
    ),
    "sentiment": Compared(
        {"data.sentences": 600, "train.epochs": 20},
        {pooling: {"model.pooling": pooling} for pooling in POOLINGS}
        | {"last, begun as a language model": begun_as_language_model},
        ("accuracy",),
    ),
    "signals": Compared(
        {"data.signals": 10_000},
        {pooling: {"model.pooling": pooling} for pooling in POOLINGS},
        ("accuracy",),
    ),
    "speech": Compared(
        {"data.strings": 1_000, "data.noise": 1.5},
        {
            "both ways": {"model.both_ways": True},
            "one way": {"model.both_ways": False},
            "both ways, 4 frames a step": {"model.stacked": 4},
        },
        ("symbol_errors", "string_errors", "string_errors_beam"),
    ),
    "captions": Compared(
        {},
        {at: {"model.attention": at} for at in ("none", "luong", "bahdanau")},
        ("exact", "bleu"),
    ),
    "sequences": Compared(
        {},
        {
            "a language model of digits": {"data.rule": "progressions"},
            "regression": {"data.rule": "progressions_numbers"},
        },
        ("solved_seen", "solved_unseen_steps", "solved_unseen_starts", "solved_longer"),
    ),
}


def measure(application: str) -> dict[str, Any]:
    """{"variants": {name: {score: one a seed}}, "best": what is possible}, of the test
    split; a run's best parameters are those of its validation split.

    Raises:
      ConfigError: for an application without variants.
      RunError: where a run was interrupted.
    """
    if application not in COMPARED:
        raise ConfigError(unknown("--application", application, COMPARED))
    short, variants, scores = COMPARED[application]
    base = changed(load_named(application), {"gradflow.every": 0, **short})
    found: dict[str, dict[str, list[float]]] = {}
    best: dict[str, float] = {}
    for name, fields in variants.items():
        each: dict[str, list[float]] = {score: [] for score in scores}
        for seed in SEEDS:
            with tempfile.TemporaryDirectory(prefix="variants-") as folder:
                config = changed(base, {"seed": seed})
                if callable(fields):
                    config = fields(config, Path(folder))
                else:
                    config = changed(config, fields)
                summary = trained(config, Path(folder) / "run")
            for score in scores:
                each[score].append(summary["scores"]["test"][score])
            best |= summary.get("optimum", {})
        found[name] = each
        print(f"{application}, {name}:", each, flush=True)
    return {"variants": found, "best": best}


def changed(config: RunConfig, fields: Fields) -> Any:
    """The config with other values, by dotted field."""
    values = to_dict(config)
    for path, value in fields.items():
        *way, last = path.split(".")
        at = values
        for name in way:
            at = at[name]
        at[last] = value
    return from_dict(values, type(config))


def table(rows: Sequence[Row]) -> str:
    """A line a variant: means over the seeds with 95 % intervals, beside the best that
    there can be."""
    lines = []
    for row in rows:
        metrics, application = row["metrics"], row["name"].partition("variants_")[2]
        for name, scores in metrics["variants"].items():
            own = [
                f"{score.replace('_', ' ')} {mean(each)}"
                for score, each in scores.items()
            ]
            lines.append((f"`{application}`", name, ", ".join(own)))
        best = [
            f"{score.replace('_', ' ')} {value:.4g}"
            for score, value in metrics["best"].items()
            if score in scores
        ]
        if best:
            lines.append((f"`{application}`", "best possible", ", ".join(best)))
    commands = "; ".join(map(measured, rows))
    head = "test scores, 3 seeds, 95 %"
    return f"{markdown(('application', 'variant', head), lines)}\n{commands}.\n"


BENCHMARK = Benchmark(
    measure, table, ("application",), "benchmark_variants_{application}"
)
