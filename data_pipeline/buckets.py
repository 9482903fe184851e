"""Lengths that sentences are padded to, so that few shapes compile: the best few."""

import math

import numpy as np


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
