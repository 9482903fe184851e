"""Connectionist temporal classification: strings of symbols out of steps, unaligned.

    P(y | x) = Σ over paths π with 𝓑(π) = y of Π_t P(π_t | x)

A path has a symbol or the blank at each step; 𝓑 makes one of repeats that follow each
other, then takes the blanks out, so that a symbol that stands twice in y needs a blank
between (Graves, Fernández, Gomez & Schmidhuber 2006, equations 2 and 3). Symbols are
numbered from 1 on, and 0 is the blank; in padded strings (S, B) it is the padding. V
counts both.
"""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax

from lm.types import Array

BLANK = 0
Prior = Callable[[tuple[int, ...]], np.ndarray]


def string_nats(logits_TBV: Array, mask_TB: Array, labels_SB: Array) -> Array:
    """−ln P(labels | x) of each lane in nats: (B,).

    A lane whose steps are too few for its string (it needs one a symbol, and one more
    between two that are equal) has no path: it is given about 1e5 and not infinity, so
    such lanes are to be refused where data are prepared.
    """
    return optax.ctc_loss(
        jnp.swapaxes(logits_TBV, 0, 1),
        1.0 - mask_TB.T,
        labels_SB.T,
        (labels_SB.T == BLANK).astype(logits_TBV.dtype),
        blank_id=BLANK,
    )


def best_path(logits_TBV: Array, mask_TB: Array) -> Array:
    """The string of the likeliest path, which need not be the likeliest string (Graves
    2006, section 3.2): (T, B), each symbol at the first of its steps, 0 elsewhere."""
    best_TB = jnp.where(mask_TB > 0, jnp.argmax(logits_TBV, axis=-1), BLANK)
    before_TB = jnp.pad(best_TB, ((1, 0), (0, 0)))[:-1]
    return jnp.where(best_TB != before_TB, best_TB, BLANK)


def edit_distances(said_TB: Array, labels_SB: Array) -> Array:
    """The fewest symbols that have to be put in, taken out or exchanged to make the
    labels of what was said (Levenshtein 1966): (B,) int. 0 stands for no symbol."""
    places_S1 = jnp.arange(len(labels_SB) + 1)[:, None]

    def step(row_SB: Array, said_B: Array) -> tuple[Array, None]:
        other_SB = (said_B[None] != labels_SB).astype(row_SB.dtype)
        exchanged_SB = row_SB[:-1] + other_SB
        fewer_SB = jnp.minimum(row_SB[1:] + 1, exchanged_SB)
        new_SB = jnp.concatenate([row_SB[:1] + 1, fewer_SB])
        new_SB = jax.lax.cummin(new_SB - places_S1, axis=0) + places_S1
        return jnp.where(said_B[None] == BLANK, row_SB, new_SB), None

    start_SB = jnp.broadcast_to(places_S1, (len(places_S1), labels_SB.shape[1]))
    row_SB, _ = jax.lax.scan(step, start_SB, said_TB)
    last_1B = jnp.sum(labels_SB != BLANK, axis=0, keepdims=True)
    return jnp.take_along_axis(row_SB, last_1B, axis=0)[0]


class Hypothesis(NamedTuple):
    """A string that a search found.

    symbols          numbers from 1 on.
    log_probability  ln P(string | x), of those of its paths that the beam kept.
    score            what the search ranks by: with the prior's and the bonus's part.
    """

    symbols: tuple[int, ...]
    log_probability: float
    score: float


def prefix_beam_search(
    log_TV: np.ndarray,
    beam: int,
    prior: Prior | None = None,
    weight: float = 1.0,
    bonus: float = 0.0,
) -> list[Hypothesis]:
    """The strings with the best scores, the best one first, at most `beam` of them:

        score(y) = ln P(y | x) + weight·ln P_prior(y) + bonus·|y|

    Prefixes are extended step by step, paths with the same prefix being added up, those
    that end in a blank apart from those that end in a symbol (Graves 2012, section
    7.5.2; as a beam with a language model: Hannun et al. 2014, algorithm 1). Exact
    where `beam` is at least the number of prefixes that there are.

    Args:
      log_TV: ln P(symbol or blank) at each step of one sequence.
      prior: (symbols so far) -> (V,) log-probabilities of what comes next, at 0 those
        of the end.
    """
    prefixes: list[tuple[int, ...]] = [()]
    blank_K, symbol_K = np.zeros(1), np.full(1, -np.inf)
    extra_K = np.zeros(1)  # the prior's and the bonus's part
    for log_V in np.asarray(log_TV, np.float64):
        whole_K = np.logaddexp(blank_K, symbol_K)
        last_K = np.array([p[-1] if p else BLANK for p in prefixes])
        longer_KV = whole_K[:, None] + log_V
        again = (np.arange(len(prefixes)), last_K)
        longer_KV[again] = blank_K + log_V[last_K]
        longer_KV[:, BLANK] = -np.inf
        blank_K = whole_K + log_V[BLANK]
        symbol_K = np.where(last_K == BLANK, -np.inf, symbol_K + log_V[last_K])
        _merge(prefixes, longer_KV, symbol_K)
        gain_KV = np.full(longer_KV.shape, bonus)
        if prior is not None:
            gain_KV += weight * np.array([prior(p) for p in prefixes])
        extra_KV = extra_K[:, None] + gain_KV
        scores = np.concatenate(
            [np.logaddexp(blank_K, symbol_K) + extra_K, (longer_KV + extra_KV).ravel()]
        )
        kept = np.argsort(-scores, kind="stable")[:beam]
        kept = kept[scores[kept] > -np.inf]
        stays, size = kept < len(prefixes), len(prefixes)
        parent, symbol = np.divmod(kept - size, len(log_V))
        parent = np.where(stays, kept, parent)
        more = np.where(stays, BLANK, symbol)
        prefixes = [
            prefixes[n] + ((int(c),) if c else ())
            for n, c in zip(parent, more, strict=True)
        ]
        blank_K = np.where(stays, blank_K[parent], -np.inf)
        symbol_K = np.where(stays, symbol_K[parent], longer_KV[parent, more])
        extra_K = np.where(stays, extra_K[parent], extra_KV[parent, more])
    return _ranked(prefixes, np.logaddexp(blank_K, symbol_K), extra_K, prior, weight)


def _merge(
    prefixes: list[tuple[int, ...]], longer_KV: np.ndarray, symbol_K: np.ndarray
) -> None:
    """What extends a prefix to another one of the beam goes there, in place."""
    place = {prefix: k for k, prefix in enumerate(prefixes)}
    for k, prefix in enumerate(prefixes):
        parent = place.get(prefix[:-1]) if prefix else None
        if parent is not None:
            symbol_K[k] = np.logaddexp(symbol_K[k], longer_KV[parent, prefix[-1]])
            longer_KV[parent, prefix[-1]] = -np.inf


def _ranked(
    prefixes: list[tuple[int, ...]],
    log_K: np.ndarray,
    extra_K: np.ndarray,
    prior: Prior | None,
    weight: float,
) -> list[Hypothesis]:
    """The hypotheses when all steps are read, the prior's end included."""
    if prior is not None:
        ends_K = np.array([prior(prefix)[BLANK] for prefix in prefixes])
        extra_K = extra_K + weight * ends_K
    found = [
        Hypothesis(prefix, float(log), float(log + extra))
        for prefix, log, extra in zip(prefixes, log_K, extra_K, strict=True)
    ]
    return sorted(found, key=lambda one: -one.score)
