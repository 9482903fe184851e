"""What every corpus gives: text in three splits, block by block."""

import hashlib
from collections.abc import Callable, Iterable, Iterator
from typing import Any, NamedTuple

SPLITS: tuple[str, str, str] = ("train", "valid", "test")
BLOCK = 1 << 23  # characters or bytes of text handled at once


class Text(NamedTuple):
    """A corpus in memory: lines by split, each with its newline, one sentence each.

    facts: what is known about the corpus, ready for JSON.
    """

    name: str
    splits: dict[str, list[str]]
    facts: dict[str, Any]


class Source(NamedTuple):
    """A corpus of any size.

    blocks  gives (split, text) pairs anew at each call. A block ends where a line
            does; the blocks of a split, joined, are its text.
    key     a hash of the text and of how it is split; "" where it is always made anew.
    size    bytes of text, roughly: for progress, and for choosing where to prepare it.
    """

    name: str
    blocks: Callable[[], Iterator[tuple[str, str]]]
    facts: dict[str, Any]
    key: str = ""
    size: int = 0


def from_text(text: Text) -> Source:
    """A corpus in memory, as a source."""

    def blocks() -> Iterator[tuple[str, str]]:
        for name in SPLITS:
            for block in joined(text.splits[name]):
                yield name, block

    size = sum(len(line) for lines in text.splits.values() for line in lines)
    return Source(text.name, blocks, text.facts, size=size)


def joined(lines: Iterable[str], size: int = BLOCK) -> Iterator[str]:
    """Lines gathered into blocks of about `size` characters."""
    gathered: list[str] = []
    total = 0
    for line in lines:
        gathered.append(line)
        total += len(line)
        if total >= size:
            yield "".join(gathered)
            gathered, total = [], 0
    if gathered:
        yield "".join(gathered)


class Fingerprint:
    """SHA-256 of the text of each split, however it is cut into blocks.

    A source's `key` is a hash of its text already, and stands for it where there is
    one: that of a file whose text has been read once to see where to cut it.
    """

    def __init__(self, key: str = "") -> None:
        self._digests = {name: hashlib.sha256() for name in SPLITS}
        self._key = key
        self._digests["train"].update(key.encode())

    def of(self, blocks: Iterable[tuple[str, str]]) -> Iterator[tuple[str, str]]:
        """The same (split, text) pairs, seen on their way."""
        for split, text in blocks:
            if not self._key:
                self._digests[split].update(text.encode("utf-8", "surrogatepass"))
            yield split, text

    def hexdigest(self) -> str:
        """One hash, as hex, for the three."""
        parts = [f"{name} {d.hexdigest()}" for name, d in self._digests.items()]
        return hashlib.sha256("\n".join(parts).encode()).hexdigest()


def unique_lines(splits: dict[str, Iterable[str]]) -> dict[str, list[str]]:
    """Each line once over all splits: what train holds is in neither of the others."""
    seen: set[str] = set()
    result: dict[str, list[str]] = {}
    for name in SPLITS:
        result[name] = []
        for line in splits[name]:
            if line not in seen:
                seen.add(line)
                result[name].append(line)
    return result
