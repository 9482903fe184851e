"""The grammar: one derivation a sentence, and an entropy that is exact."""

import math
from collections import Counter

import numpy as np
import pytest

from data_pipeline.config import DataConfig
from data_pipeline.corpora import grammar


def test_sentences_have_one_derivation_and_its_probability():
    drawn = grammar.sample(400, 1)
    for line, log in zip(drawn.lines, drawn.log_probabilities, strict=True):
        tokens = tuple(line.split())
        exact, ways = grammar.derivations(tokens)[len(tokens)]
        assert ways == 1
        assert exact == pytest.approx(log)


def test_entropy_and_length_agree_with_a_large_sample():
    drawn = grammar.sample(30_000, 2)
    nats, tokens = grammar.exact()
    lengths = np.array([len(line.split()) + 1 for line in drawn.lines])
    for values, expected in ((-drawn.log_probabilities, nats), (lengths, tokens)):
        error = values.std() / math.sqrt(len(values))
        assert abs(values.mean() - expected) < 4 * error
        assert error < 0.01 * expected


def test_frequencies_agree_with_probabilities():
    drawn = grammar.sample(40_000, 3)
    for line, n in Counter(drawn.lines).most_common(20):
        p = math.exp(grammar.log_probability(line))
        assert abs(n / 40_000 - p) < 5 * math.sqrt(p / 40_000)


def test_rules_are_distributions():
    for productions in grammar.rules().values():
        assert math.fsum(p for p, _ in productions) == pytest.approx(1)
    words = {
        symbol
        for productions in grammar.rules().values()
        for _, symbols in productions
        for symbol in symbols
        if symbol not in grammar.rules()
    }
    assert 100 <= len(words) <= 200


@pytest.mark.parametrize(
    ("sentence", "legal"),
    [
        ("the dog that the cats see sleeps .", True),
        ("the dog that the cats see sleep .", False),
        ("the dogs that the cat sees sleep .", True),
        ("do the dogs sleep ?", True),
        ("does the dogs sleep ?", False),
        ("dog the", False),
        ("", False),
    ],
)
def test_verbs_agree_with_their_subjects(sentence, legal):
    assert math.isfinite(grammar.log_probability(sentence)) == legal


def test_splits_differ_and_the_facts_hold():
    text = grammar.load(DataConfig(corpus="grammar", grammar_sentences=3000))
    assert [len(text.splits[s]) for s in ("train", "valid", "test")] == [3000, 300, 300]
    assert text.splits["valid"] != text.splits["test"]
    scored = text.facts["grammar_nats_per_token"]["train"]
    assert scored == pytest.approx(text.facts["entropy_per_token"], rel=0.03)
    again = grammar.load(DataConfig(corpus="grammar", grammar_sentences=3000))
    assert again == text
    assert grammar.load(DataConfig(seed=1, grammar_sentences=3000)) != text


def grammar_of_two_words():
    """S -> a S (q) | b (1 − q): H = −(q ln q + (1−q) ln (1−q)) / (1 − q)."""
    q = 0.4
    return {"S": [(q, ("a", "S")), (1 - q, ("b",))]}, q


def test_exact_entropy_by_hand(monkeypatch):
    rules, q = grammar_of_two_words()
    monkeypatch.setattr(grammar, "rules", lambda: rules)
    nats, tokens = grammar.exact.__wrapped__()
    by_hand = sum(-(q**n) * (1 - q) * math.log(q**n * (1 - q)) for n in range(200))
    assert nats == pytest.approx(by_hand)
    assert tokens == pytest.approx(1 / (1 - q) + 1)
