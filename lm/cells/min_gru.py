"""minGRU: a GRU whose gates do not read the state, so that it is linear in it.

    z_t = σ(x_t·W_z + b_z)        h̃_t = x_t·W_h + b_h
    h_t = (1 − z_t) ⊙ h_{t−1} + z_t ⊙ h̃_t

Feng, Tung, Ahmed, Bengio & Hajimirsadeghi 2024, "Were RNNs all we needed?", section
3.1. Here z lets the *new* in (in `gru` it keeps the old); there is no tanh and no reset
gate. The paper's log-space form, with h̃ replaced by a positive g(h̃), is another cell.
Linear: a_t = 1 − z_t, b_t = z_t ⊙ h̃_t, so all steps can be taken at once. Its claim:
on short language modelling and selective copying such a cell keeps up with others.
"""

from typing import NamedTuple

import jax.numpy as jnp

from lm.cells.forms import affine, draw, linear, sigmoid, zeros
from lm.config import InitConfig
from lm.types import Array, Cell


class MinGRUState(NamedTuple):
    """h (B, H)."""

    h: Array


def coefficients(params, zs_TBG):
    """(1 − z, z ⊙ h̃) of every step."""
    z, candidate = jnp.split(zs_TBG, 2, axis=-1)
    z = sigmoid(z)
    return MinGRUState(1 - z), MinGRUState(z * candidate)


def min_gru(hidden: int, init: InitConfig, bias: bool = True) -> Cell:
    """The equations above; gates packed z, h̃."""

    def init_params(key, d_in):
        params = {"w_x": draw(key, (d_in, 2 * hidden), init)}
        return params | {"b": jnp.zeros(2 * hidden)} if bias else params

    def gates(params, state, zs):
        update = sigmoid(jnp.split(zs, 2, axis=-1)[0])
        return {"update": update, "keep": 1 - update}

    return linear(
        "min_gru",
        hidden,
        init=init_params,
        initial_state=zeros(MinGRUState, 1, hidden),
        project=affine,
        coefficients=coefficients,
        gates=gates,
        blocks=("update", "candidate"),
        retention="keep",
    )
