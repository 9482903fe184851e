"""The language model that spells, bound to its config and its data."""

from pathlib import Path

import numpy as np

from data_pipeline.batches import Reading, batches_for
from data_pipeline.corpora import morphology
from data_pipeline.spelling import (
    SpelledReading,
    alphabet_of,
    numbered,
    prepare_types,
)
from data_pipeline.types import Corpus, Dataset, TokenArray
from data_pipeline.windows import windows
from experiments.applications.application import Application, Prepared, Restored
from experiments.applications.char_words.answers import final, predict, section
from experiments.applications.char_words.config import CharWordsConfig
from experiments.applications.char_words.model import Source, model_of
from experiments.applications.language_model.application import prepared_of
from experiments.applications.language_model.reading import evaluation_batches
from experiments.run.directory import read_run
from experiments.run.record import text_of
from lm.problem import Problem
from lm.types import Spelled

EXAMPLE_TOKENS = 25


def prepare(config: CharWordsConfig) -> Prepared:
    """The corpus of `config.data`, with the types of all its splits."""
    dataset, types = prepare_types(config.data)
    prepared = prepared_of(dataset, config.data)
    source = Source(dataset, types, alphabet_of(dataset.vocabulary))
    facts = {k: v for k, v in prepared.facts.items() if k != "optimum"}
    known = len(set(types.words) & set(dataset.vocabulary.tokens))
    return prepared._replace(
        told=f"{prepared.told} of {len(types.words):,} types",
        facts=facts
        | {"types": len(types.words), "types_outside": len(types.words) - known}
        | optimum(config, dataset),
        source=source,
    )


def optimum(config: CharWordsConfig, dataset: Dataset) -> dict:
    """{"optimum", "without_characters"} on the test split, where the language is known:
    of who can spell, and of who sees `<unk>`."""
    if config.data.corpus != "morphology":
        return {}
    lines = morphology.load(config.data).splits["test"]
    if sum(len(line.split()) + 1 for line in lines) != len(dataset.splits["test"].ids):
        return {}
    found = {}
    for name, spelled in (("optimum", True), ("without_characters", False)):
        nats, after = morphology.surprisals(lines, dataset.vocabulary.tokens, spelled)
        found[name] = {"loss": float(nats.mean())}
        if after.any():
            found[name]["after_unknown"] = float(nats[after].mean())
    return found


def restore(config: CharWordsConfig, directory: Path) -> Prepared:
    """The vocabulary that a run keeps, in whose characters words are spelt."""
    _, vocabulary = read_run(directory, CharWordsConfig)
    dataset = Dataset(vocabulary, {}, Corpus("", "", {}))
    source = Source(dataset, None, alphabet_of(vocabulary))
    return Prepared(text_of(dataset), {}, source=source)


def problem(config: CharWordsConfig, prepared: Prepared) -> Problem:
    """What is trained; it scores "loss" and "after_unknown", nats a token."""
    return model_of(config, prepared).problem


def reading(
    config: CharWordsConfig, prepared: Prepared, split: str, evaluation: bool = False
) -> Reading:
    """The batches of a split, spelt."""
    source: Source = prepared.source
    tokens = prepared.splits[split]
    assert source.types is not None

    def read(one: TokenArray) -> Reading:
        if evaluation:
            return evaluation_batches(config, one)  # type: ignore[arg-type]
        return batches_for(config.data, one)

    signs = source.alphabet.spell(source.types.words, config.spelling.longest)
    places = source.types.places[split]
    return SpelledReading(read(tokens), read(numbered(tokens)), places, signs)


def probed(config: CharWordsConfig, prepared: Prepared) -> Spelled | None:
    """Windows of validation text, `gradflow.lags` + 1 tokens each; None where it is
    hardly a text."""
    source: Source = prepared.source
    ids, probe = prepared.splits["valid"].ids, config.gradflow
    if len(ids) <= 2 or source.types is None:
        return None
    text = windows(ids, probe.lags + 1, probe.lanes)
    at = windows(source.types.places["valid"], probe.lags + 1, probe.lanes)
    signs = source.alphabet.spell(source.types.words, config.spelling.longest)
    steps, lanes = text.targets_TB.shape
    counts = np.ones((steps, lanes), np.float32)
    return Spelled(
        text.inputs_TB,
        signs[at.inputs_TB],
        text.targets_TB,
        counts,
        np.ones(lanes, bool),
    )


def told(config: CharWordsConfig) -> str:
    """The model in a few words."""
    model = config.model
    return f"words by {config.words}, {model.layers}-layer {model.kind}, " + (
        f"{model.hidden} units"
    )


def example(restored: Restored) -> Spelled:
    """A text of words drawn by their frequency."""
    config, source = restored.config, restored.prepared.source
    vocabulary = source.dataset.vocabulary
    shares = np.array(vocabulary.counts, float) / sum(vocabulary.counts)
    drawn = np.random.default_rng(0).choice(len(shares), EXAMPLE_TOKENS + 1, p=shares)
    ids_TB = drawn.astype(np.int32)[:, None]
    words = vocabulary.decode(drawn)
    signs = source.alphabet.spell(words, config.spelling.longest)[:, None]
    counts = np.ones((EXAMPLE_TOKENS, 1), np.float32)
    return Spelled(ids_TB[:-1], signs[:-1], ids_TB[1:], counts, np.ones(1, bool))


APPLICATION = Application(
    config=CharWordsConfig,
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
