"""What no neural network makes of the same sequences."""

from collections.abc import Mapping, Sequence

import numpy as np
from sklearn.tree import DecisionTreeClassifier

from data_pipeline.rules import SCALE, Example, Rule

Scores = dict[str, dict[str, float]]


def baselines(
    rule: Rule, train: Sequence[Example], parts: Mapping[str, Sequence[Example]]
) -> dict[str, Scores]:
    """{name: {part: {"solved"}}}: of a progression, the next term as a linear function
    of the two before it, fitted by least squares; of the others a decision tree that
    sees the length, how often each symbol stands there, the first and the last."""
    if rule.name.startswith("progressions"):
        return {"least squares on two terms": _line(train, parts)}
    return {"tree on counts and ends": _tree(rule, train, parts)}


def _line(train: Sequence[Example], parts: Mapping[str, Sequence[Example]]) -> Scores:
    def pairs(text: str) -> tuple[np.ndarray, np.ndarray]:
        x = np.array([int(word) for word in text.split(",")]) / SCALE
        return np.stack([x[:-2], x[1:-1], np.ones(len(x) - 2)], 1), x[2:]

    inputs, targets = map(
        np.concatenate, zip(*(pairs(e.text) for e in train), strict=True)
    )
    weights = np.linalg.lstsq(inputs, targets, rcond=None)[0]

    def solved(text: str) -> bool:
        own, wanted = pairs(text)
        return bool((np.rint((own @ weights - wanted) * SCALE) == 0).all())

    return {
        name: {"solved": float(np.mean([solved(e.text) for e in examples]))}
        for name, examples in parts.items()
    }


def _tree(
    rule: Rule, train: Sequence[Example], parts: Mapping[str, Sequence[Example]]
) -> Scores:
    def seen(examples: Sequence[Example]) -> np.ndarray:
        counts = [np.bincount(e.inputs, minlength=rule.symbols) for e in examples]
        ends = [(len(e.inputs), e.inputs[0], e.inputs[-1]) for e in examples]
        return np.concatenate([counts, ends], 1)

    tree = DecisionTreeClassifier(random_state=0)
    tree.fit(seen(train), [e.targets[-1] for e in train])
    return {
        name: {
            "solved": float(
                tree.score(seen(examples), [e.targets[-1] for e in examples])
            )
        }
        for name, examples in parts.items()
    }
