"""Lyapunov exponents of a recurrent system driven by its inputs.

    λ_i = lim_{T→∞} (1/T)·ln σ_i(J_T ··· J_2·J_1),   J_t = ∂s_t/∂s_{t−1},

the mean growth, in nats a step, of the N directions in which a small disturbance of
the state grows or dies. λ_1 > 0: disturbances, and gradients on their way back,
explode on average (chaos); λ_1 < 0: they vanish, by half every ln 2/|λ_1| steps; study
2 of `experiments.gradients` asks where it crosses 0. Benettin et al. 1980 and Shimada &
Nagashima 1979; of RNNs: Engelken, Wolf & Abbott 2023; Vogt et al. 2022.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import lax

from lm.gradflow.transitions import Transition, on_vectors, pushforward, vectors
from lm.types import Array, State


class Lyapunov(NamedTuple):
    """The K largest exponents, in nats a step, falling.

    exponents_K       means over steps and lanes.
    standard_error_K  of those means, from batch means (Meketon & Schmeiser 1984).
    running_TK        the mean over lanes and the steps so far, to see it settle; T
                      counts the steps after the warm-up.
    """

    exponents_K: Array
    standard_error_K: Array
    running_TK: Array


def lyapunov_spectrum(
    transition: Transition,
    state: State,
    xs: Array,
    warmup: int,
    exponents: int | None = None,
    segments: int = 10,
) -> Lyapunov:
    """The `exponents` largest exponents (None: all N) along xs (T, B, …).

    A frame Q of that many directions is carried along: J_t·Q_{t−1} = Q_t·R_t, and
    λ_i is the mean of ln|R_t,ii|. The first `warmup` steps let state and frame forget
    where they started and are not counted. B lanes are B trajectories, and each is cut
    into `segments` runs of steps whose means are taken for independent; so runs should
    be longer than the memory of the system.

    Cost: one forward and K forward-mode passes through the sequence and a QR of an N×K
    matrix a step and lane; memory: T·B·K numbers and a frame of N×K a lane.
    """
    if not 0 <= warmup < len(xs):
        raise ValueError(
            f"warmup is {warmup} but the sequence has {len(xs)} steps: "
            "it must leave at least one"
        )
    logs_TBK = stretches(transition, state, xs, exponents)[warmup:]
    steps, lanes, k = logs_TBK.shape
    pieces = max(1, min(segments, steps))
    cut = logs_TBK[steps % pieces :].reshape(pieces, steps // pieces, lanes, k)
    means = cut.mean(1).reshape(pieces * lanes, k)
    error_K = jnp.std(means, axis=0, ddof=1) / jnp.sqrt(len(means))
    counted_T1 = jnp.arange(1, steps + 1)[:, None].astype(logs_TBK.dtype)
    running_TK = jnp.cumsum(logs_TBK.mean(1), axis=0) / counted_T1
    return Lyapunov(logs_TBK.mean((0, 1)), error_K, running_TK)


def stretches(
    transition: Transition, state: State, xs: Array, exponents: int | None = None
) -> Array:
    """ln|R_t,ii| of every step, lane and direction: (T, B, K); −inf where one dies."""
    step = on_vectors(transition, state)
    s_BN = vectors(state).flatten(state)
    lanes, n = s_BN.shape
    frame_NK = jnp.eye(n, exponents or n, dtype=s_BN.dtype)

    def lane(s_N, q_NK, x):
        after, push = pushforward(lambda s: step(s, x), s_N)
        q, r = jnp.linalg.qr(jax.vmap(push, 1, 1)(q_NK))
        return after, q, jnp.log(jnp.abs(jnp.diagonal(r)))

    def body(carry, x):
        s, q, logs = jax.vmap(lane)(carry[0], carry[1], x)
        return (s, q), logs

    frames = jnp.broadcast_to(frame_NK, (lanes, *frame_NK.shape))
    return lax.scan(body, (s_BN, frames), xs)[1]
