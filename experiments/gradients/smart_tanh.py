"""The network with which Pascanu, Mikolov & Bengio 2013 drew their success curve."""

import jax
import jax.numpy as jnp

from lm.cells.elman import ElmanState
from lm.cells.forms import draw_gates, general, zeros
from lm.config import InitConfig
from lm.types import Array, Cell

SMART = "smart tanh"
KEPT, RADIUS = 15, 0.95


def smart_tanh(hidden: int, init: InitConfig) -> Cell:
    """x_t = tanh(x_{t−1})·W_rec + z_t, of which h_t = tanh(x_t) is read: the network of
    Pascanu 2013, equation 2, in the state x in which equation 10 regularizes it.

    W_rec starts with `KEPT` weights out of each unit, scaled to the spectral radius
    `RADIUS` (the "smart tanh" of the paper's code).
    """

    def params(key: Array, d_in: int):
        key_gates, key_kept = jax.random.split(key)
        drawn = draw_gates(key_gates, d_in, hidden, 1, init, True)
        return drawn | {"w_h": sparse(key_kept, drawn["w_h"])}

    return general(
        SMART,
        hidden,
        init=params,
        initial_state=zeros(ElmanState, 1, hidden),
        step=lambda p, state, z: ElmanState(z + jnp.tanh(state.h) @ p["w_h"]),
        output=lambda state: jnp.tanh(state.h),
    )


def sparse(key: Array, w_HH: Array) -> Array:
    """`KEPT` entries of each row, scaled to the spectral radius `RADIUS`."""
    places_HH = jnp.broadcast_to(jnp.arange(len(w_HH)), w_HH.shape)
    places_HH = jax.random.permutation(key, places_HH, axis=1, independent=True)
    kept_HH = jnp.where(places_HH < KEPT, w_HH, 0)
    return kept_HH * RADIUS / jnp.max(jnp.abs(jnp.linalg.eigvals(kept_HH)))
