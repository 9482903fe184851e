"""The language model, bound to its config and its data."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from data_pipeline.batches import Reading, batches_for
from data_pipeline.config import DataConfig
from data_pipeline.dataset import prepare
from data_pipeline.told import pieces, understood
from data_pipeline.told import told as told_of_text
from data_pipeline.types import Corpus, Dataset
from data_pipeline.windows import Windows, windows
from experiments.applications.application import (
    Application,
    Final,
    Prepared,
    Restored,
)
from experiments.applications.language_model.beside import beside
from experiments.applications.language_model.by_text import choose
from experiments.applications.language_model.reading import (
    evaluation_batches,
    setting_of,
)
from experiments.applications.language_model.scoring import score_lines
from experiments.applications.language_model.trained import Trained, trained_of
from experiments.applications.language_model.writing import make_writer
from experiments.applications.lines import read_lines
from experiments.config import Config
from experiments.run.directory import read_run
from experiments.run.record import text_of
from lm.generate import Filters, make_text_sampler
from lm.models.language_model import LanguageModel, build, by_rows
from lm.problem import Problem
from lm.softmax import LOGITS, block_width
from lm.types import Batch

SAMPLE_TOKENS, EXAMPLE_TOKENS = 100, 25


def prepare_text(config: Config) -> Prepared:
    """The corpus of `config.data`."""
    dataset = prepare(config.data)
    prepared = prepared_of(dataset, config.data)
    told = told_of_softmax(config.data, dataset.vocabulary.size)
    return prepared._replace(notes=(*prepared.notes, *told))


def told_of_softmax(config: DataConfig, vocabulary: int) -> tuple[str, ...]:
    """A line where a step has more logits than are ever held at once."""
    streams = config.reading == "streams"
    tokens = config.batch * (config.window if streams else config.max_length)
    width = block_width(tokens, vocabulary)
    if width is None:
        return ()
    return (
        f"softmax: {tokens:,} tokens of a step × {vocabulary:,} words are more than "
        f"{LOGITS:,} logits: made {width:,} words at a time, and again in the backward "
        "pass; where devices share the batch, on each by its share",
    )


def prepared_of(dataset: Dataset, config: DataConfig) -> Prepared:
    """A dataset as training knows it; it stays in `source`."""
    facts = dataset.corpus.facts
    kept: dict[str, Any] = {}
    if "optimal_perplexity" in facts:
        kept["optimum"] = facts["optimal_perplexity"]
    unknown = facts.get("unknown_rate", {})
    if unknown:
        kept["unknown_rate"] = unknown
    in_pieces = pieces(dataset, config)
    if lines := understood(dataset.corpus) + in_pieces:
        kept["notes"] = lines
    return Prepared(
        text=text_of(dataset),
        splits=dataset.splits,
        size=facts["tokens"]["train"],
        told=f"{facts['tokens']['train']:,} training tokens, vocabulary "
        f"{facts['vocabulary']:,}",
        facts=kept,
        remarks={name: f"{rate:.2%} unknown" for name, rate in unknown.items()},
        notes=(*told_of_text(dataset.corpus), *in_pieces),
        save=lambda run: run.keep_vocabulary(dataset.vocabulary),
        source=dataset,
    )


def restore(config: Config, directory: Path) -> Prepared:
    """The vocabulary that a run keeps."""
    _, vocabulary = read_run(directory, type(config))
    dataset = Dataset(vocabulary, {}, Corpus("", "", {}))
    return Prepared(text_of(dataset), {}, source=dataset)


def model_of(config: Config, prepared: Prepared) -> LanguageModel:
    """The model."""
    return build(config.model, prepared.source.vocabulary.size)


def problem(config: Config, prepared: Prepared) -> Problem:
    """What is trained of it; with `data.one_hot` it reads rows made of the ids."""
    model = model_of(config, prepared)
    if config.data.one_hot:
        return by_rows(model.problem, model.vocabulary)
    return model.problem


def reading(
    config: Config, prepared: Prepared, split: str, evaluation: bool = False
) -> Reading:
    """The batches of a split, for training or for an evaluation."""
    tokens = prepared.splits[split]
    if evaluation:
        return evaluation_batches(config, tokens)
    return batches_for(config.data, tokens)


def write(
    config: Config, prepared: Prepared, samples: int
) -> Callable[[Any, Any], list[str]]:
    """(params, key) -> texts for samples.txt."""
    return make_writer(
        config,
        prepared.source.vocabulary,
        model_of(config, prepared),
        samples=samples,
        max_tokens=SAMPLE_TOKENS,
    )


def final(config: Config, prepared: Prepared, params: Any) -> Final:
    """The n-gram beside it and its cache, as `ngram` and `cache` say."""
    if not (config.ngram or config.cache):
        return Final()
    dataset = prepared.source
    model = model_of(config, prepared)
    trained = Trained(config, dataset.vocabulary, model, params, step=0)
    return beside(trained, dataset, config.ngram, config.cache)


def told(config: Config) -> str:
    """The model in a few words."""
    model = config.model
    return f"{model.layers}-layer {model.kind}, {model.hidden} units"


def probed(config: Config, prepared: Prepared) -> Batch | None:
    """Windows of validation text, `gradflow.lags` + 1 tokens each; None where it is
    hardly a text."""
    ids, probe = prepared.splits["valid"].ids, config.gradflow
    if len(ids) <= 2:
        return None
    return batch_of(windows(ids, probe.lags + 1, probe.lanes))


def batch_of(text: Windows) -> Batch:
    """Windows as a batch in which everything counts and every lane starts anew."""
    steps, lanes = text.targets_TB.shape
    return Batch(*text, np.ones((steps, lanes), np.float32), np.ones(lanes, bool))


def example(restored: Restored) -> Batch:
    """A text that the model writes from its start."""
    config, prepared, _, params, _ = restored
    start = setting_of(config, prepared.source.vocabulary).start
    model = model_of(config, prepared)
    write = jax.jit(make_text_sampler(model, Filters(), EXAMPLE_TOKENS))
    ids_TB = write(params, jax.random.key(0), jnp.asarray([[start]]))
    return Batch(ids_TB, ids_TB, jnp.ones(ids_TB.shape), jnp.ones(1, bool))


def predict(restored: Restored, path: str) -> Iterator[dict[str, Any]]:
    """The score of each line of a file, see `Sentence.record`."""
    trained, data = trained_of(restored), restored.config.data
    lines = read_lines(path, data.column, data.errors, "--input")
    for sentence in score_lines(trained, lines):
        yield sentence.record(per_token=False)


APPLICATION = Application(
    config=Config,
    told=told,
    choose=choose,
    prepare=prepare_text,
    restore=restore,
    problem=problem,
    reading=reading,
    probed=probed,
    write=write,
    final=final,
    example=example,
    predict=predict,
    nats=True,
)
