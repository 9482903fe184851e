"""Gated cells whose candidate does not read the state: CFN, minimalRNN.

Laurent & von Brecht 2017, "A recurrent neural network without chaos"
(`cfn`), packed θ, η, candidate, whose candidate has no bias:

    θ, η = σ(x·W_x + b + h·W_h)        h' = θ ⊙ tanh(h) + η ⊙ tanh(x·W_xn)

b_θ starts at `init.forget_bias` and b_η at its negative. Its claim: as good as an LSTM
on words, though without input its state always falls to 0: no chaos.

Chen 2017, "MinimalRNN: toward more interpretable and trainable recurrent neural
networks" (`minimal_rnn`):

    n = tanh(x·W_x + b)        u = σ(h·W_h + n·W_n + b_u)
    h' = u ⊙ h + (1 − u) ⊙ n

Its claim: it keeps up with gated cells on three matrices, where an LSTM has eight, and
its state stays where the inputs' code n is.

Both are factored. All that reads x alone is done for the whole sequence at once.
"""

import jax
import jax.numpy as jnp

from lm.cells.elman import ElmanState, tanh_slope
from lm.cells.forms import (
    WIDE,
    add_bias,
    affine,
    draw,
    draw_recurrent,
    factored,
    interpolated,
    sigmoid,
    zeros,
)
from lm.config import InitConfig
from lm.products import matmul
from lm.types import Cell


def cfn(hidden: int, init: InitConfig, bias: bool = True) -> Cell:
    """The chaos-free network."""

    def init_params(key, d_in):
        key_x, key_h = jax.random.split(key)
        params = {
            "w_x": draw(key_x, (d_in, 3 * hidden), init),
            "w_h": draw_recurrent(key_h, hidden, 2, init),
        }
        half = jnp.full(hidden, init.forget_bias, params["w_x"].dtype)
        return params | {"b": jnp.concatenate([half, -half])} if bias else params

    def project(params, xs):
        a, n = jnp.split(affine({"w_x": params["w_x"]}, xs), [2 * hidden], axis=-1)
        a = add_bias(a, params["b"]) if "b" in params else a
        return jnp.concatenate([a, jnp.tanh(n)], axis=-1)

    def activations(z_BG, r_BG):
        z_BG, n = jnp.split(z_BG, [2 * hidden], axis=-1)
        return *jnp.split(sigmoid(z_BG + r_BG), 2, axis=-1), n

    def pointwise(params, z_BG, r_BG, state):
        forget, let, n = activations(z_BG, r_BG)
        return ElmanState(h=forget * jnp.tanh(state.h) + let * n)

    def gates(params, z_BG, r_BG, state):
        forget, let, n = activations(z_BG, r_BG)
        return {"forget": forget, "input": let, "slope": tanh_slope(n)}

    return factored(
        "cfn",
        hidden,
        init=init_params,
        initial_state=zeros(ElmanState, 1, hidden),
        project=project,
        pointwise=pointwise,
        gates=gates,
        blocks=("forget", "input", "candidate"),
        retention="forget",
    )


def minimal_rnn(hidden: int, init: InitConfig, bias: bool = True) -> Cell:
    """MinimalRNN, its Φ one layer of tanh."""

    def init_params(key, d_in):
        key_x, key_n, key_h = jax.random.split(key, 3)
        params = {
            "w_x": draw(key_x, (d_in, hidden), init),
            "w_n": draw(key_n, (hidden, hidden), init),
            "w_h": draw_recurrent(key_h, hidden, 1, init),
        }
        zero = jnp.zeros(hidden)
        return params | {"b": zero, "b_u": zero} if bias else params

    def project(params, xs):
        n = jnp.tanh(affine(params, xs))
        a = matmul(n, params["w_n"])
        a = add_bias(a, params["b_u"]) if "b_u" in params else a
        return jnp.concatenate([a, n], axis=-1)

    def activations(z_BG, r_BH):
        a, n = jnp.split(z_BG, 2, axis=-1)
        return sigmoid(a + r_BH), n

    def pointwise(params, z_BG, r_BH, state):
        update, n = activations(z_BG, r_BH)
        return ElmanState(h=interpolated(update, state.h, n))

    def gates(params, z_BG, r_BH, state):
        update, n = activations(z_BG, r_BH)
        return {"update": update, "slope": tanh_slope(n)}

    return factored(
        "minimal_rnn",
        hidden,
        init=init_params,
        initial_state=zeros(ElmanState, 1, hidden),
        project=project,
        pointwise=pointwise,
        recompute=hidden >= WIDE,
        gates=gates,
        retention="update",
    )
