"""Gaps in sentences (data_pipeline.gaps), bound to the network that fills them."""

from pathlib import Path

import numpy as np

from data_pipeline.batches import Reading
from data_pipeline.corpora import grammar
from data_pipeline.corpora.grammar_gaps import best
from data_pipeline.dataset import prepare as read_corpus
from data_pipeline.gaps import Gaps, check_lengths, count, gapped
from data_pipeline.types import Corpus, Dataset, TokenArray
from experiments.applications.application import Application, Prepared, Restored
from experiments.applications.gap.answers import final, predict, section
from experiments.applications.gap.config import GapConfig
from experiments.applications.gap.model import model_of
from experiments.applications.language_model.application import prepared_of
from experiments.run.directory import read_run
from experiments.run.record import text_of
from lm.problem import Problem
from lm.types import Gapped

EXAMPLE_WORDS = 25


def prepare(config: GapConfig) -> Prepared:
    """The corpus of `config.data`, every sentence whole.

    Raises:
      DataError: for a sentence longer than `data.max_length`, named.
    """
    dataset = read_corpus(config.data)
    for name, tokens in dataset.splits.items():
        check_lengths(tokens, config.data.max_length, dataset.corpus.name, name)
    prepared = prepared_of(dataset, config.data)
    gaps = count(dataset.splits["train"])
    facts = {k: v for k, v in prepared.facts.items() if k != "optimum"}
    return prepared._replace(
        size=gaps,
        told=f"{gaps:,} gaps, vocabulary {dataset.vocabulary.size:,}",
        facts=facts | optimum(config, dataset),
    )


def optimum(config: GapConfig, dataset: Dataset) -> dict:
    """{"optimum": …}: what the grammar itself scores on the test split, with both
    sides to read; nothing where that is not known."""
    if config.data.corpus != "grammar" or config.sides != "both":
        return {}
    lines = grammar.load(config.data).splits["test"]
    test = dataset.splits["test"]
    if sum(len(line.split()) for line in lines) != count(test):
        return {}
    return {"optimum": best(lines)._asdict()}


def restore(config: GapConfig, directory: Path) -> Prepared:
    """The vocabulary that a run keeps."""
    _, vocabulary = read_run(directory, GapConfig)
    dataset = Dataset(vocabulary, {}, Corpus("", "", {}))
    return Prepared(text_of(dataset), {}, source=dataset)


def problem(config: GapConfig, prepared: Prepared) -> Problem:
    """What is trained; it scores "loss", nats a gap, and "accuracy"."""
    return model_of(config, prepared).problem


def reading(
    config: GapConfig, prepared: Prepared, split: str, evaluation: bool = False
) -> Reading:
    """The sentences of a split."""
    lanes = config.train.eval_batch if evaluation else config.data.batch
    return Gaps(prepared.splits[split], lanes, shuffle=not evaluation)


def probed(config: GapConfig, prepared: Prepared) -> Gapped | None:
    """The longest validation sentences of at most 2·`gradflow.lags` words; the gap in
    the middle of each is looked at."""
    valid, probe = prepared.splits["valid"], config.gradflow
    lengths = np.diff(valid.starts)
    fitting = np.flatnonzero(lengths <= 2 * probe.lags + 1)
    if not len(fitting):
        return None
    longest = fitting[np.argsort(-lengths[fitting], kind="stable")][: probe.lanes]
    return gapped(valid, longest, int(lengths[longest].max()), len(longest))


def told(config: GapConfig) -> str:
    """The network in a few words."""
    model, stacks = config.model, "2 × " if config.sides == "both" else ""
    return f"{stacks}{model.layers}-layer {model.kind}, {model.hidden} units"


def example(restored: Restored) -> Gapped:
    """A sentence of words drawn by their frequency."""
    vocabulary = restored.prepared.source.vocabulary
    weights = np.array(vocabulary.counts, float)
    weights[0] = 0
    drawn = np.random.default_rng(0).choice(
        len(weights), EXAMPLE_WORDS, p=weights / weights.sum()
    )
    ids = np.append(drawn, 0)
    sentence = TokenArray(ids, np.array([0, len(ids)]))
    return gapped(sentence, np.array([0]), len(ids), 1)


APPLICATION = Application(
    config=GapConfig,
    told=told,
    prepare=prepare,
    restore=restore,
    problem=problem,
    reading=reading,
    probed=probed,
    final=final,
    section=section,
    predict=predict,
    example=example,
    nats=True,
)
