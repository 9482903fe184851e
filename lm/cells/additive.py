"""Gated cells with one recurrent product: LiGRU, RAN, STAR, ATR.

`ligru`, Ravanelli, Brakel, Omologo & Bengio 2018, "Light gated recurrent units for
speech recognition", packed z, n, without its batch normalization, so with biases:

    z = σ(x·W_xz + b_z + h·W_hz)        n = max(x·W_xn + b_n + h·W_hn, 0)
    h' = z ⊙ h + (1 − z) ⊙ n

Its claim: a GRU for speech without its reset gate. Nothing bounds h here.

`ran`, Lee, Levy & Zettlemoyer 2017, "Recurrent additive networks", packed i, f, g, the
last without a bias; b_f starts at `init.forget_bias`:

    i, f = σ(x·W_x + b + h·W_h)        c' = i ⊙ (x·W_xg) + f ⊙ c        h' = tanh(c')

Its claim: words are weighted and summed, nothing else, and that is enough; others found
its published perplexity hard to reach.

`star`, Turkoglu, D'Aronco, Wegner & Schindler 2021, "Gating revisited: deep multi-layer
RNNs that can be trained", packed k, n:

    k = σ(x·W_xk + b_k + h·W_h)        n = tanh(x·W_xn + b_n)
    h' = tanh((1 − k) ⊙ h + k ⊙ n)

Its claim: gradients keep their size up through many layers, with one recurrent matrix
where an LSTM has four.

`atr`, Zhang, Xiong, Su, Lin & Zhang 2018, "Simplifying neural machine translation with
addition-subtraction twin-gated recurrent networks":

    p = x·W_x + b        q = h·W_h        i = σ(p + q)        f = σ(p − q)
    h' = i ⊙ p + f ⊙ h

Its claim: two products a step in all, faster than a GRU and no worse at translation.
All are factored.
"""

import jax
import jax.numpy as jnp

from lm.cells.elman import relu_slope
from lm.cells.forms import (
    WIDE,
    add_bias,
    affine,
    draw,
    draw_gates,
    draw_recurrent,
    factored,
    in_halves,
    sigmoid,
    zeros,
)
from lm.cells.gru import GRUState
from lm.cells.lstm import LSTMState
from lm.config import InitConfig
from lm.types import Cell


def ligru(hidden: int, init: InitConfig, bias: bool = True) -> Cell:
    """The light GRU."""

    def of_step(z_BG, r_BG):
        keep, n = jnp.split(z_BG + r_BG, 2, axis=-1)
        return sigmoid(keep), jax.nn.relu(n)

    def pointwise(params, z_BG, r_BG, state):
        keep, n = of_step(z_BG, r_BG)
        return GRUState(h=keep * state.h + (1 - keep) * n)

    def gates(params, z_BG, r_BG, state):
        keep, n = of_step(z_BG, r_BG)
        return {"update": keep, "slope": relu_slope(n)}

    return factored(
        "ligru",
        hidden,
        init=lambda key, d_in: draw_gates(key, d_in, hidden, 2, init, bias),
        initial_state=zeros(GRUState, 1, hidden),
        pointwise=pointwise,
        gates=gates,
        blocks=("update", "candidate"),
        retention="update",
    )


def ran(hidden: int, init: InitConfig, bias: bool = True) -> Cell:
    """The recurrent additive network, its output tanh(c)."""

    def init_params(key, d_in):
        key_x, key_h = jax.random.split(key)
        params = {
            "w_x": draw(key_x, (d_in, 3 * hidden), init),
            "w_h": draw_recurrent(key_h, hidden, 2, init),
        }
        b = jnp.zeros(2 * hidden).at[hidden:].set(init.forget_bias)
        return params | {"b": b} if bias else params

    def project(params, xs):
        zs = affine({"w_x": params["w_x"]}, xs)
        if "b" not in params:
            return zs
        b = params["b"]
        return add_bias(zs, jnp.concatenate([b, jnp.zeros(hidden, b.dtype)]))

    def of_step(z_BG, r_BG):
        z_BG, g = jnp.split(z_BG, [2 * hidden], axis=-1)
        return *jnp.split(sigmoid(z_BG + r_BG), 2, axis=-1), g

    def pointwise(params, z_BG, r_BG, state):
        i, f, g = of_step(z_BG, r_BG)
        c = i * g + f * state.c
        return LSTMState(h=jnp.tanh(c), c=c)

    def gates(params, z_BG, r_BG, state):
        i, f, _ = of_step(z_BG, r_BG)
        return {"input": i, "forget": f}

    return factored(
        "ran",
        hidden,
        init=init_params,
        initial_state=zeros(LSTMState, 2, hidden),
        project=project,
        pointwise=pointwise,
        gates=gates,
        blocks=("input", "forget", "candidate"),
        retention="forget",
    )


def star(hidden: int, init: InitConfig, bias: bool = True) -> Cell:
    """The stackable recurrent cell."""

    def init_params(key, d_in):
        params = draw_gates(key, d_in, hidden, 2, init, bias)
        return params | {"w_h": params["w_h"][:, :hidden]}

    def project(params, xs):
        k, n = jnp.split(affine(params, xs), 2, axis=-1)
        return jnp.concatenate([k, jnp.tanh(n)], axis=-1)

    def of_step(z_BG, r_BH):
        k, n = jnp.split(z_BG, 2, axis=-1)
        return sigmoid(k + r_BH), n

    def toward(k, n, h):
        return jnp.tanh((1 - k) * h + k * n)

    def pointwise(params, z_BG, r_BH, state):
        k, n = of_step(z_BG, r_BH)
        return GRUState(h=in_halves(toward, k, n, state.h))

    def gates(params, z_BG, r_BH, state):
        k, n = of_step(z_BG, r_BH)
        return {"update": k, "keep": 1 - k, "slope": 1 - n * n}

    return factored(
        "star",
        hidden,
        init=init_params,
        initial_state=zeros(GRUState, 1, hidden),
        project=project,
        pointwise=pointwise,
        recompute=hidden >= WIDE,
        gates=gates,
        blocks=("update", "candidate"),
        retention="keep",
    )


def atr(hidden: int, init: InitConfig, bias: bool = True) -> Cell:
    """The twin-gated cell."""

    def twins(p, q):
        return sigmoid(p + q), sigmoid(p - q)

    def pointwise(params, p_BH, q_BH, state):
        i, f = twins(p_BH, q_BH)
        return GRUState(h=i * p_BH + f * state.h)

    def gates(params, p_BH, q_BH, state):
        i, f = twins(p_BH, q_BH)
        return {"input": i, "forget": f}

    return factored(
        "atr",
        hidden,
        init=lambda key, d_in: draw_gates(key, d_in, hidden, 1, init, bias),
        initial_state=zeros(GRUState, 1, hidden),
        pointwise=pointwise,
        recompute=True,
        gates=gates,
        blocks=("candidate",),
        retention="forget",
    )
