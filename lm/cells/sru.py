"""SRU: the simple recurrent unit, with highway connections around its memory.

    f_t = σ(x_t·W_f + v_f ⊙ c_{t−1} + b_f)
    c_t = f_t ⊙ c_{t−1} + (1 − f_t) ⊙ (x_t·W)
    r_t = σ(x_t·W_r + v_r ⊙ c_{t−1} + b_r)
    h_t = r_t ⊙ c_t + α·(1 − r_t) ⊙ x_t

Lei, Zhang, Wang, Dai & Artzi 2018, "Simple recurrent units for highly parallelizable
recurrence", equations 1 to 4, and α of section 3.1. Where D is not H, x in the last
line is x·W_x of a fourth block, as in the authors' code, which also has no tanh on c.
There is no matrix in the loop: `sru` is a general cell whose steps are elementwise.
`sru_v1` is the first version of the paper, v = 0: then c is linear in itself and all
steps can be taken at once. Beside `qrnn` it reads one x and has the highway; beside
`min_gru` it also has r. r, which looks at c_{t−1}, is kept in the state for the output.

Initialisation of the authors: W uniform with variance 1/D, gates' columns and v times
√½ (v of variance ½), biases of gates 0, and α = √(1 + 2·e^{b_r}) = √3 of that b_r.
Claim: as fast as a convolution, and on text not worse than an LSTM.
"""

import math
from typing import NamedTuple

import jax
import jax.numpy as jnp

from lm.cells.forms import add_bias, affine, general, linear, sigmoid, zeros
from lm.config import InitConfig
from lm.types import Array, Cell

ALPHA = math.sqrt(3.0)


class SRUState(NamedTuple):
    """c (B, H), the memory; r (B, H), the highway's gate of the step."""

    c: Array
    r: Array


class MemoryState(NamedTuple):
    """c (B, H)."""

    c: Array


def project(params, xs: Array) -> Array:
    """[x·W, x·W_f + b_f, x·W_r + b_r, x or x·W_x]: (…, 4H)."""
    blocks = affine({"w_x": params["w_x"]}, xs)
    d_in, width = params["w_x"].shape
    if width == 3 * d_in:
        if jnp.issubdtype(xs.dtype, jnp.integer):
            xs = jax.nn.one_hot(xs, d_in, dtype=blocks.dtype)
        blocks = jnp.concatenate([blocks, xs], axis=-1)
    if "b" not in params:
        return blocks
    H = blocks.shape[-1] // 4
    return add_bias(blocks, jnp.pad(params["b"], (H, H)))


def init_of(hidden: int, init: InitConfig, bias: bool, peeps: bool):
    """Cell.init as above; `init.scale` multiplies W."""

    def init_params(key, d_in):
        key_x, key_v = jax.random.split(key)
        blocks = 3 if d_in == hidden else 4
        bound = init.scale * math.sqrt(3 / d_in)
        w = jax.random.uniform(key_x, (d_in, blocks, hidden), minval=-1.0, maxval=1.0)
        scale = bound * jnp.array([1.0, 0.5**0.5, 0.5**0.5, 1.0])[:blocks]
        params = {"w_x": (w * scale[None, :, None]).reshape(d_in, blocks * hidden)}
        if peeps:
            shape, end = (2 * hidden,), 1.5**0.5
            params["v"] = jax.random.uniform(key_v, shape, minval=-end, maxval=end)
        return params | {"b": jnp.zeros(2 * hidden)} if bias else params

    return init_params


def highway(r: Array, c: Array, x: Array) -> Array:
    """r ⊙ c + α·(1 − r) ⊙ x."""
    return r * c + ALPHA * (1 - r) * x


def sru(hidden: int, init: InitConfig, bias: bool = True) -> Cell:
    """The equations above; zs are packed x·W, f, r, x."""

    def gates_of(params, c, z):
        """f and r, which look at the memory before the step."""
        v_f, v_r = jnp.split(params["v"], 2)
        _, f, r, _ = jnp.split(z, 4, axis=-1)
        return sigmoid(f + v_f[None] * c), sigmoid(r + v_r[None] * c)

    def step(params, state, z):
        f, r = gates_of(params, state.c, z)
        return SRUState(c=f * state.c + (1 - f) * z[..., :hidden], r=r)

    def gates(params, state, z):
        f, r = gates_of(params, state.c, z)
        return {"forget": f, "highway": r}

    return general(
        "sru",
        hidden,
        init=init_of(hidden, init, bias, peeps=True),
        initial_state=zeros(SRUState, 2, hidden),
        step=step,
        project=project,
        readout=lambda params, zs, s: highway(s.r, s.c, zs[..., 3 * hidden :]),
        recurrent=(),
        gates=gates,
        blocks=("candidate", "forget", "highway", "input"),
        retention="forget",
    )


def sru_v1(hidden: int, init: InitConfig, bias: bool = True) -> Cell:
    """v = 0: gates that read x alone."""

    def coefficients(params, zs_TBG):
        x, f, _, _ = jnp.split(zs_TBG, 4, axis=-1)
        f = sigmoid(f)
        return MemoryState(f), MemoryState((1 - f) * x)

    def readout(params, zs_TBG, states):
        _, _, r, x = jnp.split(zs_TBG, 4, axis=-1)
        return highway(sigmoid(r), states.c, x)

    def gates(params, state, z):
        _, f, r, _ = jnp.split(z, 4, axis=-1)
        return {"forget": sigmoid(f), "highway": sigmoid(r)}

    return linear(
        "sru_v1",
        hidden,
        init=init_of(hidden, init, bias, peeps=False),
        initial_state=zeros(MemoryState, 1, hidden),
        project=project,
        coefficients=coefficients,
        readout=readout,
        gates=gates,
        blocks=("candidate", "forget", "highway", "input"),
        retention="forget",
    )
