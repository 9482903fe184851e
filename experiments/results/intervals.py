"""Means with intervals over seeds, and what tables and sentences need of them."""

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from scipy.special import ndtri, stdtrit
from scipy.stats import rankdata


class Mean(NamedTuple):
    """A mean over seeds, and half the width of its 95 % interval (Student's t); the
    interval is nan with one seed."""

    value: float
    half: float

    def __str__(self) -> str:
        half = "" if math.isnan(self.half) else f" ± {rounded(self.half, 2)}"
        return rounded(self.value, 4) + half


def rounded(value: float, digits: int) -> str:
    """To so many digits, without an exponent where it is not small: 28123 as 28120."""
    return f"{float(f'{value:.{digits}g}'):.6g}"


def mean(values: Sequence[float]) -> Mean:
    """The mean of values over seeds; inf or nan among them stay."""
    xs = np.asarray(values, float)
    if len(xs) < 2 or not np.isfinite(xs).all():
        return Mean(float(xs.mean()), math.nan)
    half = stdtrit(len(xs) - 1, 0.975) * xs.std(ddof=1) / math.sqrt(len(xs))
    return Mean(float(xs.mean()), float(half))


def difference(a: Mean, b: Mean, counts: tuple[int, int]) -> Mean:
    """a − b of means over two sets of seeds, so many in each, with half of its 95 %
    interval (Welch 1947); the interval is nan where one of theirs is.

    half = t_ν √(s_a² + s_b²),  ν = (s_a² + s_b²)² / (s_a⁴/(n_a − 1) + s_b⁴/(n_b − 1)),
    s the standard error of a mean: its half interval over t of n − 1
    """
    value, degrees = a.value - b.value, np.asarray(counts) - 1
    if min(degrees) < 1 or math.isnan(a.half + b.half):
        return Mean(value, math.nan)
    squares = (np.asarray([a.half, b.half]) / stdtrit(degrees, 0.975)) ** 2
    if not squares.any():
        return Mean(value, 0.0)
    ν = squares.sum() ** 2 / (squares**2 / degrees).sum()
    return Mean(value, float(stdtrit(ν, 0.975) * math.sqrt(squares.sum())))


def wilson(hits: int, count: int) -> tuple[float, float]:
    """The 95 % interval of a share hits / count (Wilson 1927); (nan, nan) of none.

    (p + z²/2n ± z √(p(1 − p)/n + z²/4n²)) / (1 + z²/n),  z = 1.96
    """
    if not count:
        return math.nan, math.nan
    z, p = float(ndtri(0.975)), hits / count
    centre = p + z * z / (2 * count)
    half = z * math.sqrt(p * (1 - p) / count + z * z / (4 * count * count))
    whole = 1 + z * z / count
    return max(0.0, (centre - half) / whole), min(1.0, (centre + half) / whole)


def rank_correlation(xs: Sequence[float], ys: Sequence[float]) -> float:
    """Spearman's ρ; nan where either does not vary."""
    a, b = rankdata(xs), rankdata(ys)
    if np.ptp(a) == 0 or np.ptp(b) == 0:
        return math.nan
    return float(np.corrcoef(a, b)[0, 1])


def span(triple: Sequence[float]) -> str:
    """(12, 11, 14) as "12 [11, 14]"."""
    value, low, high = triple
    return f"{value:g} [{low:g}, {high:g}]"
