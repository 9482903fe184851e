"""Long short-term memory, with a forget gate and no peepholes.

    i = σ(x·W_xi + h·W_hi + b_i)        f = σ(x·W_xf + h·W_hf + b_f)
    g = tanh(x·W_xg + h·W_hg + b_g)     o = σ(x·W_xo + h·W_ho + b_o)
    c' = f ⊙ c + i ⊙ g                  h' = o ⊙ tanh(c')

Hochreiter & Schmidhuber 1997, with the forget gate of Gers 2000; Zaremba 2014,
equations 4 to 9. Gates are packed i, f, g, o. Flax's carry is (c, h), torch's
(h, c): here fields are read by name.
"""

from typing import NamedTuple

import jax.numpy as jnp

from lm.cells.forms import draw_gates, factored, squashed, zeros
from lm.config import InitConfig
from lm.types import Array, Cell


class LSTMState(NamedTuple):
    """h (B, H), what the layer above sees; c (B, H), the memory."""

    h: Array
    c: Array


def activations(x_BG, h_BG):
    """i, f, g, o of x_BG = x·W_x + b and h_BG = h·W_h, both (B, 4H)."""
    return squashed(x_BG + h_BG, ("sigmoid", "sigmoid", "tanh", "sigmoid"))


def pointwise(params, x_BG, h_BG, state):
    """The state after a step."""
    i, f, g, o = activations(x_BG, h_BG)
    c = f * state.c + i * g
    return LSTMState(h=o * jnp.tanh(c), c=c)


def named(i, f, g, o):
    """The three gates, and tanh′ at the candidate g."""
    return {"input": i, "forget": f, "output": o, "slope": 1 - g * g}


def forget_biased(params, hidden: int, init: InitConfig):
    """The parameters with b_f, the second block of b, at `init.forget_bias`."""
    if "b" not in params:
        return params
    b = params["b"].at[hidden : 2 * hidden].set(init.forget_bias)
    return params | {"b": b}


def lstm(hidden: int, init: InitConfig, bias: bool = True) -> Cell:
    """The equations above. `init.forget_bias` is where b_f starts."""

    def init_params(key, d_in):
        params = draw_gates(key, d_in, hidden, 4, init, bias)
        return forget_biased(params, hidden, init)

    return factored(
        "lstm",
        hidden,
        init=init_params,
        initial_state=zeros(LSTMState, 2, hidden),
        pointwise=pointwise,
        recompute=True,
        gates=lambda params, x, h, state: named(*activations(x, h)),
        blocks=("input", "forget", "candidate", "output"),
        retention="forget",
    )
