"""Means with intervals over seeds and windows, and what a sentence needs of them."""

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from scipy.special import stdtrit
from scipy.stats import rankdata

from lm.gradflow.through_time import bootstrap, profile_of


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


class Reach(NamedTuple):
    """How far back a loss reaches in one layer; K lags.

    normalised_K   G(k)/G(0), with low_K and high_K around it.
    horizon        with its interval, and `half_life` with its own; in lags.
    horizons       of each seed alone.
    """

    normalised_K: Any
    low_K: Any
    high_K: Any
    horizon: tuple[float, float, float]
    half_life: tuple[float, float, float]
    horizons: list[int]


def reach(norms_SKB: np.ndarray, level: float = 0.95) -> Reach:
    """The lag profile over S seeds, and intervals by resampling windows of all seeds.

    Each seed's norms are divided by its own G(0), so that none outweighs another.
    """
    norms = np.asarray(norms_SKB, np.float32)
    scale = np.maximum(norms[:, :1].mean(axis=-1, keepdims=True), 1e-30)
    pooled_LKB = jnp.asarray(np.concatenate(list(norms / scale), axis=-1)[None])
    profile = jax.device_get(profile_of(pooled_LKB))
    low, high = jax.device_get(bootstrap(jax.random.key(0), pooled_LKB, 500, level))

    def triple(name: str) -> tuple[float, float, float]:
        at, below, above = (float(getattr(p, name)[0]) for p in (profile, low, high))
        return at, below, above

    return Reach(
        normalised_K=profile.normalised_LK[0],
        low_K=low.normalised_LK[0],
        high_K=high.normalised_LK[0],
        horizon=triple("horizon_L"),
        half_life=triple("half_life_L"),
        horizons=[int(h) for h in profile_of(jnp.asarray(norms)).horizon_L],
    )


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
