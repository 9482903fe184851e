"""Blocks of text to numbers: what the worker processes do. No jax, no vocabulary.

A block's tokens are numbered by first appearance in the block; 0 is the end of a line.
Numbers become ids when all of the training split is counted.

Where no token reaches over white space, runs of visible characters are numbered
first and each distinct run is split once: the same tokens as line by line (a test
holds them equal) at several times the speed.
"""

import functools
import itertools
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from data_pipeline.bpe import split_lines
from data_pipeline.graphemes import is_plain, split_graphemes
from data_pipeline.sentences import split_sentences
from data_pipeline.tokenizers import Tokenizer, tokenizer_named

LINE_END = "\0"  # reading lets no NUL pass, so none can stand in a text


@dataclass(frozen=True)
class Cut:
    """How text is cut into lines and tokens; a part of DataConfig, small to send.

    marks: line ends are `<eos>` (0) and not tokens of their own.
    """

    tokenizer: str
    model: str = ""
    lower: bool = False
    marks: bool = True
    split_sentences: bool = False
    drop_containing: tuple[str, ...] = ()
    min_length: int = 0


class Encoded(NamedTuple):
    """A block as numbers: words[n] is the token of number n, words[0] a line's end;
    `dropped` counts the lines that settings left out, by the setting."""

    words: list[str]
    numbers: np.ndarray
    dropped: tuple[tuple[str, int], ...] = ()


def encode_block(text: str, cut: Cut) -> Encoded:
    """Numbers of a block's tokens; lines without tokens leave no trace."""
    dropped: Counter[str] = Counter()
    if cut.split_sentences or cut.drop_containing:
        text = "".join(f"{line}\n" for line in cut_lines(text, cut, dropped))
    elif cut.lower:
        text = text.lower()
    tokenizer = tokenizer_named(cut.tokenizer, cut.model)
    if not cut.marks:
        return _characters(text, tokenizer)
    if text and text[-1] != "\n":
        text += "\n"
    encoded = _whole(text, tokenizer) if tokenizer.local else _by_line(text, cut)
    numbers = _without_empty(encoded.numbers)
    if cut.min_length > 1:
        lines = np.count_nonzero(numbers == 0)
        numbers = _without_short(numbers, cut.min_length)
        dropped["min_length"] = int(lines - np.count_nonzero(numbers == 0))
    return Encoded(encoded.words, numbers, tuple((+dropped).items()))


def cut_lines(
    text: str, cut: Cut, dropped: Counter[str] | None = None
) -> Iterator[str]:
    """Lines, or the sentences of its paragraphs, less those to be dropped, which are
    counted.

    Sentences end before capitals, so letters are lowered after they are found.
    """
    for line in _sentences(text) if cut.split_sentences else text.split("\n"):
        line = line.lower() if cut.lower else line
        if not any(part in line for part in cut.drop_containing):
            yield line
        elif dropped is not None:
            dropped["drop_containing"] += 1


def _sentences(text: str) -> Iterator[str]:
    """Sentences; paragraphs end at blank lines, other newlines are spaces."""
    paragraph: list[str] = []
    for line in [*text.split("\n"), ""]:
        if line := line.strip():
            paragraph.append(line)
        elif paragraph:
            yield from split_sentences(" ".join(paragraph))
            paragraph = []


def _numbering() -> defaultdict[str, int]:
    numbers: defaultdict[str, int] = defaultdict()
    numbers.default_factory = numbers.__len__
    numbers[LINE_END] = 0
    return numbers


def _whole(text: str, tokenizer: Tokenizer) -> Encoded:
    """All lines at once, by distinct runs of visible characters."""
    runs = text.replace("\n", f" {LINE_END} ").split()
    number_of_run = _numbering()
    run_numbers = np.fromiter(map(number_of_run.__getitem__, runs), np.int32, len(runs))
    distinct = list(number_of_run)
    del runs
    if tokenizer.split is str.split:
        return Encoded(distinct, run_numbers)
    split = list(map(_memo(tokenizer.split).__getitem__, distinct[1:]))
    lengths = np.fromiter(map(len, split), np.int32, len(split))
    number = _numbering()
    tokens = itertools.chain.from_iterable(split)
    flat = np.fromiter(map(number.__getitem__, tokens), np.int32, lengths.sum())
    lengths, flat = np.append(1, lengths), np.append(0, flat)  # the line's end
    return Encoded(list(number), _expand(run_numbers, flat, lengths))


class _Memo(dict[str, list[str]]):
    """Runs of visible characters that were split already, as many as fit."""

    LARGEST = 300_000

    def __init__(self, split: Callable[[str], list[str]]) -> None:
        super().__init__()
        self._split = split

    def __missing__(self, run: str) -> list[str]:
        if len(self) >= self.LARGEST:
            self.clear()
        tokens = self[run] = self._split(run)
        return tokens


@functools.cache
def _memo(split: Callable[[str], list[str]]) -> _Memo:
    return _Memo(split)


def _expand(which: np.ndarray, flat: np.ndarray, lengths: np.ndarray) -> np.ndarray:
    """Pieces of `flat` one after the other, in the order of `which`."""
    if (lengths == 1).all():
        return flat[which]
    begins = np.cumsum(lengths) - lengths
    counts = lengths[which]
    ends = np.cumsum(counts, dtype=np.int64)
    steps = np.arange(ends[-1] if len(ends) else 0)
    return flat[steps + np.repeat(begins[which] - ends + counts, counts)]


def _by_line(text: str, cut: Cut) -> Encoded:
    """The plain way: each line split by itself."""
    lines = text.split("\n")[:-1]
    if cut.model:
        split = split_lines(cut.model, lines)
    else:
        split = map(tokenizer_named(cut.tokenizer).split, lines)
    tokens = [token for line in split for token in (*line, LINE_END)]
    number = _numbering()
    numbers = np.fromiter(map(number.__getitem__, tokens), np.int32, len(tokens))
    return Encoded(list(number), numbers)


def _characters(text: str, tokenizer: Tokenizer) -> Encoded:
    """Text without marks: newlines are tokens too."""
    if tokenizer.split is split_graphemes and is_plain(text):
        codes = np.frombuffer(text.encode("utf-32-le", "surrogatepass"), np.uint32)
        return _of_codes(codes)
    if tokenizer.alphabet and not tokenizer.local and len(tokenizer.alphabet) == 256:
        return _of_codes(np.frombuffer(text.encode("utf-8", "surrogatepass"), np.uint8))
    tokens = tokenizer.split(text)
    number = _numbering()
    numbers = np.fromiter(map(number.__getitem__, tokens), np.int32, len(tokens))
    return Encoded(list(number), numbers)


def _of_codes(codes: np.ndarray) -> Encoded:
    seen = np.flatnonzero(np.bincount(codes)) if codes.size else codes
    table = np.zeros(int(seen[-1]) + 1 if len(seen) else 0, np.int32)
    table[seen] = np.arange(1, len(seen) + 1)
    return Encoded([LINE_END, *map(chr, seen.tolist())], table[codes])


def _without_empty(numbers: np.ndarray) -> np.ndarray:
    """Line ends that end nothing go."""
    ends = numbers == 0
    after_end = np.concatenate([[True], ends[:-1]])
    return numbers[~(ends & after_end)]


def _without_short(numbers: np.ndarray, least: int) -> np.ndarray:
    """Lines of fewer than `least` tokens, their ends not counted, go."""
    ends = np.flatnonzero(numbers == 0)
    lengths = np.diff(ends, prepend=-1)
    return numbers[np.repeat(lengths > least, lengths)]
