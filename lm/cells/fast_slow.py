"""The fast-slow LSTM: two LSTMs in turn at every step, a third between them once.

Mujika, Meier & Steger 2017, "Fast-slow recurrent neural networks", with two fast cells
(FS-LSTM-2) and plain LSTMs in place of the authors' layer-normalized ones:

    h₁, c₁ = LSTM_1(x; h, c)
    s', d' = LSTM_s(h₁; s, d)
    h', c' = LSTM_2(s'; h₁, c₁)

The fast state (h, c) goes through both fast cells between two inputs; the slow state
(s, d) changes once. All are H wide. General form. Its claim: better on characters than
its parts stacked, with memories both long and quick.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp

from lm.cells.forms import affine, draw_gates, general, zeros
from lm.cells.lstm import activations, forget_biased, named
from lm.config import InitConfig
from lm.types import Array, Cell

PLACES = ("", "_slow", "_2")


class FastSlowState(NamedTuple):
    """h, c: the fast LSTMs'; s, d: the slow one's. All (B, H)."""

    h: Array
    c: Array
    s: Array
    d: Array


def fast_slow_lstm(hidden: int, init: InitConfig, bias: bool = True) -> Cell:
    """Parameters w_x, w_h, b of the first fast LSTM; w_x_slow, w_x_2, … of the others.
    The gates are the last one's."""

    def init_params(key, d_in):
        params, keys = {}, jax.random.split(key, 3)
        for place, key_own in zip(PLACES, keys, strict=True):
            own = draw_gates(key_own, hidden if place else d_in, hidden, 4, init, bias)
            own = forget_biased(own, hidden, init)
            params |= {name + place: w for name, w in own.items()}
        return params

    def lstm(gates, c):
        i, f, g, o = gates
        c = f * c + i * g
        return o * jnp.tanh(c), c

    def at(params, place, x, h):
        own = {n: params[n + place] for n in ("w_x", "b") if n + place in params}
        return activations(affine(own, x), h @ params["w_h" + place])

    def of_step(params, state, z_BG):
        h, c = lstm(activations(z_BG, state.h @ params["w_h"]), state.c)
        s, d = lstm(at(params, "_slow", h, state.s), state.d)
        return at(params, "_2", s, h), c, s, d

    def step(params, state, z_BG):
        gates, c, s, d = of_step(params, state, z_BG)
        h, c = lstm(gates, c)
        return FastSlowState(h=h, c=c, s=s, d=d)

    return general(
        "fast_slow_lstm",
        hidden,
        init=init_params,
        initial_state=zeros(FastSlowState, 4, hidden),
        step=step,
        gates=lambda params, state, z: named(*of_step(params, state, z)[0]),
        blocks=("input", "forget", "candidate", "output"),
        retention="forget",
        recurrent=tuple("w_h" + place for place in PLACES),
    )
