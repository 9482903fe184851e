"""mLSTM: an LSTM whose memory is a matrix of keys by values, one in each head.

    q = x·W_q + b_q     k = (x·W_k + b_k)/√d     v = x·W_v + b_v     o = σ(x·W_o + b_o)
    ĩ = x·w_i + b_i     f̃ = x·w_f + b_f          (one number a head)
    m_t = max(ĩ, m_{t−1} + ln σ(f̃))
    i = exp(ĩ − m_t)    f = exp(m_{t−1} + ln σ(f̃) − m_t)
    C_t = f·C_{t−1} + i·k ⊗ v
    n_t = f·n_{t−1} + i·k
    h_t = o ⊙ (qᵀ·C_t) / max(|qᵀ·n_t|, exp(−m_t))

Beck, Pöppel, Spanring, Auer, Prudnikova, Kopp, Klambauer, Brandstetter & Hochreiter
2024, "xLSTM: extended long short-term memory", equations 19 to 27, the forget gate by a
sigmoid. Gates do not see the state. m keeps the exponentials finite and cancels.
The authors' code computes the gates from q, k and v together, puts a convolution before
and a normalisation by head behind, and scales keys where q is read: layers here, or the
same numbers. Beside `gated_delta_net` it adds to the memory and never overwrites, and
its transition f·I has eigenvalues in [0, 1] alone. `keep` is σ(f̃).

General, and over a stretch of steps at once (`stretch`, appendix A.3 of the paper, the
parallel form: D_ts = exp(Σ_{s<r≤t} ln σ(f̃_r) + ĩ_s − m_t) weighs k_s, v_s for step t);
`lm.unroll.chunked` takes stretches one after another. Both give the same states.

The authors' initialisation: w_i, w_f = 0, b_f linear from 3 to 6 over the heads, b_i
normal of deviation .1. Claim: a memory of d² numbers recalls more pairs than an LSTM's.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import lax

from lm.cells.forms import affine, draw, general, sigmoid
from lm.cells.heads import heads_of, join_heads, outer, read, split_heads
from lm.config import InitConfig
from lm.types import Array, Cell

NEVER = -1e30  # ln of the weight of what is not read


class MLSTMState(NamedTuple):
    """C (B, heads, d, d), keys by values; n (B, heads, d); m (B, heads)."""

    C: Array
    n: Array
    m: Array


class Pieces(NamedTuple):
    """What a projected input holds: q, k, v, o (…, heads, d), i, log_f (…, heads)."""

    q: Array
    k: Array
    v: Array
    o: Array
    i: Array
    log_f: Array


def pieces(zs: Array, hidden: int, heads: int) -> Pieces:
    """zs (…, 4H + 2·heads), packed q, k, v, o, i, f."""
    ends = [hidden * n for n in (1, 2, 3, 4)] + [4 * hidden + heads]
    q, k, v, o, i, f = jnp.split(zs, ends, axis=-1)
    q, k, v, o = (split_heads(part, heads) for part in (q, k, v, o))
    root = (hidden // heads) ** 0.5
    return Pieces(q, k / root, v, sigmoid(o), i, jax.nn.log_sigmoid(f))


def put_out(at: Pieces, numerator: Array, qn: Array, m: Array) -> Array:
    """h of qᵀ·C (…, heads, d), qᵀ·n and m (…, heads)."""
    size = jnp.maximum(jnp.abs(qn), jnp.exp(-m))
    return join_heads(at.o * numerator / size[..., None])


def since_reset(F: Array, log_f: Array, reset_TB: Array, m: Array) -> Array:
    """ln of what is left of the state before the stretch, or at the last reset, times
    its e^m (0 where it was reset): (T, B, heads)."""
    steps = jnp.arange(len(F))[:, None]
    at = lax.cummax(jnp.where(reset_TB > 0, steps, -1), axis=0)[..., None]
    before = jnp.take_along_axis(F - log_f, jnp.maximum(at, 0), axis=0)
    return jnp.where(at < 0, F + m[None], F - before)


def stretch(at: Pieces, state: MLSTMState, reset_TB: Array, mask_TB: Array):
    """(state after, hs_TBH) of steps t = 0 … T−1 at once. Cost: T² products of keys.

    reset_TB, mask_TB  0/1, as in `lm.unroll.Events`.
    """
    masked = mask_TB[..., None]
    log_f, i = at.log_f * masked, jnp.where(masked > 0, at.i, NEVER)
    F = jnp.cumsum(log_f, axis=0)
    texts_TB = jnp.cumsum(reset_TB, axis=0)
    T = jnp.arange(len(F))
    seen = (T[None] <= T[:, None])[..., None] & (texts_TB[None] == texts_TB[:, None])
    D_TSBN = jnp.where(seen[..., None], F[:, None] - F[None] + i[None], NEVER)
    base = since_reset(F, log_f, reset_TB, state.m)
    m = jnp.maximum(base, D_TSBN.max(1))
    weights = jnp.exp(D_TSBN - m[:, None])
    carried = jnp.where(texts_TB[..., None] > 0, 0, jnp.exp(base - m))
    scores = jnp.einsum("tbnd,sbnd->tsbn", at.q, at.k) * weights
    numerator = jnp.einsum("tsbn,sbnd->tbnd", scores, at.v)
    numerator += carried[..., None] * jnp.einsum("tbnd,bnde->tbne", at.q, state.C)
    qn = scores.sum(1) + carried * jnp.einsum("tbnd,bnd->tbn", at.q, state.n)
    keys = weights[-1][..., None] * at.k
    left = carried[-1][..., None]
    C = jnp.einsum("sbnd,sbne->bnde", keys, at.v) + left[..., None] * state.C
    last = MLSTMState(C, keys.sum(0) + left * state.n, m[-1])
    return last, put_out(at, numerator, qn, m)


def stepped(at: Pieces, state: MLSTMState) -> MLSTMState:
    """The state after a step."""
    kept = state.m + at.log_f
    m = jnp.maximum(at.i, kept)
    i, f = jnp.exp(at.i - m)[..., None], jnp.exp(kept - m)[..., None]
    C = f[..., None] * state.C + outer(i * at.k, at.v)
    return MLSTMState(C, f * state.n + i * at.k, m)


def mlstm(hidden: int, init: InitConfig, bias: bool = True, *, heads: int = 4) -> Cell:
    """The equations above. `heads` as in lm.cells.heads."""
    heads = heads_of(hidden, heads)
    width = hidden // heads

    def init_params(key, d_in):
        key_x, key_b = jax.random.split(key)
        w_x = draw(key_x, (d_in, 4 * hidden), init)
        params = {"w_x": jnp.pad(w_x, ((0, 0), (0, 2 * heads)))}
        if bias:
            b_i = 0.1 * jax.random.normal(key_b, (heads,))
            b_f = jnp.linspace(3.0, 6.0, heads)
            params["b"] = jnp.concatenate([jnp.zeros(4 * hidden), b_i, b_f])
        return params

    def initial_state(params, batch):
        dtype = params["w_x"].dtype
        shapes = ((heads, width, width), (heads, width), (heads,))
        return MLSTMState(*(jnp.zeros((batch, *shape), dtype) for shape in shapes))

    def readout(params, zs_TBG, states):
        at = pieces(zs_TBG, hidden, heads)
        qn = jnp.sum(at.q * states.n, axis=-1)
        return put_out(at, read(at.q, states.C), qn, states.m)

    def gates(params, state, z):
        at = pieces(z, hidden, heads)
        keep = jnp.repeat(jnp.exp(at.log_f), width, axis=-1)
        return {"keep": keep, "output": join_heads(at.o)}

    return general(
        "mlstm",
        hidden,
        init=init_params,
        initial_state=initial_state,
        step=lambda params, state, z: stepped(pieces(z, hidden, heads), state),
        project=affine,
        readout=readout,
        stretch=lambda params, zs, *rest: stretch(pieces(zs, hidden, heads), *rest),
        recurrent=(),
        gates=gates,
        retention="keep",
    )
