"""Near kin of the LSTM: an input gate with a cap, a forget gate alone, a projection.

`lstm_capped`, the default of the language models of Melis, Dyer & Blunsom 2018, "On the
state of the art of evaluation in neural language models", with i, f, g, o as in `lstm`:

    c' = f ⊙ c + min(1 − f, i) ⊙ g        h' = o ⊙ tanh(c')

so that |c| stays below 1.

`janet`, van der Westhuizen & Lasenby 2018, "The unreasonable effectiveness of the
forget gate", packed forget, candidate, with h the memory itself, and β = 1:

    s = x·W_xf + b_f + h·W_hf        g = tanh(x·W_xg + b_g + h·W_hg)
    h' = σ(s) ⊙ h + (1 − σ(s − β)) ⊙ g

Its claim: with half the parameters better than an LSTM, where b_f starts as in
`janet_chrono` (`lm.cells.chrono`).

`lstm_projected`, Sak, Senior & Beaufays 2014, "Long short-term memory based recurrent
neural network architectures for large scale acoustic modeling", without peepholes and
without its second, non-recurrent projection:

    m = o ⊙ tanh(c')        h' = m·W_p

with c of factor·H units behind an h of H. Its claim: more memory at equal parameters.
General, since a product follows the gates; the other two are factored.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp

from lm.cells.elman import ElmanState, tanh_slope
from lm.cells.forms import draw, draw_gates, factored, general, sigmoid, zeros
from lm.cells.lstm import LSTMState, activations, forget_biased, named
from lm.config import InitConfig
from lm.types import Array, Cell


def lstm_capped(hidden: int, init: InitConfig, bias: bool = True) -> Cell:
    """min(1 − f, i) lets the candidate in."""

    def init_params(key, d_in):
        params = draw_gates(key, d_in, hidden, 4, init, bias)
        return forget_biased(params, hidden, init)

    def of_step(z_BG, r_BG):
        i, f, g, o = activations(z_BG, r_BG)
        return jnp.minimum(1 - f, i), f, g, o

    def pointwise(params, z_BG, r_BG, state):
        i, f, g, o = of_step(z_BG, r_BG)
        c = f * state.c + i * g
        return LSTMState(h=o * jnp.tanh(c), c=c)

    return factored(
        "lstm_capped",
        hidden,
        init=init_params,
        initial_state=zeros(LSTMState, 2, hidden),
        pointwise=pointwise,
        recompute=True,
        gates=lambda params, z, r, state: named(*of_step(z, r)),
        blocks=("input", "forget", "candidate", "output"),
        retention="forget",
    )


def janet(
    hidden: int,
    init: InitConfig,
    bias: bool = True,
    *,
    beta: float = 1.0,
    name: str = "janet",
) -> Cell:
    """The forget gate alone. b_f starts at `init.forget_bias`."""

    def init_params(key, d_in):
        params = draw_gates(key, d_in, hidden, 2, init, bias)
        if bias:
            params["b"] = params["b"].at[:hidden].set(init.forget_bias)
        return params

    def of_step(z_BG, r_BG):
        s, g = jnp.split(z_BG + r_BG, 2, axis=-1)
        return sigmoid(s), 1 - sigmoid(s - beta), jnp.tanh(g)

    def pointwise(params, z_BG, r_BG, state):
        forget, let, g = of_step(z_BG, r_BG)
        return ElmanState(h=forget * state.h + let * g)

    def gates(params, z_BG, r_BG, state):
        forget, let, g = of_step(z_BG, r_BG)
        return {"forget": forget, "input": let, "slope": tanh_slope(g)}

    return factored(
        name,
        hidden,
        init=init_params,
        initial_state=zeros(ElmanState, 1, hidden),
        pointwise=pointwise,
        gates=gates,
        blocks=("forget", "candidate"),
        retention="forget",
    )


class ProjectedState(NamedTuple):
    """h (B, H), what the layer above sees; c (B, factor·H), the memory."""

    h: Array
    c: Array


def lstm_projected(
    hidden: int, init: InitConfig, bias: bool = True, *, factor: int = 4
) -> Cell:
    """The memory is `factor` times as wide as h. Gates are as wide as the memory."""
    wide = factor * hidden

    def init_params(key, d_in):
        key_x, key_h, key_p = jax.random.split(key, 3)
        params = {
            "w_x": draw(key_x, (d_in, 4 * wide), init),
            "w_h": init.gain * draw(key_h, (hidden, 4 * wide), init),
            "w_p": init.gain * draw(key_p, (wide, hidden), init),
        }
        params |= {"b": jnp.zeros(4 * wide)} if bias else {}
        return forget_biased(params, wide, init)

    def initial_state(params, batch):
        dtype = params["w_x"].dtype
        return ProjectedState(*(jnp.zeros((batch, n), dtype) for n in (hidden, wide)))

    def step(params, state, z_BG):
        i, f, g, o = activations(z_BG, state.h @ params["w_h"])
        c = f * state.c + i * g
        return ProjectedState(h=(o * jnp.tanh(c)) @ params["w_p"], c=c)

    return general(
        "lstm_projected",
        hidden,
        init=init_params,
        initial_state=initial_state,
        step=step,
        gates=lambda params, state, z: named(*activations(z, state.h @ params["w_h"])),
        retention="forget",
        recurrent=("w_h", "w_p"),
    )
