"""What is no neural network, on the same signals: linear classifiers of averages."""

from collections.abc import Callable, Mapping

import numpy as np
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from data_pipeline.labelled import Examples

PIECES = 4


def averages(examples: Examples) -> np.ndarray:
    """(N, 2·D): mean and standard deviation of each band over time."""
    pairs = [(x_TD.mean(axis=0), x_TD.std(axis=0)) for x_TD in examples.inputs]
    return np.array(pairs, np.float64).reshape(len(pairs), -1)


def averages_of_pieces(examples: Examples) -> np.ndarray:
    """(N, 4·D): mean of each band over each quarter of the time."""
    found = []
    for x_TD in examples.inputs:
        starts = np.arange(PIECES) * len(x_TD) // PIECES
        ends = np.maximum(starts + 1, np.arange(1, PIECES + 1) * len(x_TD) // PIECES)
        pairs = zip(starts, ends, strict=True)
        found.append([x_TD[start:end].mean(axis=0) for start, end in pairs])
    return np.array(found, np.float64).reshape(len(found), -1)


FEATURES: dict[str, Callable[[Examples], np.ndarray]] = {
    "time averages": averages,
    "averages of quarters": averages_of_pieces,
}


def baselines(splits: Mapping[str, Examples]) -> dict[str, dict]:
    """{name: {split: {"accuracy": share}}} of a logistic regression and a linear
    discriminant analysis, fitted to the training split, on each kind of averages; none
    where a class has fewer than two signals there."""
    found: dict[str, dict] = {}
    _, counts = np.unique(splits["train"].labels, return_counts=True)
    if min(counts) < 2 or len(counts) < 2:
        return found
    for told, features in FEATURES.items():
        train, labels = features(splits["train"]), splits["train"].labels
        for kind, model in (
            ("logistic regression", LogisticRegression(max_iter=2_000)),
            ("LDA", LinearDiscriminantAnalysis(solver="lsqr", shrinkage=0.1)),
        ):
            fitted = make_pipeline(StandardScaler(), model).fit(train, labels)
            found[f"{kind}, {told}"] = {
                name: {
                    "accuracy": float(fitted.score(features(split), split.labels)),
                }
                for name, split in splits.items()
                if name != "train"
            }
    return found
