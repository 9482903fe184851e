"""Pre-norm residual blocks: a layer that mixes steps, then one that mixes units.

    x′ = x + mix(LN(x))          y = x′ + feed(LN(x′))          LN with γ, β

The block of Transformers (Xiong et al. 2020, "On layer normalization in the Transformer
architecture", figure 1b), of Griffin (De et al. 2024, section 2.1) and, around an
sLSTM, of xLSTM (Beck et al. 2024: "post up-projection"): `mix` is any layer, `feed`
projects up, lets through and projects down. What it is made of here:

    feed(u) = (gelu(u·W_g + b_g) ⊙ (u·W_u + b_u))·W_d + b_d     4/3·H wide (xLSTM)
    feed(u) = gelu(u·W_u + b_u)·W_d + b_d                       4·H wide (Transformers)

A first layer whose input is not as wide as its output projects it: x·W_e. Recurrent
states are those of `mix`. gelu by tanh (Hendrycks & Gimpel 2016).
"""

from typing import Any

import jax
import jax.numpy as jnp

from lm.cells.forms import affine, draw
from lm.config import InitConfig
from lm.layers import inside, residual
from lm.structure.around import around
from lm.structure.normed import LAYER, Norm, normed, prenormed
from lm.structure.place import Place
from lm.types import Array, Context, Layer, Params, State

WIDENED = 4 / 3  # of xLSTM's block around an sLSTM


def feedforward(
    width: int, within: int, init: InitConfig, bias: bool, gated: bool
) -> Layer:
    """Step by step, without a state: `width` to `within` units and back."""
    names = ("up", "gate", "down") if gated else ("up", "down")

    def init_params(key: Array, d_in: int) -> Params:
        params = {}
        for name, own in zip(names, jax.random.split(key, len(names)), strict=True):
            shape = (within, width) if name == "down" else (d_in, within)
            params[name] = {"w_x": draw(own, shape, init)}
            if bias:
                params[name]["b"] = jnp.zeros(shape[1])
        return params

    def apply(params: Params, xs: Any, state: State, context: Context = Context()):
        up = affine(params["up"], xs)
        if gated:
            up = jax.nn.gelu(affine(params["gate"], xs)) * up
        else:
            up = jax.nn.gelu(up)
        return (), affine(params["down"], up)

    return Layer(
        d_out=width,
        init=init_params,
        initial_state=lambda params, batch: (),
        apply=apply,
        step=apply,  # type: ignore[arg-type]
    )


def prenorm_block(mix: Layer, feed: Layer, by: Norm = LAYER) -> Layer:
    """The equations above; the state is that of `mix`.

    feed  without a state.
    by    the norm on what both read.
    """
    mixing, feeding = residual(prenormed(mix, by)), residual(prenormed(feed, by))

    def init(key: Array, d_in: int) -> Params:
        first, second = jax.random.split(key)
        return {
            "mix": mixing.init(first, d_in),
            "feed": feeding.init(second, mix.d_out),
        }

    def apply(params: Params, xs: Any, state: State, context: Context = Context()):
        state, xs = mixing.apply(params["mix"], xs, state, context)
        here = inside(context, "feed")
        return state, feeding.apply(params["feed"], xs, (), here)[1]

    def step(params: Params, state: State, x: Any) -> tuple[State, Array]:
        state, x = mixing.step(params["mix"], state, x)  # type: ignore[misc]
        return state, feeding.apply(params["feed"], x, ())[1]

    return Layer(
        d_out=mix.d_out,
        init=init,
        initial_state=lambda params, batch: mixing.initial_state(params["mix"], batch),
        apply=apply,
        step=step if mix.step else None,
        parts=tuple(part.under("", "mix") for part in mixing.parts),
    )


def entered(layer: Layer, init: InitConfig) -> Layer:
    """The layer, what it reads projected to the width that it puts out: x·W_e."""

    def init_enter(key: Array, d_in: int) -> dict[str, Params]:
        return {"enter": {"w_x": draw(key, (d_in, layer.d_out), init)}}

    def before(params: Params, xs: Array) -> Array:
        return affine(params["enter"], xs)

    return around(layer, init_enter, before=before, d_in=layer.d_out)


def at_place(place: Place, block: Layer, by: Norm = LAYER) -> Layer:
    """A block that needs its input as wide as its output, at a place: the first one is
    `entered` where word vectors are not, what the last one hands up is normalized."""
    if not place.number and place.config.embedding != block.d_out:
        block = entered(block, place.config.init)
    return normed(block, by) if place.last else block


def blocks(place: Place) -> Layer:
    """x + cell(LN(x)), then a gated feedforward layer 4/3·H wide in the same way:
    xLSTM's block around an sLSTM (Beck et al. 2024)."""
    mix, config = place.plain(), place.config
    within = max(1, round(WIDENED * mix.d_out))
    feed = feedforward(mix.d_out, within, config.init, config.bias, gated=True)
    return at_place(place, prenorm_block(mix, place.drop(feed)))
