"""Chrono initialization: forget gates that start at time constants up to T_max.

Tallec & Ollivier 2018, "Can recurrent neural networks warp time?", section 2:

    b_f = ln u,  b_i = −b_f                u ~ U(1, T_max − 1), unit by unit

of an LSTM (`lstm_chrono`), so that a unit holds its memory for about 1/(1 − σ(b_f)),
which is 1 + u, steps at the start. In a GRU (`gru_chrono`) and in JANET
(`janet_chrono`) the gate that keeps the old, z and f here, starts at ln u. The cells
are `lstm`, `gru` and `janet` in everything else; `init.forget_bias` is not used.
Without biases there is nothing to start. Their claim: dependencies as long as T_max are
learnt where b_f = 1 learns none.
"""

import jax
import jax.numpy as jnp

from lm.cells.gru import gru
from lm.cells.lstm import lstm
from lm.cells.lstm_kin import janet
from lm.config import InitConfig
from lm.types import Array, Cell


def times(key: Array, hidden: int, longest: float) -> Array:
    """ln u, u ~ U(1, T_max − 1): (H,)."""
    return jnp.log(jax.random.uniform(key, (hidden,), minval=1.0, maxval=longest - 1.0))


def started(cell: Cell, name: str, longest: float, at: dict[int, int]) -> Cell:
    """`cell` whose block n of b starts at at[n]·ln u."""

    def init(key, d_in):
        key, key_u = jax.random.split(key)
        params = cell.init(key, d_in)
        if "b" not in params:
            return params
        ln_u = times(key_u, cell.d_hidden, longest)
        blocks = jnp.split(params["b"], len(cell.blocks))
        blocks = [at[n] * ln_u if n in at else b for n, b in enumerate(blocks)]
        return params | {"b": jnp.concatenate(blocks)}

    return cell._replace(name=name, init=init)


def lstm_chrono(
    hidden: int, init: InitConfig, bias: bool = True, *, longest: float = 200.0
) -> Cell:
    """`lstm`, b_i at −ln u and b_f at ln u. longest: T_max, above 2."""
    return started(lstm(hidden, init, bias), "lstm_chrono", longest, {0: -1, 1: 1})


def gru_chrono(
    hidden: int, init: InitConfig, bias: bool = True, *, longest: float = 200.0
) -> Cell:
    """`gru`, b_z at ln u: z keeps. longest: T_max, above 2."""
    return started(gru(hidden, init, bias), "gru_chrono", longest, {1: 1})


def janet_chrono(
    hidden: int, init: InitConfig, bias: bool = True, *, longest: float = 200.0
) -> Cell:
    """`janet`, b_f at ln u. longest: T_max, above 2."""
    return started(janet(hidden, init, bias), "janet_chrono", longest, {0: 1})
