"""What classifiers answer: the chances of each class, and what was taken for what."""

from collections.abc import Sequence
from typing import Any

import jax
import numpy as np
from sklearn.metrics import confusion_matrix

from data_pipeline.labelled import Examples, LabelledSequences
from lm.models.classifier import Classifier


def probabilities(
    model: Classifier,
    params: Any,
    inputs: Sequence[np.ndarray],
    buckets: int = 3,
    lanes: int = 100,
) -> np.ndarray:
    """(N, C) P(class) of sequences, in their order; padded to `buckets` lengths."""
    examples = Examples(inputs, np.zeros(len(inputs), np.int32))
    lanes = min(lanes, len(inputs))
    reading = LabelledSequences(examples, lanes, buckets, shuffle=False)
    answer = jax.jit(lambda batch: jax.nn.softmax(model.logits(params, batch)))
    found_NC = np.zeros((len(inputs), len(params["classes"]["b"])))
    for step in range(reading.steps):
        members, _ = reading.buckets.at(0, 0, step)
        chances_BC = np.asarray(answer(reading.batch_at(0, 0, step)))
        found_NC[members] = chances_BC[: len(members)]
    return found_NC


def confusion(labels: np.ndarray, said: np.ndarray, classes: int) -> list[list[int]]:
    """Counts [class][answer]."""
    return confusion_matrix(labels, said, labels=range(classes)).tolist()
