"""The structurally constrained recurrent network: a few units that only ever leak.

Mikolov, Joulin, Chopra, Mathieu & Ranzato 2014, "Learning longer memory in recurrent
neural networks", with h of m units and s of p = H − m:

    s' = (1 − α)·x·B + α·s        h' = σ(s'·P + x·A + h·R)

What goes up is [h', s'], so that the layer above plays the part of the paper's U and V.
α = .95 is fixed and there are no biases, as in the paper; p is two sevenths of H (the
paper's 40 beside 100). The authors' later code learns a full matrix in place of α and
feeds h with the old s: another cell. w_x is packed A, B; w_h is R above P.

Factored: s'·P = (1 − α)·x·B·P + α·s·P, whose first part needs no state. Its claim: at
equal size as good on words as an LSTM, because s remembers the topic for 1/(1 − α)
steps.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp

from lm.cells.forms import affine, draw, factored, sigmoid
from lm.config import InitConfig
from lm.types import Array, Cell


class SCRNState(NamedTuple):
    """h (B, m), the fast units; s (B, p), the slow ones."""

    h: Array
    s: Array


def scrn(
    hidden: int,
    init: InitConfig,
    bias: bool = True,
    *,
    decay: float = 0.95,
    share: float = 2 / 7,
) -> Cell:
    """The equations above; α = decay, p = share·H, rounded. `bias` changes nothing."""
    slow = round(share * hidden)
    fast = hidden - slow

    def init_params(key, d_in):
        key_x, key_h = jax.random.split(key)
        w_h = init.gain * draw(key_h, (hidden, fast), init)
        return {"w_x": draw(key_x, (d_in, hidden), init), "w_h": w_h}

    def project(params, xs):
        x_A, x_B = jnp.split(affine(params, xs), [fast], axis=-1)
        new = (1 - decay) * x_B
        return jnp.concatenate([x_A + new @ params["w_h"][fast:], new], axis=-1)

    def w_HG(params):
        fading, kept = jnp.split(params["w_h"], [fast])
        return jnp.concatenate([fading, decay * kept])

    def pointwise(params, z_BG, r_BG, state):
        z_h, z_s = jnp.split(z_BG, [fast], axis=-1)
        return SCRNState(h=sigmoid(z_h + r_BG), s=z_s + decay * state.s)

    def gates(params, z_BG, r_BG, state):
        h, s = pointwise(params, z_BG, r_BG, state)
        slope = jnp.concatenate([h * (1 - h), jnp.ones_like(s)], axis=-1)
        keep = jnp.concatenate([0 * h, jnp.full_like(s, decay)], axis=-1)
        return {"slope": slope, "keep": keep}

    def initial_state(params, batch):
        dtype = params["w_x"].dtype
        return SCRNState(*(jnp.zeros((batch, n), dtype) for n in (fast, slow)))

    return factored(
        "scrn",
        hidden,
        init=init_params,
        initial_state=initial_state,
        project=project,
        w_HG=w_HG,
        output=lambda state: jnp.concatenate([state.h, state.s], axis=-1),
        pointwise=pointwise,
        gates=gates,
        retention="keep",
    )
