"""Text correction by a language model: the model is trained as ever, and corrects."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from data_pipeline.corpora import grammar
from data_pipeline.corruption import KINDS, Words
from data_pipeline.tokenizers import tokenizer_named
from data_pipeline.types import Dataset
from data_pipeline.vocabulary import Vocabulary
from experiments.applications.application import Final, Prepared, Restored
from experiments.applications.correction.choosing import (
    Nats,
    Weights,
    choices_of,
    corrected,
    exact_nats,
    frequent_of,
    mistaken,
    scores_of,
    spelled,
)
from experiments.applications.correction.config import CorrectionConfig
from experiments.applications.correction.shown import section
from experiments.applications.language_model import application as language_model
from experiments.applications.language_model.scoring import score_lines
from experiments.applications.language_model.trained import Trained, trained_of
from experiments.applications.lines import read_lines
from experiments.run.directory import EXAMPLES
from experiments.run.files import read_json

SHOWN = 24


def restore(config: CorrectionConfig, directory: Path) -> Prepared:
    """The vocabulary that a run keeps, and the weights that it chose."""
    prepared = language_model.restore(config, directory)
    kept = directory / EXAMPLES
    weights = read_json(kept)["weights"] if kept.exists() else list(Weights())
    return prepared._replace(facts={"weights": weights})


def nats_by(trained: Trained) -> Nats:
    """−ln P of whole sentences, their ends included."""

    def nats(sentences: Sequence[Words]) -> np.ndarray:
        found = score_lines(trained, [" ".join(words) for words in sentences])
        return np.array([sentence.total for sentence in found])

    return nats


def final(config: CorrectionConfig, prepared: Prepared, params: Any) -> Final:
    """How well it corrects; beside it, doing nothing and a unigram speller, and on
    `grammar` the grammar's own probabilities in the network's place."""
    dataset: Dataset = prepared.source
    vocabulary, mistakes = dataset.vocabulary, config.mistakes
    model = language_model.model_of(config, prepared)
    trained = Trained(config, vocabulary, model, params, 0)
    found = {split: mistaken(dataset, split, mistakes) for split in ("valid", "test")}
    sources = {split: [one.source for one in own] for split, own in found.items()}
    if not all(sources.values()):
        return Final()
    frequent = frequent_of(vocabulary, mistakes.frequent)

    def by(nats: Nats):
        each = {
            s: choices_of(x, nats, vocabulary, frequent) for s, x in sources.items()
        }
        return corrected(found, each)

    weights, answers, scores = by(nats_by(trained))
    spelt = {s: [spelled(one, vocabulary) for one in own] for s, own in sources.items()}
    optimum = {}
    if dataset.corpus.name == "grammar":
        _, _, exact = by(exact_nats(grammar.log_probability))
        optimum = exact["test"]
    pairs = list(zip(found["test"], answers["test"], strict=True))
    kinds = {}
    for kind in ("none", *KINDS):
        right = [answer == one.target for one, answer in pairs if one.kind == kind]
        kinds[kind] = [len(right), float(np.mean(right)) if right else 0.0]
    return Final(
        scores=scores,
        baselines={
            "doing nothing": scores_of(found, sources),
            "unigram speller": scores_of(found, spelt),
        },
        optimum=optimum,
        examples={
            "weights": list(weights),
            "kinds": kinds,
            "sentences": [
                [one.kind, *(" ".join(w) for w in (one.source, answer, one.target))]
                for one, answer in pairs[:SHOWN]
            ],
        },
    )


def predict(restored: Restored, path: str) -> Iterator[dict[str, Any]]:
    """Each line of a file as it would rather have it."""
    trained = trained_of(restored)
    vocabulary, mistakes = trained.vocabulary, restored.config.mistakes
    weights = Weights(*restored.prepared.facts["weights"])
    frequent = frequent_of(vocabulary, mistakes.frequent)
    for line in read_lines(path, option="--input"):
        source = words_of(vocabulary, line.text)
        if not source:
            yield {"text": line.text, "answer": ""}
            continue
        (choice,) = choices_of([source], nats_by(trained), vocabulary, frequent)
        answer = choice.best(weights)
        gained = float(choice.nats[0] - choice.nats[choice.candidates.index(answer)])
        yield {"text": line.text, "answer": " ".join(answer), "nats_gained": gained}


def words_of(vocabulary: Vocabulary, text: str) -> Words:
    """A line cut as the vocabulary's text was."""
    tokenizer = tokenizer_named(vocabulary.tokenizer, vocabulary.model)
    return tuple(tokenizer.split(text.lower() if vocabulary.lower else text))


APPLICATION = language_model.APPLICATION._replace(
    config=CorrectionConfig,
    restore=restore,
    final=final,
    section=section,
    predict=predict,
)
