"""Parallel text (data_pipeline.pairs), bound to an encoder–decoder."""

import hashlib
from pathlib import Path
from typing import Any

import numpy as np

from data_pipeline.batches import Reading
from data_pipeline.pairs import EncodedPairs, PairBatches
from data_pipeline.types import TokenArray
from data_pipeline.vocabulary import EOS_ID, Vocabulary
from experiments.applications.application import Application, Prepared, Restored
from experiments.applications.translation.answers import (
    final,
    of_members,
    predict,
    write_some,
)
from experiments.applications.translation.config import TranslationConfig
from experiments.applications.translation.data import (
    Translations,
    encoded,
    learnt,
    name_of,
    read,
)
from experiments.applications.translation.model import model_of
from experiments.applications.translation.shown import section
from experiments.run.record import VOCABULARY, Text
from lm.problem import Problem
from lm.types import Pairs

SOURCES = "source_vocabulary.json"
EXAMPLE_TOKENS = 16


def prepare(config: TranslationConfig) -> Prepared:
    """The pairs of `config.data`, every sentence whole.

    Raises:
      DataError: for a sentence longer than `data.max_length`, or for a folder that
        cannot be read as pairs, named.
    """
    known = learnt(config.data, read(config.data))
    splits = {s: encoded(known, s, config.data.max_length) for s in known.texts}
    counts = {split: len(pairs.targets.starts) - 1 for split, pairs in splits.items()}
    sizes = [vocabulary.size for vocabulary in known.vocabularies]
    facts: dict[str, Any] = {"pairs": counts}
    if config.data.corpus == "bilingual":
        facts["optimum"] = {"bleu": 100.0, "exact": 1.0, "loss": 0.0}
    return Prepared(
        text=text_of(known, name_of(config.data)),
        splits=splits,
        size=len(splits["train"].targets.ids),
        told=f"{counts['train']:,} pairs, {counts['valid']:,} for validation, "
        f"{counts['test']:,} for the test; vocabularies {sizes[0]:,} and {sizes[1]:,}",
        facts=facts,
        save=lambda run: keep(run, known),
        source=known,
    )


def text_of(known: Translations, name: str) -> Text:
    """Its digests; that of the vocabulary is the target's."""
    sources, targets = known.vocabularies
    whole = hashlib.sha256(f"{known.fingerprint} {sources.digest}".encode())
    return Text(name, whole.hexdigest(), targets.digest)


def keep(run: Any, known: Translations) -> None:
    """Both vocabularies."""
    run.keep_vocabulary(known.vocabularies[1])
    known.vocabularies[0].save(run.directory / SOURCES)


def restore(config: TranslationConfig, directory: Path) -> Prepared:
    """The vocabularies that a run keeps."""
    sources, targets = (
        Vocabulary.load(directory / name) for name in (SOURCES, VOCABULARY)
    )
    return Prepared(
        Text("", "", targets.digest), {}, source=Translations({}, (sources, targets))
    )


def problem(config: TranslationConfig, prepared: Prepared) -> Problem:
    """What is trained; it scores "loss", nats a target token, and "accuracy"."""
    return model_of(config, prepared.source).problem


def reading(
    config: TranslationConfig, prepared: Prepared, split: str, evaluation: bool = False
) -> Reading:
    """Each pair once, those of about the same lengths together."""
    pairs, data = prepared.splits[split], config.data
    if evaluation:
        return PairBatches(pairs, config.train.eval_batch, data.buckets, shuffle=False)
    last = max(1, config.train.epochs - 1)

    def own(epoch: int) -> float:
        return data.own * min(1.0, epoch / last)

    return PairBatches(pairs, data.batch, data.buckets, shuffle=True, own=own)


def probed(config: TranslationConfig, prepared: Prepared) -> Pairs | None:
    """The longest validation pairs of at most 2·`gradflow.lags` tokens; the word in the
    middle of each target is looked at."""
    valid, probe = prepared.splits["valid"], config.gradflow
    longer = np.maximum(*(np.diff(side.starts) for side in valid))
    fitting = np.flatnonzero(longer <= 2 * probe.lags + 1)
    if not len(fitting):
        return None
    longest = fitting[np.argsort(-longer[fitting], kind="stable")][: probe.lanes]
    return of_members(valid, longest)


def told(config: TranslationConfig) -> str:
    """The network in a few words."""
    model = config.model
    looks = {"none": "no attention"}.get(
        model.attention, f"attention {model.attention}"
    )
    return f"{model.layers}-layer {model.kind}, {model.hidden} units, {looks}"


def write(config: TranslationConfig, prepared: Prepared, samples: int) -> Any:
    """Translations of the first validation sentences."""
    valid = prepared.splits["valid"]
    batch = of_members(valid, np.arange(min(samples, len(valid.sources.starts) - 1)))
    model = model_of(config, prepared.source)
    return write_some(model, prepared.source, batch, config.data.max_length)


def example(restored: Restored) -> Pairs:
    """A pair of tokens drawn by their frequency."""
    sides = []
    for seed, vocabulary in enumerate(restored.prepared.source.vocabularies):
        weights = np.array(vocabulary.counts, float)
        weights[EOS_ID] = 0
        drawn = np.random.default_rng(seed).choice(
            len(weights), EXAMPLE_TOKENS, p=weights / weights.sum()
        )
        ids = np.append(drawn, EOS_ID)
        sides.append(TokenArray(ids, np.array([0, len(ids)])))
    return of_members(EncodedPairs(*sides), np.array([0]))


APPLICATION = Application(
    config=TranslationConfig,
    told=told,
    prepare=prepare,
    restore=restore,
    problem=problem,
    reading=reading,
    probed=probed,
    write=write,
    final=final,
    section=section,
    predict=predict,
    searches=True,
    example=example,
    nats=True,
)
