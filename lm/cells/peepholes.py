"""The LSTM with peepholes, and what is left of it when a part is taken away.

    i = σ(x·W_xi + b_i + h·W_hi + p_i ⊙ c)      f = σ(x·W_xf + b_f + h·W_hf + p_f ⊙ c)
    g = tanh(x·W_xg + b_g + h·W_hg)             c' = f ⊙ c + i ⊙ g
    o = σ(x·W_xo + b_o + h·W_ho + p_o ⊙ c')     h' = o ⊙ tanh(c')

Gers & Schmidhuber 2000, "Recurrent nets that time and count", in the form that Greff,
Srivastava, Koutník, Steunebrink & Schmidhuber 2015, "LSTM: a search space odyssey",
call vanilla (`lstm_peephole`). The output gate sees the *new* c. Their eight variants:

    lstm_nig    no input gate, i = 1           lstm_niaf   g without its tanh
    lstm_nfg    no forget gate, f = 1          lstm_noaf   h' = o ⊙ c'
    lstm_nog    no output gate, o = 1          lstm_cifg   coupled gates, f = 1 − i
    lstm_fgr    full gate recurrence: i, f and o also read the gates of the step before
    NP          no peepholes: that is `lstm`

`lstm_coupled` is CIFG without peepholes. Packed i, f, g, o, less what is not there; the
nine matrices of gate recurrence, (H, 9·H), go from i to i, f, o, then from f, then from
o. With coupled gates b_i starts at −`init.forget_bias`, so that f starts where it does
in the others. Factored, but for lstm_fgr, where two fields of the state are multiplied.

Their claim, of 5,400 runs: no variant is clearly better than the vanilla cell; forget
gate and output activation are what it cannot do without.
"""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp

from lm.cells.forms import (
    draw,
    draw_gates,
    draw_recurrent,
    factored,
    general,
    row,
    sigmoid,
    zeros,
)
from lm.cells.lstm import LSTMState
from lm.config import InitConfig
from lm.types import Array, Cell

GATES = ("input", "forget", "output")
COUPLED = {"has": ("input", "output"), "coupled": True}
ORDER: tuple[str, ...] = ("input", "forget", "candidate", "output")


def linear(x: Array) -> Array:
    """x."""
    return x


class GatedState(NamedTuple):
    """h, c as in `LSTMState`; i, f, o: the gates that made them. All (B, H)."""

    h: Array
    c: Array
    i: Array
    f: Array
    o: Array


def peepholes(key: Array, hidden: int, gates: tuple[str, ...], init: InitConfig):
    """{p_i, p_f, p_o: (H,)} of the gates that are there, drawn as one column each of a
    recurrent matrix."""
    drawn = init.gain * draw(key, (hidden, 3), init)
    return {
        f"p_{name[0]}": drawn[:, n] for n, name in enumerate(GATES) if name in gates
    }


def activations(params, a: dict[str, Array], c_old: Array, coupled, φ_in):
    """(i, f, g, o, c') of the blocks' pre-activations by name."""

    def gate(name: str, c: Array) -> Array:
        if name not in a:
            return jnp.ones_like(c)
        p = f"p_{name[0]}"
        return sigmoid(a[name] + row(params[p]) * c if p in params else a[name])

    i = gate("input", c_old)
    f = 1 - i if coupled else gate("forget", c_old)
    g = φ_in(a["candidate"])
    c = f * c_old + i * g
    return i, f, g, gate("output", c), c


def start_bias(params, hidden: int, blocks, coupled: bool, init: InitConfig):
    """b_f at `init.forget_bias`, or b_i at its negative where the gates are coupled."""
    name, value = "forget", init.forget_bias
    if coupled:
        name, value = "input", -init.forget_bias
    if "b" not in params or name not in blocks:
        return params
    at = hidden * blocks.index(name)
    return params | {"b": params["b"].at[at : at + hidden].set(value)}


def lstm_peephole(
    hidden: int,
    init: InitConfig,
    bias: bool = True,
    *,
    name: str = "lstm_peephole",
    has: tuple[str, ...] = GATES,
    coupled: bool = False,
    peeps: bool = True,
    φ_in: Callable[[Array], Array] = jnp.tanh,
    φ_out: Callable[[Array], Array] = jnp.tanh,
) -> Cell:
    """The equations above.

    has      the gates that are there; the others are 1, or f is 1 − i where coupled.
    peeps    whether there are peepholes.
    φ_in     of the candidate; φ_out: of c' on its way to h'. tanh or `linear`.
    """
    blocks = tuple(block for block in ORDER if block in (*has, "candidate"))

    def init_params(key, d_in):
        key, key_p = jax.random.split(key)
        params = draw_gates(key, d_in, hidden, len(blocks), init, bias)
        params |= peepholes(key_p, hidden, has, init) if peeps else {}
        return start_bias(params, hidden, blocks, coupled, init)

    def of_step(params, z_BG, r_BG, state):
        parts = jnp.split(z_BG + r_BG, len(blocks), axis=-1)
        named = dict(zip(blocks, parts, strict=True))
        return activations(params, named, state.c, coupled, φ_in)

    def pointwise(params, z_BG, r_BG, state):
        _, _, _, o, c = of_step(params, z_BG, r_BG, state)
        return LSTMState(h=o * φ_out(c), c=c)

    def gates(params, z_BG, r_BG, state):
        i, f, g, o, _ = of_step(params, z_BG, r_BG, state)
        slope = jnp.ones_like(g) if φ_in is linear else 1 - g * g
        return {"input": i, "forget": f, "output": o, "slope": slope}

    return factored(
        name,
        hidden,
        init=init_params,
        initial_state=zeros(LSTMState, 2, hidden),
        pointwise=pointwise,
        gates=gates,
        blocks=blocks,
        retention="forget",
    )


def lstm_fgr(hidden: int, init: InitConfig, bias: bool = True) -> Cell:
    """Full gate recurrence: the old i, f, o, times nine matrices, drive the new."""

    def init_params(key, d_in):
        key, key_p, key_g = jax.random.split(key, 3)
        params = draw_gates(key, d_in, hidden, 4, init, bias)
        params |= peepholes(key_p, hidden, GATES, init)
        params["w_g"] = draw_recurrent(key_g, hidden, 9, init)
        return start_bias(params, hidden, ORDER, False, init)

    def of_step(params, state, z_BG):
        a = dict(
            zip(ORDER, jnp.split(z_BG + state.h @ params["w_h"], 4, -1), strict=True)
        )
        old = jnp.concatenate([state.i, state.f, state.o], axis=-1)
        stacked = jnp.concatenate(jnp.split(params["w_g"], 3, axis=1))
        for name, r in zip(GATES, jnp.split(old @ stacked, 3, axis=-1), strict=True):
            a[name] = a[name] + r
        return activations(params, a, state.c, False, jnp.tanh)

    def step(params, state, z_BG):
        i, f, _, o, c = of_step(params, state, z_BG)
        return GatedState(h=o * jnp.tanh(c), c=c, i=i, f=f, o=o)

    def gates(params, state, z_BG):
        i, f, g, o, _ = of_step(params, state, z_BG)
        return {"input": i, "forget": f, "output": o, "slope": 1 - g * g}

    return general(
        "lstm_fgr",
        hidden,
        init=init_params,
        initial_state=zeros(GatedState, 5, hidden),
        step=step,
        gates=gates,
        blocks=ORDER,
        retention="forget",
        recurrent=("w_h", "w_g"),
    )
