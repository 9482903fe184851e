"""From a corpus to arrays of ids: `prepare(config)`, and `encode_text` for new text.

Blocks of text are numbered one by one (`encode`), the numberings are merged and
counted, the vocabulary is made from the counts of the training split, and the numbers
become ids. Small sources stay in memory; larger ones go through the same steps in
parallel and onto disk (`store`), and are read back by memory map.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from typing import Any, NamedTuple

import numpy as np

from data_pipeline import corpora
from data_pipeline.bpe import train_bpe
from data_pipeline.config import DataConfig
from data_pipeline.corpora.text import SPLITS, Fingerprint, Source
from data_pipeline.encode import Cut, Encoded, encode_block
from data_pipeline.errors import DataError
from data_pipeline.store import prepare_on_disk
from data_pipeline.tokenizers import TOKENIZERS, tokenizer_named
from data_pipeline.vocabulary import EOS_ID, UNK_ID, Vocabulary, build_vocabulary


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


class Numbered(NamedTuple):
    """A block of a split: its numbers, and the merged number of each of them."""

    split: str
    numbers: np.ndarray
    merged: np.ndarray


Allocate = Callable[[str, int, np.dtype], np.ndarray]


def prepare(config: DataConfig) -> Dataset:
    """Read, cut and encode a corpus: a pure function of `config` and the text.

    The vocabulary comes from the training split alone. Raises DataError, in one
    line, when the text cannot be read or a split is empty.
    """
    source = corpora.load(config)
    if source.key and source.size > config.in_memory << 20:
        return prepare_on_disk(source, config)
    cut = cut_of(config, source)
    merger, seen = Merger(), dict[str, str]()
    blocks = [
        merger.add(split, encode_block(text, cut))
        for split, text in hashed(source, seen)
    ]
    vocabulary = merger.vocabulary(config, cut)
    splits = assemble(blocks, merger, vocabulary, cut, source.name, _in_memory)
    return Dataset(
        vocabulary, splits, describe(source, seen["fingerprint"], vocabulary, splits)
    )


def _in_memory(name: str, size: int, dtype: np.dtype) -> np.ndarray:
    del name
    return np.empty(size, dtype)


def hashed(source: Source, seen: dict[str, str]) -> Iterator[tuple[str, str]]:
    """The source's blocks; at their end seen["fingerprint"] identifies the text."""
    fingerprint = Fingerprint()
    for split, text in source.blocks():
        if not source.key:
            fingerprint.update(split, text)
        yield split, text
    if source.key:
        fingerprint.update("train", source.key)
    seen["fingerprint"] = fingerprint.hexdigest()


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

    def add(self, split: str, block: Encoded) -> Numbered:
        """Merge a block; words that are new get the next numbers."""
        words = block.words
        merged = map(self.number.__getitem__, words)
        merged = np.fromiter(merged, np.int32, len(words))
        self.sizes[split] += len(block.numbers)
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
    name = tokenizer or vocabulary.tokenizer
    marks = marks or TOKENIZERS[name].marks
    cut = Cut(name, vocabulary.model, lower=vocabulary.lower, marks=marks)
    lines = (line.replace("\0", "\ufffd") for line in text_lines)
    text = "".join(
        line if line[-1:] == "\n" or not marks else f"{line}\n" for line in lines
    )
    merger = Merger()
    block = merger.add("test", encode_block(text, cut))
    ids = merger.ids(vocabulary)[block.merged][block.numbers]
    ends = np.flatnonzero(block.numbers == 0) + 1 if marks else np.array([len(ids)])
    return TokenArray(ids, np.concatenate([[0], ends]).astype(np.int64))


def id_type(size: int) -> np.dtype:
    """The smallest unsigned integer type for ids below `size`."""
    return np.min_scalar_type(max(size - 1, 1))


def describe(
    source: Source,
    fingerprint: str,
    vocabulary: Vocabulary,
    splits: dict[str, TokenArray],
) -> Corpus:
    """Fingerprint and facts: sizes, unknown rates, the rarest kept word."""
    facts = dict(source.facts)
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
