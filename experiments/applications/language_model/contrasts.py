"""Minimal pairs judged by a model: the right one should be the likelier.

−ln P of the whole sentence, its end included, decides, without any division by its
length (Warstadt et al. 2020, "BLiMP"); of a continuation −ln P given its prefix,
without an end, since the sentence goes on (Linzen, Dupoux & Goldberg 2016).
Equal probabilities are wrong. Sentences that are the same ids to the model, because
what tells them apart is out of its vocabulary, are such ties whatever rounding says.
"""

from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np

from data_pipeline.minimal_pairs import MinimalPair
from data_pipeline.types import TokenArray
from data_pipeline.vocabulary import UNK_ID
from experiments.applications.language_model.blimp import (
    PUBLISHED,
    TERM,
    category,
    is_blimp,
)
from experiments.applications.language_model.pieces import (
    Piece,
    continued_pieces,
    pieces_of_lines,
    token_array,
)
from experiments.applications.language_model.reading import setting_of
from experiments.applications.language_model.trained import Trained
from experiments.applications.lines import Line
from experiments.results.intervals import wilson
from lm.config import ConfigError, unknown

GROUPS = ("field", "linguistics_term", "UID", "attractors", "subject")
ROUNDING = 1e-6  # of −ln P, within which two are equal in float32


class Cut(NamedTuple):
    """Pairs as ids: pieces of good and bad sentences in turn, 2N, and what of them
    counts.

    same   (N,) bool, pairs whose two sides are the same to the model.
    known  (N,) bool, pairs of which every word is in the vocabulary.
    """

    pieces: list[Piece]
    scored: list[slice]
    same: np.ndarray
    known: np.ndarray


def cut_pairs(trained: Trained, pairs: Sequence[MinimalPair], skip_end: bool) -> Cut:
    """The pairs as the model reads them; a continuation's end never counts."""
    setting = setting_of(trained.config, trained.vocabulary)
    texts = [Line(text) for pair in pairs for text in (pair.good, pair.bad)]
    prefixes = [pair.prefix for pair in pairs for _ in range(2)]
    pieces = pieces_of_lines(trained.vocabulary, setting, texts, alone=True)
    if any(prefixes):
        continued = continued_pieces(trained.vocabulary, setting, prefixes, texts)
        pieces = [c if c.given else p for c, p in zip(continued, pieces, strict=True)]
    ends = [
        len(piece.ids) - (piece.ends and (skip_end or before != ""))
        for piece, before in zip(pieces, prefixes, strict=True)
    ]
    scored = [slice(p.given, end) for p, end in zip(pieces, ends, strict=True)]
    read = [piece.ids[:end] for piece, end in zip(pieces, ends, strict=True)]
    sides = list(zip(read[::2], read[1::2], strict=True))
    same = [np.array_equal(a, b) for a, b in sides]
    known = [not ((a == UNK_ID).any() or (b == UNK_ID).any()) for a, b in sides]
    return Cut(pieces, scored, np.array(same), np.array(known))


def log_probabilities(
    cut: Cut, nats_of: Callable[[TokenArray], np.ndarray]
) -> np.ndarray:
    """ln P of each pair's sides (N, 2), good first, by a model of (tokens) -> nats."""
    nats = nats_of(token_array(cut.pieces))
    begins = np.cumsum([0, *(len(piece.ids) for piece in cut.pieces)]).tolist()
    totals = [
        nats[begin + at.start : begin + at.stop].sum(dtype=np.float64)
        for begin, at in zip(begins, cut.scored, strict=False)
    ]
    return 0.0 - np.array(totals).reshape(-1, 2)


class Verdict(NamedTuple):
    """(N,) bool each: the right side is likelier; neither is."""

    right: np.ndarray
    tied: np.ndarray


def verdict(cut: Cut, logs: np.ndarray) -> Verdict:
    """What log-probabilities (N, 2) decide; ties are no right answers."""
    good, bad = logs.T
    tied = cut.same | (np.abs(good - bad) <= ROUNDING * np.abs(good + bad) / 2)
    return Verdict((good > bad) & ~tied, tied)


def columns_of(pairs: Sequence[MinimalPair], by: str) -> list[str]:
    """What the pairs are grouped by: the columns in `by`, parted by commas, or those of
    GROUPS that the pairs have.

    Raises:
      ConfigError: for a column that no pair has.
    """
    have = list(dict.fromkeys(name for pair in pairs for name in pair.groups))
    if not by:
        return [name for name in GROUPS if name in have]
    if not have:
        raise ConfigError(f"--by is {by!r}: the pairs have no column to group by")
    for name in by.split(","):
        if name not in have:
            raise ConfigError(unknown("--by: column", name, have))
    return by.split(",")


def accuracies(
    pairs: Sequence[MinimalPair],
    cut: Cut,
    verdicts: dict[str, Verdict],
    columns: Sequence[str],
) -> Iterator[dict[str, Any]]:
    """A row for all pairs, by "" and group "", and for each group of each column.

    Each has pairs, ties, same and covered (numbers of pairs), and of each of the
    verdicts its accuracy and interval (low, high): "accuracy", "low", "high" of the
    first, which also has "accuracy_covered", of the pairs that have no word out of
    vocabulary; those of others begin with their name. Where the pairs are BLiMP's,
    terms are the categories of its paper, and "published" has the accuracies there.
    """
    blimp = is_blimp(pairs)
    for column in ("", *columns):
        values = np.array(
            [category(p, column) if blimp else p.groups.get(column, "") for p in pairs]
        )
        for value in dict.fromkeys(values.tolist()):
            here = values == value
            row = {"by": column, "group": value, **_row(here, cut, verdicts)}
            if blimp and column in ("", TERM) and value in PUBLISHED:
                row["published"] = PUBLISHED[value]
            yield row


def _row(here: np.ndarray, cut: Cut, verdicts: dict[str, Verdict]) -> dict[str, Any]:
    count, covered = int(here.sum()), here & cut.known
    (_, first), *others = verdicts.items()
    row: dict[str, Any] = {"pairs": count, **_share("", first.right, here)}
    row |= {
        "ties": int((first.tied & here).sum()),
        "same": int((cut.same & here).sum()),
        "covered": int(covered.sum()),
        "accuracy_covered": _mean(first.right, covered),
    }
    for name, found in others:
        row |= _share(f"{name}_", found.right, here)
    return row


def _share(prefix: str, right: np.ndarray, here: np.ndarray) -> dict[str, Any]:
    low, high = wilson(int((right & here).sum()), int(here.sum()))
    named = {"accuracy": _mean(right, here), "low": low, "high": high}
    return {f"{prefix}{name}": value for name, value in named.items()}


def _mean(right: np.ndarray, here: np.ndarray) -> float | None:
    return float(right[here].mean()) if here.any() else None
