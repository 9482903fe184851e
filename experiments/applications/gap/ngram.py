"""Words in gaps by an n-gram model of both sides: the baseline beside the network.

    P(w | the other words) ∝ P(w | a, b)·P(c | b, w)·P(d | w, c)

for a gap in `a b _ c d`: the probability of the sentence with w in the gap, by an
interpolated modified Kneser–Ney 3-gram model of the training split (experiments.ngram),
over all words but `<eos>`. Reading the left side alone, P(w | a, b). Exact; nothing is
tuned.
"""

from typing import NamedTuple

import numpy as np

from data_pipeline.types import Dataset, TokenArray
from data_pipeline.vocabulary import EOS_ID
from experiments.ngram import NGram, Order, fit

ORDER = 3


class Tables:
    """A 3-gram model, so that a factor is found for all V words in one go.

    Rows of the 2-grams are found by their first word (`_after`) and by their second
    (`_before`); V itself stands for the start of a sentence.
    """

    def __init__(self, model: NGram) -> None:
        self.size = model.size
        one, two, three = (*model.orders, *[_nothing()] * 2)[:ORDER]
        base = self.size + 1
        self._two, self._three = two, three
        self._row = np.full(base, -1)
        self._row[one.keys] = np.arange(len(one.keys))
        share = np.zeros(base)
        share[one.keys] = one.discounted / one.total[0]
        self.unigram = share[:-1] + one.gamma[0] / self.size
        self._second = two.keys % base
        self._first = one.keys[two.keys // base]
        self._order = np.argsort(self._second, kind="stable")
        self._ends = np.searchsorted(self._second[self._order], np.arange(base + 1))
        rows = np.arange(len(one.keys) + 1)
        self._starts = np.searchsorted(two.keys, rows * base)
        self._starts3 = np.searchsorted(three.keys, np.arange(len(two.keys) + 1) * base)
        self._total3, self._gamma3 = np.zeros((2, len(two.keys)))
        self._total3[: len(three.total)] = three.total
        self._gamma3[: len(three.gamma)] = three.gamma
        known = self._row >= 0
        self._total, self._gamma = np.zeros(base), np.ones(base)
        self._total[known] = two.total[self._row[known]] if len(two.total) else 0
        self._gamma[self._total > 0] = two.gamma[self._row[self._total > 0]]

    def _after(self, word: int) -> slice:
        row = self._row[word]
        return slice(0, 0) if row < 0 else slice(*self._starts[row : row + 2])

    def _before(self, word: int) -> np.ndarray:
        return self._order[self._ends[word] : self._ends[word + 1]]

    def _pair(self, a: int, b: int) -> int:
        """The row of a 2-gram; -1: none."""
        near = self._after(a)
        at = near.start + int(np.searchsorted(self._second[near], b))
        return at if at < near.stop and self._second[at] == b else -1

    def filling(self, a: int, b: int) -> np.ndarray:
        """P(w | a, b) of each w: (V,). a below 0: b alone is known."""
        found = self._gamma[b] * self.unigram
        near = self._after(b)
        if self._total[b]:
            found[self._second[near]] += self._two.discounted[near] / self._total[b]
        row = self._pair(a, b) if a >= 0 else -1
        if row >= 0 and self._total3[row]:
            found *= self._gamma3[row]
            near = slice(*self._starts3[row : row + 2])
            words = self._three.keys[near] % (self.size + 1)
            found[words] += self._three.discounted[near] / self._total3[row]
        return found

    def next(self, b: int, c: int) -> np.ndarray:
        """P(c | b, w) of each w: (V,)."""
        found = self._gamma[:-1] * self.unigram[c]
        rows = self._before(c)
        rows = rows[self._first[rows] < self.size]
        first = self._first[rows]
        found[first] += self._two.discounted[rows] / self._total[first]
        near = self._after(b)
        rows, words = np.arange(near.start, near.stop), self._second[near]
        found[words] = self._longer(rows, c, found[words])
        return found

    def after_next(self, c: int, d: int) -> np.ndarray:
        """P(d | w, c) of each w: (V,)."""
        lower = self.filling(-1, c)[d]
        found = np.full(self.size, lower)
        rows = self._before(c)
        rows = rows[self._first[rows] < self.size]
        found[self._first[rows]] = self._longer(rows, d, lower)
        return found

    def _longer(self, rows: np.ndarray, word: int, lower) -> np.ndarray:
        """P(word | 2-gram) of the 2-grams in these rows; `lower`: without their first
        words."""
        total = self._total3[rows]
        own = np.zeros(len(rows))
        if len(self._three.keys):
            keys = rows * (self.size + 1) + word
            at = np.searchsorted(self._three.keys, keys)
            at = np.minimum(at, len(self._three.keys) - 1)
            own = np.where(self._three.keys[at] == keys, self._three.discounted[at], 0)
        known = total > 0
        found = own / np.where(known, total, 1) + self._gamma3[rows] * lower
        return np.where(known, found, lower)


class Filled(NamedTuple):
    """P(· | …) of one gap, (V,): with both sides to read, and with the left alone."""

    both: np.ndarray
    left: np.ndarray


def filled(tables: Tables, sentence: np.ndarray, at: int) -> Filled:
    """What stands at a place of a sentence (N,) of ids that ends with `<eos>`."""
    size = tables.size
    around = np.concatenate([[-1, size], sentence, [-1]]).astype(np.int64)
    a, b, _, c, d = around[at : at + 5]
    left = tables.filling(a, b)
    left[EOS_ID] = 0
    both = left * tables.next(b, c)
    if d >= 0:
        both *= tables.after_next(c, d)
    return Filled(both / both.sum(), left / left.sum())


def scores(tables: Tables, tokens: TokenArray) -> dict[str, dict[str, float]]:
    """{"both" and "left": {"loss": nats a gap, "accuracy"}} over a split."""
    nats: dict[str, list[float]] = {"both": [], "left": []}
    right: dict[str, list[bool]] = {"both": [], "left": []}
    for begin, end in zip(tokens.starts[:-1], tokens.starts[1:], strict=True):
        sentence = tokens.ids[begin:end]
        for at, word in enumerate(sentence[:-1].tolist()):
            for side, p in filled(tables, sentence, at)._asdict().items():
                nats[side].append(-np.log(p[word]))
                right[side].append(bool(p.argmax() == word))
    return {
        side: {
            "loss": float(np.mean(nats[side])),
            "accuracy": float(np.mean(right[side])),
        }
        for side in nats
    }


def baselines(dataset: Dataset) -> dict[str, dict[str, dict[str, float]]]:
    """Both, on validation and test."""
    tables = Tables(fit(dataset.splits["train"], dataset.vocabulary.size, ORDER))
    found = {
        split: scores(tables, dataset.splits[split]) for split in ("valid", "test")
    }
    return {
        f"3-gram, {side}": {split: by_side[side] for split, by_side in found.items()}
        for side in ("both", "left")
    }


def _nothing() -> Order:
    """Of an order that no sentence is long enough for."""
    return Order(np.zeros(0, np.int64), *np.zeros((3, 0)))
