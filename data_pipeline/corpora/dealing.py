"""How a text without splits of its own is dealt out: cut in its order, by whole
documents, or by rows."""

import hashlib
import re
from collections.abc import Iterable, Iterator, Sequence
from itertools import pairwise
from typing import NamedTuple

from data_pipeline.corpora.text import BLOCK, SPLITS
from data_pipeline.sentences import sentence_end

_SPACE = re.compile(r"\s+")


class Deal(NamedTuple):
    """The splits that a text is dealt out to, and the share of each."""

    names: tuple[str, ...]
    shares: tuple[float, ...]

    def told(self) -> str:
        """`train 0.9, valid 0.05, test 0.05`."""
        pairs = zip(self.names, self.shares, strict=True)
        return ", ".join(f"{name} {share:.4g}" for name, share in pairs)


def deal_of(fractions: Sequence[float], given: Iterable[str] = ("train",)) -> Deal:
    """Train and what is missing beside the `given` splits, in their proportions."""
    names = [name for name in SPLITS if name == "train" or name not in set(given)]
    if len(names) == len(SPLITS):
        return Deal(SPLITS, tuple(fractions))
    shares = [fractions[SPLITS.index(name)] for name in names]
    return Deal(tuple(names), tuple(share / sum(shares) for share in shares))


def cut_positions(size: int, shares: Sequence[float]) -> tuple[int, ...]:
    """Where the second and the third split begin in a text of `size` characters: at
    ⌊f·N⌋, and then in the ratio of the other two shares."""
    first = int(size * shares[0])
    if len(shares) == 2:
        return (first,)
    rest = shares[1] / (shares[1] + shares[2])
    return first, first + int((size - first) * rest)


def cut_blocks(
    blocks: Iterator[str],
    cuts: Sequence[int],
    whole_lines: bool,
    names: Sequence[str] = SPLITS,
) -> Iterator[tuple[str, str]]:
    """Blocks labelled by split, cut at positions or each at the next line's start."""
    bounds = iter(zip(names, (*cuts, None), strict=True))
    split, bound = next(bounds)
    position = 0
    for block in blocks:
        while bound is not None and position + len(block) >= bound:
            at = max(0, bound - position)
            if whole_lines:
                at = _next_line(block, at)
            if at:
                yield split, block[:at]
            block, position = block[at:], position + at
            split, bound = next(bounds)
        if block:
            yield split, block
        position += len(block)


def _next_line(block: str, at: int) -> int:
    if at == 0 or block[at - 1] == "\n":
        return at
    return block.find("\n", at) + 1 or len(block)


def cuts_inside_lines(
    blocks: Iterator[str], cuts: Sequence[int], size: int, sentences: bool
) -> tuple[int, ...]:
    """Cuts for a text whose lines are too long to be kept whole: each moves on to the
    next sentence's end (where sentences are split), else to the next white space.

    () where cuts at the starts of lines leave text for every split.
    """
    lines, inside = [], []
    waiting, position = list(cuts), 0
    for block in blocks:
        while waiting and waiting[0] <= position + len(block):
            at = waiting.pop(0) - position
            lines.append(position + _next_line(block, at))
            inside.append(position + _inside(block, at, sentences))
        position += len(block)
        if not waiting:
            break
    if all(a < b for a, b in pairwise((0, *lines, size))):
        return ()
    return tuple(inside)


def _inside(block: str, at: int, sentences: bool) -> int:
    if sentences:
        return sentence_end(block, at)
    found = _SPACE.search(block, at)
    return found.end() if found else len(block)


def deal_documents(
    names: Sequence[str], sizes: Sequence[int], shares: Sequence[float], seed: int
) -> list[list[int]]:
    """Indices of whole documents for each share.

    The documents are ordered by SHA-256 of seed and name, and dealt out in this order
    until each has its share of the total size; each gets one at least where there are
    as many documents as shares. The same on every machine.
    """
    keys = [hashlib.sha256(f"{seed}:{name}".encode()).digest() for name in names]
    order = sorted(range(len(names)), key=lambda i: (keys[i], i))
    total, running, last = max(1, sum(sizes)), 0, len(shares) - 1
    bounds = [sum(shares[: k + 1]) for k in range(last)]
    dealt: list[list[int]] = [[] for _ in shares]
    for rank, i in enumerate(order):
        middle = (running + sizes[i] / 2) / total
        which = sum(middle >= bound for bound in bounds)
        left = len(order) - rank
        if left <= last and len(order) > last:  # nobody goes without
            which = max(which, len(shares) - left)
        dealt[which].append(i)
        running += sizes[i]
    return [sorted(chosen) for chosen in dealt]


def split_documents(
    names: Sequence[str], sizes: Sequence[int], fractions: Sequence[float], seed: int
) -> dict[str, list[int]]:
    """Indices of whole documents for train, valid and test (`deal_documents`)."""
    dealt = deal_documents(names, sizes, fractions, seed)
    return dict(zip(SPLITS, dealt, strict=True))


def split_of_row(
    text: str, fractions: Sequence[float], seed: int, names: Sequence[str] = SPLITS
) -> str:
    """The split of one row by a hash of seed and text: equal rows stay together."""
    digest = hashlib.blake2b(f"{seed}:{text}".encode(), digest_size=8).digest()
    share = int.from_bytes(digest, "big") / 2**64
    bounds = [sum(fractions[: k + 1]) for k in range(len(fractions) - 1)]
    return names[sum(share >= bound for bound in bounds)]


def gathered(rows: Iterator[tuple[str, str]]) -> Iterator[tuple[str, str]]:
    """Blocks of rows, split by split as they fill."""
    held: dict[str, list[str]] = {name: [] for name in SPLITS}
    sizes = dict.fromkeys(SPLITS, 0)
    for split, text in rows:
        held[split].append(text)
        sizes[split] += len(text)
        if sizes[split] >= BLOCK:
            yield split, "".join(held[split])
            held[split], sizes[split] = [], 0
    for split, texts in held.items():
        if texts:
            yield split, "".join(texts)
