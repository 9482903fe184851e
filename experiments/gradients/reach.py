"""How far back a loss reaches: lag profiles over seeds, and horizons in tables."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from experiments.results.intervals import span
from lm.gradflow.through_time import bootstrap, profile_of


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


def reaches(row: dict[str, Any], stage: int = -1) -> str:
    """The horizon with its interval; at the last lag it is only a bound."""
    beyond = "over " if row["horizon"][stage][0] >= row["lags"] else ""
    return beyond + span(row["horizon"][stage])
