"""Mixtures of probabilities, token by token: p(x_n) = Σ_k w_k p_k(x_n).

The weights are not negative and sum to 1, so that a mixture of distributions is one; of
each component only the probabilities of the tokens that stand in the text are needed.

They are found by expectation maximisation on held-out text (Jelinek & Mercer 1980):

    r_kn = w_k p_k(x_n) / Σ_j w_j p_j(x_n)        w_k ← mean over n of r_kn

The log-likelihood is concave in w, so from weights that are all positive the steps end
at its maximum, whatever the grid would have been. K components, N tokens; NumPy, in
float64.
"""

from typing import NamedTuple

import numpy as np

TINY = np.finfo(np.float64).tiny


class Weights(NamedTuple):
    """weights_K, the nats per token of the mixture that they make, and EM's steps."""

    weights_K: np.ndarray
    nats: float
    steps: int


def mixed(nats_KN: np.ndarray, weights_K: np.ndarray) -> np.ndarray:
    """−ln Σ_k w_k exp(−nats_kn): nats (N,) of the mixture; inf where no component with
    a weight gives the token any probability."""
    return _nats(weights_K @ np.exp(-np.asarray(nats_KN, np.float64)))


def em_weights(
    nats_KN: np.ndarray, tolerance: float = 1e-8, most: int = 500
) -> Weights:
    """The weights of the likeliest mixture of K components on these N tokens.

    nats_KN    −ln p_k(x_n), inf for probability 0.
    tolerance  it ends where a step gains less, in nats per token.
    most       steps at most.
    """
    p_KN = np.exp(-np.asarray(nats_KN, np.float64))
    weights_K = np.full(len(p_KN), 1 / len(p_KN))
    total_N = weights_K @ p_KN
    nats = float(np.mean(_nats(total_N)))
    for step in range(1, most + 1):
        if len(p_KN) == 1:
            break
        weights_K = weights_K * (p_KN @ (1 / np.maximum(total_N, TINY)))
        weights_K /= weights_K.sum()
        total_N, before = weights_K @ p_KN, nats
        nats = float(np.mean(_nats(total_N)))
        if not before - nats > tolerance:
            return Weights(weights_K, nats, step)
    return Weights(weights_K, nats, most if len(p_KN) > 1 else 0)


def _nats(p_N: np.ndarray) -> np.ndarray:
    return -np.log(p_N, out=np.full(p_N.shape, -np.inf), where=p_N > 0)
