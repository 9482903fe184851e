"""What can stand in a gap of a sentence of `grammar`, with its exact probability.

    P(w at t | the other words) ∝ P(the sentence with w at t)

A sentence is derived from the left: the words so far leave a stack of symbols that are
still to be written, top first, or one of a few stacks. With α_t(s) the probability of
the first t words and the stack s, and β_t(s) that s becomes the words from t on,

    P(… w at t …) = Σ_s α_t(s) Σ_s' P(s writes w and leaves s')·β_{t+1}(s')

which are the forward and backward sums of a hidden Markov model whose states are
stacks. It takes that no rule begins with its own head, which holds here.
"""

import functools
import math
from collections import defaultdict
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from data_pipeline.corpora.grammar import rules, word_classes

Stack = tuple[str, ...]


class Best(NamedTuple):
    """The least loss that there can be over some gaps, nats a gap, and the share of
    them that the likeliest word fills rightly."""

    loss: float
    accuracy: float


@functools.lru_cache(maxsize=1 << 17)
def openings(stack: Stack) -> tuple[tuple[str, Stack, float], ...]:
    """(head, what it leaves, probability) of all that a stack can write first; a head
    is a word, or a class of words."""
    if not stack:
        return ()
    top, rest = stack[0], stack[1:]
    grammar = rules()
    if top not in grammar or top in word_classes():
        return ((top, rest, 1.0),)
    found: defaultdict[tuple[str, Stack], float] = defaultdict(float)
    for p, symbols in grammar[top]:
        for head, left, q in openings((*symbols, *rest)):
            found[head, left] += p * q
    return tuple((head, left, p) for (head, left), p in found.items())


@functools.cache
def words_of(head: str) -> dict[str, float]:
    """The probability of each word of a class, or of the one word."""
    if head not in word_classes():
        return {head: 1.0}
    return {symbols[0]: p for p, symbols in rules()[head]}


def posteriors(sentence: str) -> list[dict[str, float]]:
    """For each token of a sentence in the language: {word: probability}, given all the
    others."""
    tokens = sentence.split()

    @functools.cache
    def onward(stack: Stack, at: int) -> float:
        if at == len(tokens):
            return float(not stack)
        return sum(
            p * words_of(head)[tokens[at]] * onward(left, at + 1)
            for head, left, p in openings(stack)
            if tokens[at] in words_of(head)
        )

    before: dict[Stack, float] = {("S",): 1.0}
    found = []
    for at, token in enumerate(tokens):
        weights: defaultdict[str, float] = defaultdict(float)
        after: defaultdict[Stack, float] = defaultdict(float)
        for stack, alpha in before.items():
            for head, left, p in openings(stack):
                weights[head] += alpha * p * onward(left, at + 1)
                after[left] += alpha * p * words_of(head).get(token, 0.0)
        found.append(_spread(weights))
        before = {stack: alpha for stack, alpha in after.items() if alpha}
    return found


def _spread(weights: dict[str, float]) -> dict[str, float]:
    """Weights of heads as probabilities of words."""
    total = math.fsum(weights.values())
    found: defaultdict[str, float] = defaultdict(float)
    for head, weight in weights.items():
        for word, p in words_of(head).items():
            if weight:
                found[word] += weight * p / total
    return dict(found)


def best(sentences: Sequence[str]) -> Best:
    """What the grammar itself scores in all gaps of some sentences, one word missing
    at a time."""
    nats, right = [], []
    for sentence in sentences:
        for token, found in zip(sentence.split(), posteriors(sentence), strict=True):
            nats.append(-math.log(found[token]))
            right.append(token == max(found, key=found.__getitem__))
    return Best(float(np.mean(nats)), float(np.mean(right)))
