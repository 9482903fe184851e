"""What every corpus gives: lines of text in three splits, and how to cut them."""

import hashlib
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

SPLITS = ("train", "valid", "test")


class Text(NamedTuple):
    """Lines by split: each keeps its newline, and one line is one sentence.

    facts: what is known about the corpus, ready for JSON.
    """

    name: str
    splits: dict[str, list[str]]
    facts: dict[str, Any]


def fingerprint(splits: dict[str, list[str]]) -> str:
    """SHA-256, as hex, of the text of all splits and of where they are cut."""
    digest = hashlib.sha256()
    for name in SPLITS:
        digest.update(f"\0{name}\0".encode())
        digest.update("".join(splits[name]).encode("utf-8", "surrogatepass"))
    return digest.hexdigest()


def split_documents(
    names: Sequence[str],
    sizes: Sequence[int],
    fractions: Sequence[float],
    seed: int,
) -> dict[str, list[int]]:
    """Indices of whole documents for train, valid and test.

    The documents are ordered by SHA-256 of seed and name, and dealt out in this order
    until each split has its share of the total size; each split gets one at least
    where there are three or more. Stable under additions elsewhere, and the same on
    every machine.
    """
    keys = [hashlib.sha256(f"{seed}:{name}".encode()).digest() for name in names]
    order = sorted(range(len(names)), key=lambda i: (keys[i], i))
    total, running = max(1, sum(sizes)), 0
    bounds = (fractions[0], fractions[0] + fractions[1])
    splits: dict[str, list[int]] = {name: [] for name in SPLITS}
    for rank, i in enumerate(order):
        middle = (running + sizes[i] / 2) / total
        which = sum(middle >= bound for bound in bounds)
        left = len(order) - rank
        if left <= 2 and len(order) >= 3:  # nobody goes without
            which = max(which, 3 - left)
        splits[SPLITS[which]].append(i)
        running += sizes[i]
    return {name: sorted(chosen) for name, chosen in splits.items()}


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
