"""minLSTM: an LSTM whose gates do not read the state, their sum made one.

    f_t = σ(x_t·W_f + b_f)        i_t = σ(x_t·W_i + b_i)        h̃_t = x_t·W_h + b_h
    f′_t = f_t / (f_t + i_t)      i′_t = i_t / (f_t + i_t)
    h_t = f′_t ⊙ h_{t−1} + i′_t ⊙ h̃_t

Feng, Tung, Ahmed, Bengio & Hajimirsadeghi 2024, "Were RNNs all we needed?", section
3.2. Beside `lstm` it has no output gate, no tanh and one state; beside `min_gru` one
gate more, though f′ + i′ = 1 in both. f′ is computed as σ(ln f − ln i), which does not
divide. The paper's log-space form, h̃ replaced by a positive g(h̃), is another cell.
Linear: a_t = f′_t, b_t = i′_t ⊙ h̃_t. Weights as the user's `init` draws them, in the
paper's code too; biases at 0. Its claim: normalised gates make the scale of the state
independent of time, and train as well as minGRU's on selective copying.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp

from lm.cells.forms import affine, draw, linear, sigmoid, zeros
from lm.config import InitConfig
from lm.types import Array, Cell


class MinLSTMState(NamedTuple):
    """h (B, H)."""

    h: Array


def kept(f: Array, i: Array) -> Array:
    """f′ = σ(f)/(σ(f) + σ(i)) of the gates' pre-activations."""
    return sigmoid(jax.nn.softplus(-i) - jax.nn.softplus(-f))


def coefficients(params, zs_TBG):
    """(f′, (1 − f′) ⊙ h̃) of every step."""
    f, i, candidate = jnp.split(zs_TBG, 3, axis=-1)
    keep = kept(f, i)
    return MinLSTMState(keep), MinLSTMState((1 - keep) * candidate)


def min_lstm(hidden: int, init: InitConfig, bias: bool = True) -> Cell:
    """The equations above; gates packed f, i, h̃."""

    def init_params(key, d_in):
        params = {"w_x": draw(key, (d_in, 3 * hidden), init)}
        return params | {"b": jnp.zeros(3 * hidden)} if bias else params

    def gates(params, state, z):
        f, i, _ = jnp.split(z, 3, axis=-1)
        return {"forget": kept(f, i), "input": 1 - kept(f, i)}

    return linear(
        "min_lstm",
        hidden,
        init=init_params,
        initial_state=zeros(MinLSTMState, 1, hidden),
        project=affine,
        coefficients=coefficients,
        gates=gates,
        blocks=("forget", "input", "candidate"),
        retention="forget",
    )
