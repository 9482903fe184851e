"""A Transformer decoder, as a yardstick for recurrent layers.

    q, k, v = x·W_x + b (heads of d units)         q̂_t, k̂_s turned by rotary angles
    a_t = Σ_{s=t−W}^{t} softmax_s(q̂_t·k̂_s/√d)·v_s        y_t = a_t·W_o + b_o

in the pre-norm block of `lm.structure.blocks` with a feedforward layer 4·H wide:
Vaswani et al. 2017, "Attention is all you need", section 3.2; pre-norm as in Xiong et
al. 2020; positions by rotation, Su et al. 2021, "RoFormer", section 3.2: the pair (i,
i + d/2) of a head's units (theirs: neighbours) at step t is turned by t·10000^(−2i/d),
so that scores know distances alone. Keys and values of the last W steps are carried,
from window to window and from token to token (without gradient: Dai et al. 2019,
"Transformer-XL", section 3.2).

To instruments the state of a step is what later ones can see of it, (k_t, v_t); there
is no step from one state to the next, so Ω and the Jacobians of a part are refused.
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from lm.cells.forms import affine, draw, general, zeros
from lm.cells.heads import heads_of, join_heads, split_heads
from lm.config import ConfigError, InitConfig
from lm.recording import Recorded
from lm.structure.blocks import at_place, feedforward, prenorm_block
from lm.structure.order import forwards, leading, stepwise
from lm.structure.past import (
    moved_on,
    none_yet,
    places_of,
    visible,
    weights,
    with_window,
)
from lm.structure.place import Place
from lm.types import Array, Cell, Context, Layer, Params, Part, State
from lm.words import looked_up

BASE = 10_000.0
WIDENED = 4  # the feedforward layer, in H


class KeysValues(NamedTuple):
    """k and v (B, H), of all heads."""

    k: Array
    v: Array


def turned(xs: Array, at: Array) -> Array:
    """xs (B, P, heads, d) at places `at` (P,), rotated; an odd last unit stays."""
    half = xs.shape[-1] // 2
    speeds = BASE ** (-jnp.arange(half, dtype=xs.dtype) / max(half, 1))
    angles = (at.astype(xs.dtype)[:, None] * speeds[None])[None, :, None]
    cos, sin = jnp.cos(angles), jnp.sin(angles)
    a, b, rest = xs[..., :half], xs[..., half : 2 * half], xs[..., 2 * half :]
    return jnp.concatenate([a * cos - b * sin, b * cos + a * sin, rest], axis=-1)


def attended(
    q_TBH: Array, rows: KeysValues, seen_BTP: Array, heads: int, W: int
) -> Array:
    """a_TBH: what each step finds in the places that it sees."""
    at = jnp.arange(seen_BTP.shape[-1])
    q = turned(split_heads(jnp.swapaxes(q_TBH, 0, 1), heads), at[W:])
    k, v = turned(split_heads(rows.k, heads), at), split_heads(rows.v, heads)
    scores = jnp.einsum("btnd,bpnd->bntp", q, k) / q.shape[-1] ** 0.5
    shares = weights(scores, seen_BTP[:, None])
    return jnp.swapaxes(join_heads(jnp.einsum("bntp,bpnd->btnd", shares, v)), 0, 1)


def attending(hidden: int, init: InitConfig, bias: bool) -> Cell:
    """What instruments see of it: the state and its parameters, but no step.

    Raises:
      ConfigError: where a step is asked for.
    """

    def step(params: Params, state: State, z: Array) -> State:
        raise ConfigError(
            "a Transformer looks at all steps at once and has no recurrent step of a "
            "part: set optim.omega to 0, and leave out Jacobians of its parts"
        )

    def init_params(key: Array, d_in: int) -> Params:
        first, second = jax.random.split(key)
        params = {
            "w_x": draw(first, (d_in, 3 * hidden), init),
            "w_o": draw(second, (hidden, hidden), init),
        }
        names = {"b": 3 * hidden, "b_o": hidden} if bias else {}
        return params | {name: jnp.zeros(width) for name, width in names.items()}

    return general(
        "transformer",
        hidden,
        init=init_params,
        initial_state=zeros(KeysValues, 2, hidden),
        step=step,
        output=lambda state: jnp.concatenate([state.k, state.v], axis=-1),
        recurrent=(),
        blocks=("query", "key", "value"),
    )


def self_attention(cell: Cell, heads: int, W: int) -> Layer:
    """Attention of each step to itself and the W before it; `cell`: `attending`'s."""
    H = cell.d_hidden

    def initial_state(params: Params, batch: int) -> State:
        return none_yet(cell.initial_state(params, batch), W)

    @forwards
    def apply(params: Params, xs: Any, state: State, context: Context = Context()):
        zs_TBG = affine(params, looked_up(xs))
        q, *kv = jnp.split(zs_TBG, 3, axis=-1)
        new = KeysValues(*kv)
        if context.taps is not None and context.name in context.taps:
            new = jax.tree.map(jnp.add, new, context.taps[context.name])
        if context.recorded is not None:
            last = jax.tree.map(lambda x: x[:, -1:].swapaxes(0, 1), state.rows)
            before = jax.tree.map(lambda a, b: jnp.concatenate([a, b[:-1]]), last, new)
            context.recorded[context.name] = Recorded(before, new, zs_TBG)
        places = places_of(state, context, leading(xs))
        rows = with_window(state, new)
        a_TBH = attended(q, rows, visible(places, W, own=True), heads, W)
        out = {"w_x": params["w_o"]} | ({"b": params["b_o"]} if "b_o" in params else {})
        return moved_on(rows, places, W), affine(out, a_TBH)

    return Layer(
        d_out=H,
        init=cell.init,
        initial_state=initial_state,
        apply=apply,
        step=stepwise(apply),
        parts=(Part("", cell),),
    )


def transformer(place: Place, heads: int = 4, W: int = 128) -> Layer:
    """A Transformer decoder's pre-norm block of H units with rotary positions (Vaswani
    et al. 2017; Su et al. 2021); a step sees itself and the 128 before it.

    heads: as in lm.cells.heads. W: steps that are carried.

    Raises:
      ConfigError: for dropout of what it does not have.
    """
    config = place.config
    H, init, drops = config.hidden, config.init, config.dropout
    if drops.weight or drops.zoneout:
        raise ConfigError(
            f"dropout.weight is {drops.weight} and dropout.zoneout {drops.zoneout}, "
            "but a Transformer has neither recurrent matrices nor an old state: set "
            "both to 0"
        )
    cell = attending(H, init, config.bias)
    mix = place.drop(place.whole(self_attention(cell, heads_of(H, heads), W)))
    feed = feedforward(mix.d_out, WIDENED * mix.d_out, init, config.bias, gated=False)
    return at_place(place, prenorm_block(mix, place.drop(feed)))
