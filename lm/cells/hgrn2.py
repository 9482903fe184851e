"""HGRN2: HGRN whose state is widened to a matrix by an outer product.

    f_t = γ + (1 − γ) ⊙ σ(x_t·W_f + b_f)
    q_t = SiLU(x_t·W_q + b_q)         v_t = x_t·W_v + b_v
    S_t = diag(f_t)·S_{t−1} + (1 − f_t) ⊗ v_t
    h_t = norm(q_tᵀ·S_t)

in each head of width d, S being d × d. Qin, Yang, Sun, Shen, Li, Sun & Zhong 2024,
"HGRN2: gated linear RNNs with state expansion", equations 5 to 8. It is gated linear
attention whose key is 1 − f, so that input and forget gate are tied as in a GRU: for
d = 1 and q = 1, HGRN's real recurrence. γ = σ(Γ) is the cell's own (see `hgrn`). norm
is by the root mean square over all H, with a gain, as in the authors' code; the linear
map after it is the next layer's. Linear, elementwise with f over the columns of S.
`keep` is f. Width of a head 128 in the paper; here 4 heads, or as many as divide H.
Initialisation: the user's `init`, biases at 0, γ = ½. Claim: state expansion without
more parameters beats HGRN, and Mamba at 3B.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp

from lm.cells.forms import affine, draw, linear
from lm.cells.heads import (
    heads_of,
    join_heads,
    outer,
    read,
    root_mean_square,
    split_heads,
)
from lm.cells.hgrn import bounded
from lm.config import InitConfig
from lm.types import Array, Cell


class MatrixState(NamedTuple):
    """S (B, heads, d, d): keys by values."""

    S: Array


def matrix_zeros(heads: int, rows: int, columns: int):
    """initial_state of one matrix a head."""

    def initial_state(params, batch):
        dtype = jax.tree.leaves(params)[0].dtype
        return MatrixState(jnp.zeros((batch, heads, rows, columns), dtype))

    return initial_state


def hgrn2(hidden: int, init: InitConfig, bias: bool = True, *, heads: int = 4) -> Cell:
    """The equations above; zs are packed f, q, v. `heads` as in lm.cells.heads."""
    heads = heads_of(hidden, heads)

    def init_params(key, d_in):
        params = {
            "w_x": draw(key, (d_in, 3 * hidden), init),
            "bound": jnp.zeros(hidden),
            "gain": jnp.ones(hidden),
        }
        return params | {"b": jnp.zeros(3 * hidden)} if bias else params

    def coefficients(params, zs_TBG):
        f, _, v = jnp.split(zs_TBG, 3, axis=-1)
        f, v = split_heads(bounded(params, f), heads), split_heads(v, heads)
        return MatrixState(f[..., None]), MatrixState(outer(1 - f, v))

    def readout(params, zs_TBG, states):
        q = split_heads(jax.nn.silu(jnp.split(zs_TBG, 3, axis=-1)[1]), heads)
        return root_mean_square(join_heads(read(q, states.S)), params["gain"])

    return linear(
        "hgrn2",
        hidden,
        init=init_params,
        initial_state=matrix_zeros(heads, hidden // heads, hidden // heads),
        project=affine,
        coefficients=coefficients,
        readout=readout,
        gates=lambda params, state, z: {"keep": bounded(params, z[..., :hidden])},
        blocks=("forget", "query", "value"),
        retention="keep",
    )
