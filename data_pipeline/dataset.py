"""From a corpus to arrays of ids: `prepare(config)`, and `encode_text` for new text."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import numpy as np

from data_pipeline import corpora
from data_pipeline.config import DataConfig
from data_pipeline.corpora.text import SPLITS, Text, fingerprint
from data_pipeline.errors import DataError
from data_pipeline.tokenizers import TOKENIZERS, Tokenizer
from data_pipeline.vocabulary import EOS, EOS_ID, UNK_ID, Vocabulary, build_vocabulary


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


class _Interned(NamedTuple):
    """Tokens as numbers by first appearance, before a vocabulary is known."""

    numbers: np.ndarray
    starts: np.ndarray


def prepare(config: DataConfig) -> Dataset:
    """Read, cut and encode a corpus: a pure function of `config` and the text.

    The vocabulary comes from the training split alone. Raises DataError, in one
    line, when the text cannot be read or a split is empty.
    """
    text = corpora.load(config)
    tokenizer = TOKENIZERS[config.tokenizer]
    numbers: defaultdict[str, int] = defaultdict()
    numbers.default_factory = numbers.__len__
    numbers[EOS] = EOS_ID
    marks = tokenizer.marks or config.reading == "sentences"
    interned = {
        name: _intern(
            _lines(text.splits[name], config.lower), tokenizer, numbers, marks
        )
        for name in SPLITS
    }
    for name, split in interned.items():
        if split.numbers.size == 0:
            raise DataError(
                f"the {name} split of {text.name} has no tokens; give more text or "
                "other data.fractions"
            )
    vocabulary = _vocabulary(interned["train"], list(numbers), marks, config)
    table = vocabulary.encode(list(numbers)).astype(id_type(vocabulary.size))
    splits = {
        name: TokenArray(table[split.numbers], split.starts)
        for name, split in interned.items()
    }
    return Dataset(vocabulary, splits, describe(text, vocabulary, splits))


def encode_text(
    vocabulary: Vocabulary,
    tokenizer: str | None,
    text_lines: Iterable[str],
    *,
    marks: bool = True,
) -> TokenArray:
    """New text, one sentence a line, as the vocabulary's text was cut and cased.

    Args:
      tokenizer: a name in TOKENIZERS; None for the vocabulary's own.
      marks: end each line with `<eos>`. Without it (characters as streams) newlines
        are kept as tokens and the text is one piece.
    """
    chosen = TOKENIZERS[tokenizer or vocabulary.tokenizer]
    numbers: defaultdict[str, int] = defaultdict()
    numbers.default_factory = numbers.__len__
    numbers[EOS] = EOS_ID
    lines = _lines(text_lines, vocabulary.lower)
    split = _intern(lines, chosen, numbers, marks or chosen.marks)
    table = vocabulary.encode(list(numbers)).astype(id_type(vocabulary.size))
    return TokenArray(table[split.numbers], split.starts)


def id_type(size: int) -> np.dtype:
    """The smallest unsigned integer type for ids below `size`."""
    return np.min_scalar_type(max(size - 1, 1))


def _lines(lines: Iterable[str], lower: bool) -> Iterable[str]:
    return map(str.lower, lines) if lower else lines


def _intern(
    lines: Iterable[str],
    tokenizer: Tokenizer,
    numbers: defaultdict[str, int],
    marks: bool,
) -> _Interned:
    """Numbers of all tokens; lines without any token are passed over."""
    pieces: list[int] = []
    starts = [0]
    number = numbers.__getitem__
    for line in lines:
        tokens = tokenizer.split(line.removesuffix("\n") if marks else line)
        if tokens:
            pieces.extend(map(number, tokens))
            if marks:
                pieces.append(EOS_ID)
                starts.append(len(pieces))
    if not marks and pieces:
        starts.append(len(pieces))
    return _Interned(np.array(pieces, np.int64), np.array(starts, np.int64))


def _vocabulary(
    train: _Interned, words: Sequence[str], marks: bool, config: DataConfig
) -> Vocabulary:
    counts = np.bincount(train.numbers, minlength=len(words)).tolist()
    sentences = len(train.starts) - 1 if marks else 0
    table = dict(zip(words, counts, strict=True))
    table[EOS] -= sentences
    return build_vocabulary(
        {word: n for word, n in table.items() if n > 0},
        sentences,
        max_size=config.max_vocabulary,
        min_count=config.min_count,
        tokenizer=config.tokenizer,
        lower=config.lower,
    )


def describe(
    text: Text, vocabulary: Vocabulary, splits: dict[str, TokenArray]
) -> Corpus:
    """Fingerprint and facts: sizes, unknown rates, the rarest kept word."""
    facts = dict(text.facts)
    facts["vocabulary"] = vocabulary.size
    facts["tokens"] = {name: int(s.ids.size) for name, s in splits.items()}
    facts["sentences"] = {name: len(s.starts) - 1 for name, s in splits.items()}
    facts["unknown_rate"] = {
        name: float(np.mean(s.ids == UNK_ID)) for name, s in splits.items()
    }
    if vocabulary.size > 2:
        facts["rarest_kept"] = [vocabulary.tokens[-1], vocabulary.counts[-1]]
    return Corpus(text.name, fingerprint(text.splits), facts)
