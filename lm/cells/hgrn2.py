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
    MatrixState,
    heads_of,
    join_heads,
    matrix_zeros,
    outer,
    read,
    root_mean_square,
    split_heads,
)
from lm.cells.hgrn import bounded
from lm.config import InitConfig
from lm.types import Array, Cell

LEAST = 1e-30  # f of which the logarithm is taken


class Steps(NamedTuple):
    """Of each step: q, k, v, F (…, T, d), and which text it is in, (…, T, 1)."""

    q: Array
    k: Array
    v: Array
    F: Array
    text: Array


def halves(xs: Array, width: int) -> tuple[Array, Array]:
    """First and second halves (…, blocks, width, d) of the blocks of 2·width steps in
    (…, T, d)."""
    xs = xs.reshape(*xs.shape[:-2], -1, 2, width, xs.shape[-1])
    return xs[..., 0, :, :], xs[..., 1, :, :]


def decayed(xs: Array, log_left: Array, seen: Array) -> Array:
    """xs ⊙ e^log_left where seen, else 0."""
    return jnp.where(seen, xs * jnp.exp(log_left), 0)


def read_within(at: Steps) -> Array:
    """Σ_{s≤t} (q_t ⊙ e^{F_t − F_s})·k_s · v_s over the s of t's own text, (…, T, d).
    T is a power of two."""
    found, width = jnp.sum(at.q * at.k, axis=-1, keepdims=True) * at.v, 1
    while width < at.q.shape[-2]:
        cut = [halves(x, width) for x in at]
        first, second = (Steps(*half) for half in zip(*cut, strict=True))
        middle, text = first.F[..., -1:, :], first.text[..., -1:, :]
        q = decayed(second.q, second.F - middle, second.text == text)
        k = decayed(first.k, middle - first.F, first.text == text)
        late = q @ k.swapaxes(-1, -2) @ first.v
        both = jnp.stack([jnp.zeros_like(late), late], axis=-3)
        found, width = found + both.reshape(found.shape), 2 * width
    return found


def stretch(at: Steps, S: Array) -> tuple[Array, Array]:
    """(S after, qᵀ·S (…, T, d)) of steps t = 0 … T−1 at once; texts are numbered from
    0, that of the state before."""
    T = at.q.shape[-2]
    room = [(0, 0)] * (at.q.ndim - 2) + [(0, (1 << (T - 1).bit_length()) - T), (0, 0)]
    even = Steps(*(jnp.pad(x, room, mode="edge") for x in at))
    within = read_within(even)[..., :T, :]
    last, text = at.F[..., -1:, :], at.text[..., -1:, :]
    q = decayed(at.q, at.F, at.text == 0)
    k = decayed(at.k, last - at.F, at.text == text)
    left = decayed(jnp.ones_like(last), last, text == 0).swapaxes(-1, -2)
    return left * S + k.swapaxes(-1, -2) @ at.v, within + q @ S


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

    def pieces(params, zs_TBG):
        """f, q, v (T, B, heads, d)."""
        f, q, v = jnp.split(zs_TBG, 3, axis=-1)
        parts = bounded(params, f), jax.nn.silu(q), v
        return tuple(split_heads(part, heads) for part in parts)

    def put_out(params, seen):
        return root_mean_square(join_heads(seen), params["gain"])

    def coefficients(params, zs_TBG):
        f, _, v = pieces(params, zs_TBG)
        return MatrixState(f[..., None]), MatrixState(outer(1 - f, v))

    def readout(params, zs_TBG, states):
        _, q, _ = pieces(params, zs_TBG)
        return put_out(params, read(q, states.S))

    def stretched(params, zs_TBG, state, reset_TB, mask_TB):
        f, q, v = pieces(params, zs_TBG)
        mask, texts = (x[..., None, None] for x in (mask_TB, jnp.cumsum(reset_TB, 0)))
        F = jnp.cumsum(mask * jnp.log(jnp.maximum(f, LEAST)), axis=0)
        text = jnp.broadcast_to(texts, (*f.shape[:-1], 1))
        given = Steps(q, mask * (1 - f), v, F, text)
        at = Steps(*(jnp.moveaxis(x, 0, 2) for x in given))
        S, seen = stretch(at, state.S)
        return MatrixState(S), put_out(params, jnp.moveaxis(seen, 2, 0))

    return linear(
        "hgrn2",
        hidden,
        init=init_params,
        initial_state=matrix_zeros(heads, hidden // heads, hidden // heads),
        project=affine,
        coefficients=coefficients,
        readout=readout,
        stretch=stretched,
        gates=lambda params, state, z: {"keep": bounded(params, z[..., :hidden])},
        blocks=("forget", "query", "value"),
        retention="keep",
    )
