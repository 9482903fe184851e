"""Numbered blocks into ids: one numbering, one vocabulary, arrays of each split."""

import copy
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable
from typing import NamedTuple

import numpy as np

from data_pipeline.bpe import train_bpe
from data_pipeline.config import DataConfig
from data_pipeline.corpora.text import SPLITS, Source
from data_pipeline.encode import Cut, Encoded
from data_pipeline.errors import DataError
from data_pipeline.tokenizers import TOKENIZERS, tokenizer_named
from data_pipeline.types import Corpus, TokenArray
from data_pipeline.vocabulary import EOS_ID, UNK_ID, Vocabulary, build_vocabulary


class Numbered(NamedTuple):
    """A block of a split: its numbers, and the merged number of each of them."""

    split: str
    numbers: np.ndarray
    merged: np.ndarray


Allocate = Callable[[str, int, np.dtype], np.ndarray]


def cut_of(config: DataConfig, source: Source) -> Cut:
    """How `config` cuts text; learns subwords where it asks for them."""
    model = ""
    if config.tokenizer == "bpe":
        train = (text for split, text in source.blocks() if split == "train")
        train = map(str.lower, train) if config.lower else train
        model = train_bpe(train, config.max_vocabulary)
    return Cut(
        config.tokenizer,
        model,
        lower=config.lower,
        marks=TOKENIZERS[config.tokenizer].marks or config.reading == "sentences",
        split_sentences=config.split_sentences,
        drop_containing=config.drop_containing,
        min_length=config.min_length,
    )


class Merger:
    """One numbering for all blocks, and the counts of the training split."""

    def __init__(self) -> None:
        self.number: defaultdict[str, int] = defaultdict()
        self.number.default_factory = self.number.__len__
        self.counts = np.zeros(1 << 16, np.int64)
        self.sizes = dict.fromkeys(SPLITS, 0)
        self.dropped = {name: Counter[str]() for name in SPLITS}

    def add(self, split: str, block: Encoded) -> Numbered:
        """Merge a block; words that are new get the next numbers."""
        words = block.words
        merged = map(self.number.__getitem__, words)
        merged = np.fromiter(merged, np.int32, len(words))
        self.sizes[split] += len(block.numbers)
        self.dropped[split].update(dict(block.dropped))
        if split == "train":
            grown = len(self.number) - len(self.counts)
            if grown > 0:
                self.counts = np.pad(self.counts, (0, grown + len(self.counts)))
            self.counts[merged] += np.bincount(block.numbers, minlength=len(words))
        return Numbered(split, block.numbers, merged)

    def vocabulary(self, config: DataConfig, cut: Cut) -> Vocabulary:
        """The vocabulary of the training split."""
        words = list(self.number)
        counts = self.counts[: len(words)].tolist()
        table = {w: n for w, n in zip(words, counts, strict=False) if n > 0}
        line_ends = table.pop(words[0], 0) if words else 0
        return build_vocabulary(
            table,
            line_ends,
            max_size=config.max_vocabulary,
            min_count=config.min_count,
            tokenizer=cut.tokenizer,
            lower=cut.lower,
            model=cut.model,
            alphabet=tokenizer_named(cut.tokenizer, cut.model).alphabet,
        )

    def ids(self, vocabulary: Vocabulary) -> np.ndarray:
        """The id of each merged number."""
        table = vocabulary.encode(list(self.number)).astype(id_type(vocabulary.size))
        table[:1] = EOS_ID
        return table


def assemble(
    blocks: Iterable[Numbered],
    merger: Merger,
    vocabulary: Vocabulary,
    cut: Cut,
    name: str,
    allocate: Allocate,
) -> dict[str, TokenArray]:
    """Ids and starts of each split, in arrays that `allocate` gives."""
    for split, size in merger.sizes.items():
        if size == 0:
            raise DataError(
                f"the {split} split of {name} has no tokens; give more text or other "
                "data.fractions"
            )
    table = merger.ids(vocabulary)
    ids = {s: allocate(f"{s}.ids", n, table.dtype) for s, n in merger.sizes.items()}
    position = dict.fromkeys(SPLITS, 0)
    ends: dict[str, list[np.ndarray]] = {s: [np.zeros(1, np.int64)] for s in SPLITS}
    for split, numbers, merged in blocks:
        begin, end = position[split], position[split] + len(numbers)
        ids[split][begin:end] = table[merged][numbers]
        if cut.marks:
            ends[split].append(np.flatnonzero(numbers == 0) + begin + 1)
        position[split] = end
    splits = {}
    for split, size in merger.sizes.items():
        pieces = ends[split] if cut.marks else [*ends[split], np.array([size])]
        starts = allocate(f"{split}.starts", sum(map(len, pieces)), np.dtype(np.int64))
        np.concatenate(pieces, out=starts)
        splits[split] = TokenArray(ids[split], starts)
    return splits


def id_type(size: int) -> np.dtype:
    """The smallest unsigned integer type for ids below `size`."""
    return np.min_scalar_type(max(size - 1, 1))


def describe(
    source: Source,
    fingerprint: str,
    vocabulary: Vocabulary,
    splits: dict[str, TokenArray],
    merger: Merger,
) -> Corpus:
    """Fingerprint and facts: sizes, unknown rates, the rarest kept word, lines that
    settings left out."""
    facts = copy.deepcopy(source.facts)
    if dropped := {s: dict(lines) for s, lines in merger.dropped.items() if lines}:
        facts["lines_left_out"] = dropped
    facts["vocabulary"] = vocabulary.size
    facts["tokens"] = {name: int(s.ids.size) for name, s in splits.items()}
    facts["sentences"] = {name: len(s.starts) - 1 for name, s in splits.items()}
    facts["unknown_rate"] = {name: _unknown_rate(s.ids) for name, s in splits.items()}
    if vocabulary.size > 2:
        facts["rarest_kept"] = [vocabulary.tokens[-1], vocabulary.counts[-1]]
    return Corpus(source.name, fingerprint, facts)


def _unknown_rate(ids: np.ndarray, block: int = 1 << 24) -> float:
    unknown = sum(
        int(np.count_nonzero(ids[i : i + block] == UNK_ID))
        for i in range(0, len(ids), block)
    )
    return unknown / len(ids)
