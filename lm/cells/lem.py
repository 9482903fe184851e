"""LEM: two states with time steps that the network sets itself.

    Δ̄, Δ = Δt·σ(x·W_x + b + h·W_h)
    z' = (1 − Δ) ⊙ z + Δ ⊙ tanh(x·W_xz + b_z + h·W_hz)
    h' = (1 − Δ̄) ⊙ h + Δ̄ ⊙ tanh(x·W_xh + b_h + z'·W_z)

Rusch, Mishra, Erichson & Mahoney 2022, "Long expressive memory for sequence modeling",
with their y called h and Δt = 1. h takes in the *new* z. Some public code
has one Δ for both; here are two. Packed Δ̄, Δ, z, h in w_x, and Δ̄, Δ, z in w_h. The
authors draw everything from U(±1/√H). General form: the second product waits for z'.

Its claim: many time scales at once, with gradients bounded by the equation's own steps,
and an LSTM's number of parameters.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp

from lm.cells.elman import tanh_slope
from lm.cells.forms import (
    draw,
    draw_recurrent,
    general,
    interpolated,
    squashed,
    zeros,
)
from lm.config import InitConfig
from lm.types import Array, Cell


class LEMState(NamedTuple):
    """h (B, H), what the layer above sees; z (B, H), the memory behind it."""

    h: Array
    z: Array


def lem(hidden: int, init: InitConfig, bias: bool = True, *, dt: float = 1.0) -> Cell:
    """The equations above. dt (0, 1]: Δt."""

    def init_params(key, d_in):
        key_x, key_h, key_z = jax.random.split(key, 3)
        params = {
            "w_x": draw(key_x, (d_in, 4 * hidden), init),
            "w_h": draw_recurrent(key_h, hidden, 3, init),
            "w_z": draw_recurrent(key_z, hidden, 1, init),
        }
        return params | {"b": jnp.zeros(4 * hidden)} if bias else params

    def of_step(params, state, x_BG):
        x_BG, x_h = jnp.split(x_BG, [3 * hidden], axis=-1)
        a_BG = x_BG + state.h @ params["w_h"]
        σ_h, σ_z, n = squashed(a_BG, ("sigmoid", "sigmoid", "tanh"))
        Δ_h, Δ_z = dt * σ_h, dt * σ_z
        z = interpolated(Δ_z, n, state.z)
        return Δ_h, Δ_z, z, jnp.tanh(x_h + z @ params["w_z"])

    def step(params, state, x_BG):
        Δ_h, _, z, n = of_step(params, state, x_BG)
        return LEMState(h=interpolated(Δ_h, n, state.h), z=z)

    def gates(params, state, x_BG):
        Δ_h, Δ_z, _, n = of_step(params, state, x_BG)
        return {"keep": 1 - Δ_h, "keep_z": 1 - Δ_z, "slope": tanh_slope(n)}

    return general(
        "lem",
        hidden,
        init=init_params,
        initial_state=zeros(LEMState, 2, hidden),
        step=step,
        gates=gates,
        blocks=("step_h", "step_z", "candidate_z", "candidate"),
        retention="keep",
        recurrent=("w_h", "w_z"),
    )
