"""Cells that are oscillators, driven by the input: coRNN, UnICORNN.

Rusch & Mishra 2021, "Coupled oscillatory recurrent neural network (coRNN)", with their
y called h as every output here:

    z' = z + Δt·(tanh(x·W_x + b + h·W + z·𝒲) − γ·h − ε·z)        h' = h + Δt·z'

The paper allows the old z or the new one in ε·z; this is the old, as in the authors'
code. w_h is packed W, 𝒲.

Rusch & Mishra 2021, "UnICORNN: a recurrent model for learning very long time
dependencies", where no unit sees another and each has a pace of its own:

    z' = z − Δt·σ(c) ⊙ (tanh(x·W_x + b + w ⊙ h) + α·h)        h' = h + Δt·σ(c) ⊙ z'

w ~ gain·U(0, 1) and c ~ U(−.1, .1), the authors'. Both general; UnICORNN with no matrix
in the loop. Δt, γ, ε, α are settings of each run in the authors' code; those here are
for windows of tens to hundreds of steps. Their claim: gradients whose norms are bounded
from both sides, whatever the length.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp

from lm.cells.elman import tanh_slope
from lm.cells.forms import draw, draw_gates, general, row, sigmoid, zeros
from lm.config import InitConfig
from lm.types import Array, Cell


class OscillatorState(NamedTuple):
    """h (B, H), where the oscillators are; z (B, H), how fast they move."""

    h: Array
    z: Array


def cornn(
    hidden: int,
    init: InitConfig,
    bias: bool = True,
    *,
    dt: float = 0.1,
    gamma: float = 1.0,
    epsilon: float = 1.0,
) -> Cell:
    """The first equations above."""

    def init_params(key, d_in):
        params = draw_gates(key, d_in, hidden, 2, init, bias)
        one = {"w_x": params["w_x"][:, :hidden]}
        one |= {"b": params["b"][:hidden]} if bias else {}
        return params | one

    def force(params, state, x_BH):
        w_h, w_z = jnp.split(params["w_h"], 2, axis=1)
        return jnp.tanh(x_BH + state.h @ w_h + state.z @ w_z)

    def step(params, state, x_BH):
        pull = force(params, state, x_BH) - gamma * state.h - epsilon * state.z
        z = state.z + dt * pull
        return OscillatorState(h=state.h + dt * z, z=z)

    return general(
        "cornn",
        hidden,
        init=init_params,
        initial_state=zeros(OscillatorState, 2, hidden),
        step=step,
        gates=lambda params, state, x: {"slope": tanh_slope(force(params, state, x))},
        blocks=("candidate",),
    )


def unicornn(
    hidden: int,
    init: InitConfig,
    bias: bool = True,
    *,
    dt: float = 0.1,
    alpha: float = 1.0,
) -> Cell:
    """The second equations above."""

    def init_params(key, d_in):
        key_x, key_w, key_c = jax.random.split(key, 3)
        params = {
            "w_x": draw(key_x, (d_in, hidden), init),
            "w": init.gain * jax.random.uniform(key_w, (hidden,)),
            "c": jax.random.uniform(key_c, (hidden,), minval=-0.1, maxval=0.1),
        }
        return params | {"b": jnp.zeros(hidden)} if bias else params

    def force(params, state, x_BH):
        return jnp.tanh(x_BH + row(params["w"]) * state.h)

    def step(params, state, x_BH):
        pace = dt * sigmoid(row(params["c"]))
        z = state.z - pace * (force(params, state, x_BH) + alpha * state.h)
        return OscillatorState(h=state.h + pace * z, z=z)

    return general(
        "unicornn",
        hidden,
        init=init_params,
        initial_state=zeros(OscillatorState, 2, hidden),
        step=step,
        gates=lambda params, state, x: {"slope": tanh_slope(force(params, state, x))},
        blocks=("candidate",),
        recurrent=(),
    )
