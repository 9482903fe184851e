"""The noisy channel: the candidate that is likeliest, given what is written.

A candidate costs its −ln P by the language model; and `change` nats where it is not
what is written; and `letter` nats for each letter of a word that the vocabulary lacks,
since `<unk>` is all such words at once. Both weights are chosen on validation.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from itertools import product
from typing import NamedTuple

import numpy as np

from data_pipeline.corruption import (
    Corrupted,
    Words,
    candidates,
    corrupt,
    judged,
    near,
)
from data_pipeline.types import Dataset
from data_pipeline.vocabulary import EOS_ID, UNK_ID, Vocabulary
from experiments.applications.correction.config import MistakesConfig

CHANGES = (0.0, 0.5, 1.0, 1.5, 2.0, 3.0, 4.0, 6.0)
LETTER = (0.0, 0.5, 1.0, 2.0, 3.0)
SPLITS = {"valid": 1, "test": 2}

Nats = Callable[[Sequence[Words]], np.ndarray]


class Weights(NamedTuple):
    """Nats of a change, and of each letter of an unknown word."""

    change: float = 1.0
    letter: float = 1.0


class Choice(NamedTuple):
    """The candidates of a sentence, itself first, with −ln P and unknown letters."""

    candidates: list[Words]
    nats: np.ndarray
    letters: np.ndarray

    def best(self, weights: Weights) -> Words:
        """The one that costs least; of equal ones the first."""
        costs = self.nats + weights.letter * self.letters
        costs = costs + weights.change * (np.arange(len(costs)) > 0)
        return self.candidates[int(np.argmin(costs))]


def mistaken(dataset: Dataset, split: str, config: MistakesConfig) -> list[Corrupted]:
    """The first sentences of a split that can be corrected, corrupted."""
    vocabulary, tokens = dataset.vocabulary, dataset.splits[split]
    frequent, found = frequent_of(vocabulary, config.frequent), []
    for number, (begin, end) in enumerate(
        zip(tokens.starts[:-1], tokens.starts[1:], strict=True)
    ):
        ids = [int(i) for i in tokens.ids[begin:end] if i != EOS_ID]
        if UNK_ID in ids or not 2 <= len(ids) <= config.longest:
            continue
        words = tuple(vocabulary.decode(ids))
        key = config.seed, SPLITS[split], number
        found.append(corrupt(words, frequent, config.intact, *key))
        if len(found) == config.sentences:
            break
    return found


def frequent_of(vocabulary: Vocabulary, count: int) -> list[str]:
    """The most frequent words that are made of letters."""
    order = np.argsort(-np.array(vocabulary.counts), kind="stable")
    words = [vocabulary.tokens[n] for n in order if vocabulary.counts[n]]
    return [word for word in words if word.isalpha()][:count]


def choices_of(
    sources: Sequence[Words], nats: Nats, vocabulary: Vocabulary, frequent: list[str]
) -> list[Choice]:
    """The candidates of each sentence, all scored in one go."""
    known = vocabulary.index
    each = [candidates(source, known, frequent) for source in sources]
    scores = nats([words for own in each for words in own])
    ends = np.cumsum([len(own) for own in each])[:-1]
    return [
        Choice(own, found, np.array([unknown_letters(w, known) for w in own]))
        for own, found in zip(each, np.split(scores, ends), strict=True)
    ]


def unknown_letters(words: Words, known: Mapping[str, int]) -> int:
    """Letters of the words that are not known."""
    return sum(len(word) for word in words if word not in known)


def tuned(choices: Sequence[Choice], targets: Sequence[Words]) -> Weights:
    """The weights that correct most sentences; of equal ones the least change."""

    def right(weights: Weights) -> tuple[int, float]:
        pairs = zip(choices, targets, strict=True)
        return sum(c.best(weights) == t for c, t in pairs), weights.change

    return max((Weights(*pair) for pair in product(CHANGES, LETTER)), key=right)


def corrected(
    found: Mapping[str, Sequence[Corrupted]], choices: Mapping[str, Sequence[Choice]]
) -> tuple[Weights, dict[str, list[Words]], dict[str, dict[str, float]]]:
    """(weights chosen on validation, answers by split, scores by split)."""
    weights = tuned(choices["valid"], [one.target for one in found["valid"]])
    answers = {s: [c.best(weights) for c in own] for s, own in choices.items()}
    return weights, answers, scores_of(found, answers)


def scores_of(
    found: Mapping[str, Sequence[Corrupted]], answers: Mapping[str, Sequence[Words]]
) -> dict[str, dict[str, float]]:
    """`judged`, by split."""
    return {
        split: judged(
            [one.source for one in own], answers[split], [one.target for one in own]
        )
        for split, own in found.items()
    }


def spelled(source: Words, vocabulary: Vocabulary) -> Words:
    """Each word that the vocabulary lacks as the most frequent one that is a letter
    away (Norvig 2007): a unigram model with the same mistakes."""

    def best(word: str) -> str:
        if word in vocabulary.index or not word.isalpha():
            return word
        others = {w for w in near(word) if w in vocabulary.index}
        counts = vocabulary.counts
        known = vocabulary.index
        return max(sorted(others), key=lambda w: counts[known[w]], default=word)

    return tuple(map(best, source))


def exact_nats(log_probability: Callable[[str], float]) -> Nats:
    """−ln P of sentences by a grammar; what is none of its sentences costs 1e9 nats."""

    def nats(sentences: Sequence[Words]) -> np.ndarray:
        found = [-log_probability(" ".join(words)) for words in sentences]
        return np.array([1e9 if math.isinf(n) else n for n in found])

    return nats
