"""Lengths that sentences are padded to, so that few shapes compile: the best few."""

import functools
import math

import numpy as np

from data_pipeline.order import shuffled
from data_pipeline.streams import check_step


class Bucketed:
    """Which sequences make a batch, and the length that they are padded to.

    A batch is padded to one of at most `buckets` lengths, chosen so that padding is
    least. What
    does not fill a bucket's last batch goes up into the next bucket; only the very
    last batch has fewer than `batch` members. With `shuffle`, sequences within a
    bucket and the order of batches are drawn anew for each (seed, epoch); without,
    buckets follow each other and their members stand in order. Each sequence comes
    once an epoch.

    Args:
      lengths: (N,) at least 1 each.
      padded: the lengths to pad to, rising, in place of the best ones; the last is at
        least the longest of `lengths`.
    """

    def __init__(
        self,
        lengths: np.ndarray,
        batch: int,
        buckets: int = 12,
        *,
        shuffle: bool,
        padded: np.ndarray | None = None,
    ) -> None:
        self.batch, self.shuffle, self._lengths = batch, shuffle, lengths
        self.lengths = bucket_lengths(lengths, buckets) if padded is None else padded
        bucket = np.searchsorted(self.lengths, lengths)
        self._members = [np.flatnonzero(bucket == k) for k in range(max(bucket) + 1)]
        self.steps = math.ceil(len(lengths) / batch)

    @property
    def padding(self) -> float:
        """Share of positions (empty lanes included) of an epoch that are padding."""
        padded = [self._length(members) for members in self._plan(0, 0)]
        return 1 - float(self._lengths.sum() / (self.batch * sum(padded)))

    def at(self, seed: int, epoch: int, step: int) -> tuple[np.ndarray, int]:
        """(numbers of the members, at most `batch` of them, padded length) of batch
        `step` < `steps` of an epoch."""
        check_step(step, self.steps)
        seed, epoch = (seed, epoch) if self.shuffle else (0, 0)
        members = self._plan(seed, epoch)[step]
        return members, self._length(members)

    def _length(self, members: np.ndarray) -> int:
        longest = self._lengths[members].max()
        return int(self.lengths[np.searchsorted(self.lengths, longest)])

    @functools.lru_cache(maxsize=4)  # noqa: B019 (lives as long as the data)
    def _plan(self, seed: int, epoch: int) -> list[np.ndarray]:
        """The members of each batch."""
        batches: list[np.ndarray] = []
        left = np.zeros(0, np.int64)
        for k, members in enumerate(self._members):
            members = np.concatenate([left, members])
            if self.shuffle:
                members = members[shuffled(len(members), seed, epoch, k)]
            whole = len(members) // self.batch * self.batch
            batches += np.split(members[:whole], whole // self.batch) if whole else []
            left = members[whole:]
        batches += [left] if len(left) else []
        if self.shuffle:
            batches = [batches[i] for i in shuffled(len(batches), seed, epoch, -1)]
        return batches


def bucket_lengths(lengths: np.ndarray, buckets: int) -> np.ndarray:
    """At most `buckets` padded lengths with the least padding; the last is the longest
    length. Exact, by dynamic programming over the n distinct lengths in O(n·buckets)
    time: the best place of the bucket before is found on a hull of lines. Of equal
    choices the one with the longer last bucket."""
    values, counts = np.unique(lengths, return_counts=True)
    n = len(values)
    total = [0, *np.cumsum(counts).tolist()]
    # cost[j]: least positions for the j shortest lengths, with the buckets so far.
    cost: list[float] = [0, *([math.inf] * n)]
    choices: list[list[int]] = []
    for _ in range(min(buckets, n)):
        cost, choice = _one_more_bucket(cost, total, values.tolist())
        choices.append(choice)
    chosen, j = [], n
    for choice in reversed(choices):
        if j > 0:
            chosen.append(values[j - 1])
            j = choice[j - 1]
    return np.array(chosen[::-1], np.int64)


def _one_more_bucket(
    cost: list[float], total: list[int], values: list[int]
) -> tuple[list[float], list[int]]:
    """min over i < j of cost[i] + (total[j] − total[i])·values[j−1], and the first i
    that reaches it, for each j.

    As a function of x = values[j−1] each i is a line of slope −total[i]; these fall
    and x grows, so that the lower hull is walked through once.
    """
    hull: list[int] = []  # of lines, by falling slope
    at = 0
    best: list[float] = [0]
    choice: list[int] = []
    for j, x in enumerate(values, start=1):
        if cost[j - 1] < math.inf:
            while len(hull) > 1 and _hidden(hull[-2], hull[-1], j - 1, cost, total):
                hull.pop()
            hull.append(j - 1)
        at = min(at, len(hull) - 1)
        while at + 1 < len(hull) and _at(hull[at + 1], x, cost, total) < _at(
            hull[at], x, cost, total
        ):
            at += 1
        choice.append(hull[at])
        best.append(_at(hull[at], x, cost, total) + total[j] * x)
    return best, choice


def _at(i: int, x: int, cost: list[float], total: list[int]) -> float:
    return cost[i] - total[i] * x


def _hidden(a: int, b: int, c: int, cost: list[float], total: list[int]) -> bool:
    """Whether line b, of a slope between those of a and c, is nowhere below both."""
    return (cost[c] - cost[a]) * (total[b] - total[a]) <= (cost[b] - cost[a]) * (
        total[c] - total[a]
    )
