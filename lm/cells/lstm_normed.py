"""Layer normalization in an LSTM: three cells that go by one name.

LN(a) = (a − mean a) / √(var a + 10⁻⁵), over the last axis; packed i, f, g, o.

Ba, Kiros & Hinton 2016, "Layer normalization", as haste has it (`layer_norm_lstm`):

    i, f, g, o of γ_x ⊙ LN(x·W_x) + γ_h ⊙ LN(h·W_h) + b, each LN over all 4·H at once
    c' = f ⊙ c + i ⊙ g                    h' = o ⊙ tanh(γ_c ⊙ LN(c') + b_c)

so that what is carried is c' itself. TensorFlow's LayerNormBasicLSTMCell
(`layer_norm_lstm_tf`) normalizes gate by gate, and carries the normalized memory:

    i, f, g, o of γ ⊙ LN(x·W_x + h·W_h) + b, each LN over the H of one gate
    c' = γ_c ⊙ LN(f ⊙ c + i ⊙ g) + b_c    h' = o ⊙ tanh(c')

and lamb, the code of Melis et al. 2020, normalizes the memory on its way out alone
(`layer_norm_lstm_out`):

    i, f, g, o of x·W_x + h·W_h + b
    c' = f ⊙ c + i ⊙ g                    h' = o ⊙ tanh(γ_c ⊙ LN(c') + b_c)

In the second the memory is scaled anew at every step. Gains start at 1, biases at 0,
b_f at `init.forget_bias`. Factored. The claim: fewer updates to a given loss, above all
over long sequences and in small batches.
"""

import jax.numpy as jnp
from jax import lax

from lm.cells.forms import affine, draw_gates, factored, row, zeros
from lm.cells.lstm import LSTMState, activations, forget_biased, named
from lm.config import InitConfig
from lm.types import Array, Cell


def normed(a: Array) -> Array:
    """LN(a), before any gain."""
    a = a - jnp.mean(a, axis=-1, keepdims=True)
    return a * lax.rsqrt(jnp.mean(a * a, axis=-1, keepdims=True) + 1e-5)


def scaled(params, gain: str, b: str, a_BH: Array) -> Array:
    """γ ⊙ LN(a) + b, the bias where there is one."""
    a_BH = row(params[gain]) * normed(a_BH)
    return a_BH + row(params[b]) if b in params else a_BH


def draw_normed(key, d_in, hidden, gains: tuple[str, ...], init, bias):
    """An LSTM's parameters, 4·H gains by name, and γ_c, b_c."""
    params = draw_gates(key, d_in, hidden, 4, init, bias)
    params |= {name: jnp.ones(4 * hidden) for name in gains}
    params |= {"gain_c": jnp.ones(hidden)}
    params |= {"b_c": jnp.zeros(hidden)} if bias else {}
    return forget_biased(params, hidden, init)


def layer_norm_lstm(hidden: int, init: InitConfig, bias: bool = True) -> Cell:
    """The first cell above."""

    def project(params, xs):
        zs = normed(affine({"w_x": params["w_x"]}, xs))
        return zs * params["gain_x"].reshape((1,) * (zs.ndim - 1) + (-1,))

    def of_step(params, z_BG, r_BG):
        return activations(z_BG, scaled(params, "gain_h", "b", r_BG))

    def pointwise(params, z_BG, r_BG, state):
        i, f, g, o = of_step(params, z_BG, r_BG)
        c = f * state.c + i * g
        return LSTMState(h=o * jnp.tanh(scaled(params, "gain_c", "b_c", c)), c=c)

    return factored(
        "layer_norm_lstm",
        hidden,
        init=lambda key, d_in: draw_normed(
            key, d_in, hidden, ("gain_x", "gain_h"), init, bias
        ),
        initial_state=zeros(LSTMState, 2, hidden),
        project=project,
        pointwise=pointwise,
        recompute=True,
        gates=lambda params, z, r, state: named(*of_step(params, z, r)),
        blocks=("input", "forget", "candidate", "output"),
        retention="forget",
    )


def layer_norm_lstm_tf(hidden: int, init: InitConfig, bias: bool = True) -> Cell:
    """The second cell above."""

    def of_step(params, z_BG, r_BG):
        by_gate = (z_BG + r_BG).reshape(*z_BG.shape[:-1], 4, hidden)
        a_BG = row(params["gain"]) * normed(by_gate).reshape(z_BG.shape)
        b = row(params["b"]) if "b" in params else jnp.zeros_like(a_BG)
        return activations(a_BG, b)

    def pointwise(params, z_BG, r_BG, state):
        i, f, g, o = of_step(params, z_BG, r_BG)
        c = scaled(params, "gain_c", "b_c", f * state.c + i * g)
        return LSTMState(h=o * jnp.tanh(c), c=c)

    return factored(
        "layer_norm_lstm_tf",
        hidden,
        init=lambda key, d_in: draw_normed(key, d_in, hidden, ("gain",), init, bias),
        initial_state=zeros(LSTMState, 2, hidden),
        project=lambda params, xs: affine({"w_x": params["w_x"]}, xs),
        pointwise=pointwise,
        recompute=True,
        gates=lambda params, z, r, state: named(*of_step(params, z, r)),
        blocks=("input", "forget", "candidate", "output"),
        retention="forget",
    )


def layer_norm_lstm_out(hidden: int, init: InitConfig, bias: bool = True) -> Cell:
    """The third cell above."""

    def pointwise(params, z_BG, r_BG, state):
        i, f, g, o = activations(z_BG, r_BG)
        c = f * state.c + i * g
        return LSTMState(h=o * jnp.tanh(scaled(params, "gain_c", "b_c", c)), c=c)

    return factored(
        "layer_norm_lstm_out",
        hidden,
        init=lambda key, d_in: draw_normed(key, d_in, hidden, (), init, bias),
        initial_state=zeros(LSTMState, 2, hidden),
        pointwise=pointwise,
        recompute=True,
        gates=lambda params, z, r, state: named(*activations(z, r)),
        blocks=("input", "forget", "candidate", "output"),
        retention="forget",
    )
