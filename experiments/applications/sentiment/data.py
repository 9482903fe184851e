"""Labelled sentences as ids: read, split, and numbered by a vocabulary."""

import hashlib
from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from data_pipeline import opinions
from data_pipeline.errors import DataError
from data_pipeline.labelled import Examples
from data_pipeline.labelled_text import read_labelled, split_by_fold
from data_pipeline.tokenizers import tokenizer_named
from data_pipeline.vocabulary import Vocabulary, build_vocabulary
from experiments.applications.sentiment.config import OpinionsConfig


class Split(NamedTuple):
    """Sentences as they stand, and their classes.

    kinds  what each is made of, where that is known; else empty.
    """

    texts: list[str]
    labels: np.ndarray
    kinds: list[str]


class Sentences(NamedTuple):
    """All of it.

    splits       {"train", "valid", "test"}.
    names        of the classes.
    vocabulary   of the training split, or a language model's.
    fingerprint  digest of texts, labels and splits.
    """

    splits: dict[str, Split]
    names: tuple[str, ...]
    vocabulary: Vocabulary
    fingerprint: str

    def examples(self, split: str) -> Examples:
        """A split as ids."""
        found = self.splits[split]
        encoded = [encode(self.vocabulary, text) for text in found.texts]
        return Examples(encoded, found.labels)


def read(config: OpinionsConfig, vocabulary: Vocabulary | None = None) -> Sentences:
    """The sentences of `config`. vocabulary: in place of one of the training split.

    Raises:
      DataError: where they cannot be read, or one is longer than the longest.
    """
    if config.corpus == "opinions":
        names, splits = opinions.LABELS, _made(config)
    else:
        names, splits = _read(config)
    vocabulary = vocabulary or _vocabulary(config, splits["train"].texts)
    digest = hashlib.sha256(repr(names).encode())
    for split in splits.values():
        digest.update("\n".join(split.texts).encode())
        digest.update(split.labels.astype("<i4").tobytes())
    return Sentences(splits, names, vocabulary, digest.hexdigest())


def _made(config: OpinionsConfig) -> dict[str, Split]:
    sizes = {"train": config.sentences, "valid": config.sentences // 10}
    sizes["test"] = config.sentences // 3
    splits = {}
    for name, size in sizes.items():
        found = opinions.sample(size, f"{config.seed}:{name}")
        labels = np.array([one.label for one in found], np.int32)
        texts, kinds = [one.text for one in found], [one.kind for one in found]
        splits[name] = Split(texts, labels, kinds)
    return splits


def _read(config: OpinionsConfig) -> tuple[tuple[str, ...], dict[str, Split]]:
    found = read_labelled(config.corpus, config.labels)
    split_text = tokenizer_named(config.tokenizer).split
    for text, place in zip(found.texts, found.places, strict=True):
        count = len(split_text(text))
        if count > config.max_length:
            raise DataError(
                f"{place} has {count} tokens, more than data.max_length "
                f"{config.max_length}"
            )
    fold, folds, seed = config.fold, config.folds, config.seed
    try:
        numbers = split_by_fold(found.labels, fold, folds, seed)
    except DataError as error:
        raise DataError(f"{config.corpus}: {error}") from None
    return found.names, {
        name: Split([found.texts[n] for n in own], found.labels[own], [])
        for name, own in numbers.items()
    }


def _vocabulary(config: OpinionsConfig, texts: Sequence[str]) -> Vocabulary:
    split = tokenizer_named(config.tokenizer).split
    cut = (split(text.lower() if config.lower else text) for text in texts)
    return build_vocabulary(
        Counter(token for tokens in cut for token in tokens),
        len(texts),
        max_size=config.max_vocabulary,
        min_count=config.min_count,
        tokenizer=config.tokenizer,
        lower=config.lower,
    )


def tokens_of(vocabulary: Vocabulary, text: str) -> list[str]:
    """A text cut as the vocabulary's was."""
    tokenizer = tokenizer_named(vocabulary.tokenizer, vocabulary.model)
    return tokenizer.split(text.lower() if vocabulary.lower else text)


def encode(vocabulary: Vocabulary, text: str) -> np.ndarray:
    """(T,) ids; of a text without tokens the one of `<eos>`."""
    return vocabulary.encode(tokens_of(vocabulary, text) or [vocabulary.tokens[0]])
