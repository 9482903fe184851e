"""Gated recurrent units, in the two forms that are often taken for one another.

Reset after the product (`gru`; cuDNN, torch, Flax), gates packed r, z, n:

    r = σ(x·W_xr + h·W_hr + b_r)        z = σ(x·W_xz + h·W_hz + b_z)
    n = tanh(x·W_xn + b_n + r ⊙ (h·W_hn + b_hn))
    h' = (1 − z) ⊙ n + z ⊙ h

Reset before the product (`gru_reset_before`; Cho 2014, equations 5 to 8; the
tutorial's Part 4), where the candidate needs a product of its own:

    n = tanh(x·W_xn + b_n + (r ⊙ h)·W_hn)

z keeps the old state here, as in Cho 2014, torch and the tutorial; in haiku it
means the opposite.
"""

from typing import NamedTuple

import jax.numpy as jnp

from lm.cells.forms import (
    WIDE,
    add_bias,
    draw_gates,
    factored,
    general,
    interpolated,
    sigmoid,
    squashed,
    zeros,
)
from lm.config import InitConfig
from lm.types import Array, Cell


class GRUState(NamedTuple):
    """h (B, H)."""

    h: Array


BLOCKS = ("reset", "update", "candidate")


def activations(params, x_BG, h_BG):
    """r, z, n, reset after the product: of x·W_x + b and h·W_h, both (B, 3H)."""
    H = x_BG.shape[-1] // 3
    x_rz, x_n = jnp.split(x_BG, [2 * H], axis=-1)
    h_rz, h_n = jnp.split(h_BG, [2 * H], axis=-1)
    reset, keep = squashed(x_rz + h_rz, ("sigmoid", "sigmoid"))
    if "b_hn" in params:
        h_n = add_bias(h_n, params["b_hn"])
    return reset, keep, jnp.tanh(x_n + reset * h_n)


def pointwise(params, x_BG, h_BG, state):
    """The state after a step."""
    _, keep, n = activations(params, x_BG, h_BG)
    return GRUState(h=interpolated(keep, state.h, n))


def named(reset, keep, n):
    """Both gates, and tanh′ at the candidate n."""
    return {"reset": reset, "update": keep, "slope": 1 - n * n}


def gru(hidden: int, init: InitConfig, bias: bool = True) -> Cell:
    """Reset after the product."""

    def init_params(key, d_in):
        params = draw_gates(key, d_in, hidden, 3, init, bias)
        return params | {"b_hn": jnp.zeros(hidden)} if bias else params

    return factored(
        "gru",
        hidden,
        init=init_params,
        initial_state=zeros(GRUState, 1, hidden),
        pointwise=pointwise,
        recompute=hidden >= WIDE,
        gates=lambda params, x, h, state: named(*activations(params, x, h)),
        blocks=BLOCKS,
        retention="update",
    )


def gru_reset_before(
    hidden: int,
    init: InitConfig,
    bias: bool = True,
    *,
    σ=sigmoid,
    name="gru_reset_before",
) -> Cell:
    """Reset before the product. σ is the gates' function."""

    def of_step(params, state, x_BG):
        w_rz, w_n = jnp.split(params["w_h"], [2 * hidden], axis=1)
        x_rz, x_n = jnp.split(x_BG, [2 * hidden], axis=-1)
        reset, keep = jnp.split(σ(x_rz + state.h @ w_rz), 2, axis=-1)
        return reset, keep, jnp.tanh(x_n + (reset * state.h) @ w_n)

    def step(params, state, x_BG):
        _, keep, n = of_step(params, state, x_BG)
        return GRUState(h=(1 - keep) * n + keep * state.h)

    return general(
        name,
        hidden,
        init=lambda key, d_in: draw_gates(key, d_in, hidden, 3, init, bias),
        initial_state=zeros(GRUState, 1, hidden),
        step=step,
        gates=lambda params, state, x: named(*of_step(params, state, x)),
        blocks=BLOCKS,
        retention="update",
    )


def hard_sigmoid(x: Array) -> Array:
    """clip(0.2·x + 0.5, 0, 1), Theano's piecewise-linear stand-in for σ."""
    return jnp.clip(0.2 * x + 0.5, 0, 1)


def gru_tutorial(hidden: int, init: InitConfig, bias: bool = True) -> Cell:
    """Reset before the product with hard-sigmoid gates: the tutorial's Part 4."""
    return gru_reset_before(hidden, init, bias, σ=hard_sigmoid, name="gru_tutorial")
