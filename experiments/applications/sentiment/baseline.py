"""What no neural network makes of the same sentences: bags of words and bigrams."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from sklearn.feature_extraction.text import CountVectorizer
from sklearn.linear_model import LogisticRegression

from experiments.applications.sentiment.data import Split

STRENGTHS = (0.03, 0.1, 0.3, 1.0, 3.0)
Bag = Any  # (N, F) sparse, of 0 and 1
Scores = dict[str, dict[str, float]]


def bags(splits: Mapping[str, Split]) -> dict[str, Scores]:
    """{name: {split: {"accuracy"}}} of two logistic regressions on the presence of
    words and bigrams: plain, and of two classes with each feature scaled by its
    log-count ratio (NB; Wang & Manning 2012, equations 2 and 3). How strongly they are
    regularised is chosen on the validation split."""
    vectors = CountVectorizer(ngram_range=(1, 2), binary=True, token_pattern=r"\S+")
    bags: dict[str, Bag] = {"train": vectors.fit_transform(splits["train"].texts)}
    bags |= {n: vectors.transform(splits[n].texts) for n in ("valid", "test")}
    labels = {name: split.labels for name, split in splits.items()}
    found = {"bag of bigrams": fitted(bags, labels)}
    if len(np.unique(labels["train"])) == 2:
        ratio = log_count_ratio(bags["train"], labels["train"])
        scaled = {name: bag.multiply(ratio).tocsr() for name, bag in bags.items()}
        found["bag of bigrams, NB"] = fitted(scaled, labels)
    return found


def fitted(bags: Mapping[str, Bag], labels: Mapping[str, np.ndarray]) -> Scores:
    """The accuracies of the best on validation."""

    def fit(strength: float) -> Scores:
        model = LogisticRegression(C=strength, max_iter=1_000)
        model.fit(bags["train"], labels["train"])
        return {
            name: {"accuracy": float(model.score(bags[name], labels[name]))}
            for name in ("valid", "test")
        }

    return max(map(fit, STRENGTHS), key=lambda scores: scores["valid"]["accuracy"])


def log_count_ratio(bag: Bag, labels: np.ndarray) -> np.ndarray:
    """(F,) ln of each feature's share of class 1 over that of 0; counts start at 1."""
    counts = [1 + np.asarray(bag[labels == c].sum(0)).ravel() for c in (0, 1)]
    shares = [count / count.sum() for count in counts]
    return np.log(shares[1] / shares[0])
