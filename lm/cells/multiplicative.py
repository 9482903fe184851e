"""Cells whose input chooses the recurrent matrix: the multiplicative RNN and LSTM.

Sutskever, Martens & Hinton 2011, "Generating text with recurrent neural networks"
(`multiplicative_rnn`); an intermediate state m stands in for h:

    m = (x·W_xm) ⊙ (h·W_m)        h' = tanh(x·W_x + b + m·W_h)

so that h meets the matrix W_m·diag(x·W_xm)·W_h, one of its own for every x. Krause, Lu,
Murray & Renals 2016, "Multiplicative LSTM for sequence modelling"
(`multiplicative_lstm`), where one m serves the candidate and all gates:

    i, f, o = σ(x·W_x + b + m·W_h)        g = tanh(x·W_xg + b_g + m·W_hg)
    c' = f ⊙ c + i ⊙ g                    h' = o ⊙ tanh(c')

Not to be taken for mLSTM, the LSTM with a matrix memory. m is as wide as h here, and
has no bias. w_x is packed m first, then as in `tanh` and `lstm`. General form: two
products follow one another. Their claim: what a character does to the state can differ
freely from character to character, which helps most after a surprising one.
"""

import jax
import jax.numpy as jnp

from lm.cells.elman import ElmanState, tanh_slope
from lm.cells.forms import affine, draw, draw_recurrent, general, zeros
from lm.cells.lstm import LSTMState, activations, forget_biased, named
from lm.config import InitConfig
from lm.types import Cell


def draw_multiplicative(key, d_in, hidden, blocks, init, bias):
    """{w_x (D, (1 + blocks)·H), w_m (H, H), w_h (H, blocks·H), b (blocks·H,)}."""
    key_x, key_m, key_h = jax.random.split(key, 3)
    params = {
        "w_x": draw(key_x, (d_in, (1 + blocks) * hidden), init),
        "w_m": draw_recurrent(key_m, hidden, 1, init),
        "w_h": draw_recurrent(key_h, hidden, blocks, init),
    }
    return params | {"b": jnp.zeros(blocks * hidden)} if bias else params


def project(params, xs):
    """zs (…, (1 + blocks)·H): the bias is for all but m."""
    if "b" not in params:
        return affine(params, xs)
    of_m = jnp.zeros(len(params["w_m"]), params["b"].dtype)
    b = jnp.concatenate([of_m, params["b"]])
    return affine({"w_x": params["w_x"], "b": b}, xs)


def of_input(params, state, z_BG):
    """(z without m's part, m·W_h)."""
    x_m, z_BG = jnp.split(z_BG, [len(params["w_m"])], axis=-1)
    m = x_m * (state.h @ params["w_m"])
    return z_BG, m @ params["w_h"]


def multiplicative_rnn(hidden: int, init: InitConfig, bias: bool = True) -> Cell:
    """The first equation above."""

    def step(params, state, z_BG):
        z_BH, r_BH = of_input(params, state, z_BG)
        return ElmanState(h=jnp.tanh(z_BH + r_BH))

    return general(
        "multiplicative_rnn",
        hidden,
        init=lambda key, d_in: draw_multiplicative(key, d_in, hidden, 1, init, bias),
        initial_state=zeros(ElmanState, 1, hidden),
        project=project,
        step=step,
        gates=lambda params, state, z: {"slope": tanh_slope(step(params, state, z).h)},
        blocks=("factor", "candidate"),
        recurrent=("w_m", "w_h"),
    )


def multiplicative_lstm(hidden: int, init: InitConfig, bias: bool = True) -> Cell:
    """The LSTM of m. `init.forget_bias` is where b_f starts."""

    def init_params(key, d_in):
        params = draw_multiplicative(key, d_in, hidden, 4, init, bias)
        return forget_biased(params, hidden, init)

    def step(params, state, z_BG):
        i, f, g, o = activations(*of_input(params, state, z_BG))
        c = f * state.c + i * g
        return LSTMState(h=o * jnp.tanh(c), c=c)

    return general(
        "multiplicative_lstm",
        hidden,
        init=init_params,
        initial_state=zeros(LSTMState, 2, hidden),
        project=project,
        step=step,
        gates=lambda params, state, z: named(*activations(*of_input(params, state, z))),
        blocks=("factor", "input", "forget", "candidate", "output"),
        retention="forget",
        recurrent=("w_m", "w_h"),
    )
