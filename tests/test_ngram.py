"""The n-gram baseline: a distribution, equal to a plain reading of the formula."""

import re
from collections import Counter, defaultdict

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from data_pipeline.config import DataConfig
from data_pipeline.dataset import prepare
from data_pipeline.types import TokenArray
from experiments import ngram

settings.register_profile("unhurried", deadline=None)
settings.load_profile("unhurried")

SIZE = 4
TEXTS = st.lists(
    st.lists(st.integers(1, SIZE - 1), max_size=6), min_size=1, max_size=12
)


def tokens_of(sentences):
    flat = [i for s in sentences for i in (*s, 0)]
    lengths = [len(s) + 1 for s in sentences]
    starts = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
    return TokenArray(np.array(flat, np.uint8), starts)


@given(TEXTS, st.lists(st.integers(1, SIZE - 1), max_size=5), st.integers(1, 4))
def test_probabilities_sum_to_one(train, prefix, order):
    model = ngram.fit(tokens_of(train), SIZE, order)
    total = 0.0
    for word in range(SIZE):
        text = TokenArray(
            np.array([*prefix, word], np.uint8), np.array([0, len(prefix) + 1])
        )
        total += ngram.probabilities(model, text)[-1]
    assert total == pytest.approx(1)


def slow(train, order, history, word):
    """Interpolated modified Kneser–Ney by dictionaries and recursion."""
    grams = [Counter() for _ in range(order + 1)]
    left = [defaultdict(set) for _ in range(order + 1)]
    for sentence in train:
        text = ("<s>", *sentence, 0)
        for k in range(1, order + 1):
            for i in range(max(1, k - 1), len(text)):
                gram = text[i - k + 1 : i + 1]
                if len(gram) == k:
                    grams[k][gram] += 1
                    left[k][gram].add(text[i - k] if i >= k else None)

    def counts(k):
        if k == order:
            return dict(grams[k])
        return {g: n if g[0] == "<s>" else len(left[k][g]) for g, n in grams[k].items()}

    def p(context, word):
        k = len(context) + 1
        table = counts(k)
        discount = [0, *ngram._discounts(np.array(list(table.values()) or [0]))]
        followers = {g: n for g, n in table.items() if g[:-1] == context}
        lower = p(context[1:], word) if k > 1 else 1 / SIZE
        if not followers:
            return lower
        total = sum(followers.values())
        gamma = sum(discount[min(n, 3)] for n in followers.values()) / total
        n = followers.get((*context, word), 0)
        return (n - discount[min(n, 3)]) / total + gamma * lower

    context = ("<s>", *history)[-(order - 1) :] if order > 1 else ()
    return p(context, word)


@given(TEXTS, st.lists(st.integers(1, SIZE - 1), max_size=4), st.integers(1, 4))
def test_fast_equals_slow(train, sentence, order):
    model = ngram.fit(tokens_of(train), SIZE, order)
    fast = ngram.probabilities(model, tokens_of([sentence]))
    text = [*sentence, 0]
    expected = [slow(train, order, text[:i], w) for i, w in enumerate(text)]
    np.testing.assert_allclose(fast, expected, rtol=1e-9)


def test_more_context_helps_on_the_grammar_but_never_beats_it():
    data = prepare(DataConfig(corpus="grammar", grammar_sentences=4000))
    nats = [ngram.baseline(data, k)["test"]["nats_per_token"] for k in (1, 2, 3)]
    assert nats[0] > nats[1] > nats[2]
    assert nats[2] > data.corpus.facts["grammar_nats_per_token"]["test"]
    with pytest.raises(ValueError, match="order is 0"):
        ngram.fit(data.splits["train"], data.vocabulary.size, 0)


def test_the_command_tells_how_many_words_are_unknown(tmp_path, capsys):
    text = tmp_path / "t.txt"
    text.write_text("the cat sat .\na dog ran off now\n" * 40)
    ngram.main(["--corpus", str(text), "--max-vocabulary", "4", "--order", "2"])
    *notes, first, second = capsys.readouterr().out.splitlines()
    assert "so many that perplexity says little" in notes[-1]
    rows = [first, second]
    assert [row.split()[0] for row in rows] == ["1-gram", "2-gram"]
    told = re.compile(r"with [56]\d\.\d% and [56]\d\.\d% unknown$")
    assert all(told.search(row) for row in rows)
