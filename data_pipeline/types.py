"""What the pipeline gives: arrays of ids, a vocabulary, and facts about the text."""

from typing import Any, NamedTuple

import numpy as np

from data_pipeline.vocabulary import Vocabulary


class TokenArray(NamedTuple):
    """A split as ids.

    ids     (N,) of the smallest unsigned integer type that holds the vocabulary.
    starts  (S+1,) int64: sentence s is ids[starts[s]:starts[s+1]] and ends with
            `<eos>`. Characters read as streams are one piece without any `<eos>`.
    """

    ids: np.ndarray
    starts: np.ndarray


class Corpus(NamedTuple):
    """What is known about the text: ready for JSON, kept with every run."""

    name: str
    fingerprint: str
    facts: dict[str, Any]


class Dataset(NamedTuple):
    """Vocabulary, splits (`train`, `valid`, `test`) and facts about the corpus."""

    vocabulary: Vocabulary
    splits: dict[str, TokenArray]
    corpus: Corpus
