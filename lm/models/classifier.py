"""Many to one: a sequence into a class.

    h_1 … h_T = stack(x_1 … x_T)    v = pool(h)    P(class | x) = softmax(v·W + b)

The stack reads one way or, with two of them side by side in each layer, both ways
(Schuster & Paliwal 1997). Pooling: `last`, the state after the last real step (reading
from the right, after the first one); `mean` and `max` over the real steps; `attention`,
Σ α_t·h_t with α = softmax(tanh(h·W_a + b_a)·u) over them (Yang et al. 2016, equations 5
to 7).
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from lm.cells.forms import draw
from lm.config import ModelConfig
from lm.dropout import features
from lm.layers import on_real_steps
from lm.losses import token_nats
from lm.models.stacks import stack_of, words
from lm.problem import InitNumbers, Problem, taps_of, with_numbers
from lm.types import Array, Context, Labelled, Layer, Params, Part, Sum

Pool = Callable[[Params, Array, Array], Array]


def never_empty(mask_TB: Array) -> Array:
    """The mask, but with a real first step in lanes that have none and only fill the
    batch: so that nothing is pooled over no step, which would be no number."""
    empty_B = jnp.sum(mask_TB, axis=0) == 0
    first_T1 = jnp.arange(len(mask_TB))[:, None] == 0
    return jnp.where(empty_B[None] & first_T1, 1, mask_TB)


def ends(hs_TBH: Array, mask_TB: Array) -> tuple[Array, Array]:
    """The outputs at the last real step and at the first, both (B, H)."""
    last_B = jnp.maximum(jnp.sum(mask_TB > 0, axis=0) - 1, 0)
    last = jnp.take_along_axis(hs_TBH, last_B[None, :, None], axis=0)[0]
    return last, hs_TBH[0]


def pool_mean(params: Params, hs_TBH: Array, mask_TB: Array) -> Array:
    """Mean over the real steps: (B, H)."""
    weights = mask_TB / jnp.maximum(jnp.sum(mask_TB, axis=0, keepdims=True), 1)
    return jnp.sum(hs_TBH * weights[..., None], axis=0)


def pool_max(params: Params, hs_TBH: Array, mask_TB: Array) -> Array:
    """Maximum over the real steps: (B, H)."""
    lowest = jnp.finfo(hs_TBH.dtype).min
    return jnp.max(jnp.where(mask_TB[..., None] > 0, hs_TBH, lowest), axis=0)


def pool_attention(params: Params, hs_TBH: Array, mask_TB: Array) -> Array:
    """Σ α_t·h_t over the real steps: (B, H)."""
    keys = jnp.tanh(hs_TBH @ params["w_a"] + params["b_a"][None, None])
    scores = jnp.where(mask_TB > 0, keys @ params["u"], -jnp.inf)
    return jnp.sum(jax.nn.softmax(scores, axis=0)[..., None] * hs_TBH, axis=0)


POOLS: dict[str, Pool | None] = {
    "last": None,  # which end is last depends on the direction, see `pooled`
    "mean": pool_mean,
    "max": pool_max,
    "attention": pool_attention,
}


class Classifier(NamedTuple):
    """Pure functions.

    logits   (params, batch, context) -> (B, C).
    problem  what is trained: −ln P(label), and "accuracy" beside it.
    layer    the recurrent stack.
    parts    its cells at their places in the parameters.
    """

    logits: Callable[..., Array]
    problem: Problem
    layer: Layer
    parts: tuple[Part, ...]


def build_classifier(
    config: ModelConfig,
    d_in: int,
    classes: int,
    pooling: str = "last",
    both_ways: bool = False,
) -> Classifier:
    """The classifier that `config` describes.

    d_in     words of the vocabulary where `config.embedding` is above 0 (or ids go in
             one-hot), else the width of the inputs.
    """
    layer = stack_of(config, both_ways=both_ways)
    width = layer.d_out

    def init(key: Array, numbers: InitNumbers | None = None) -> Params:
        drawn = with_numbers(config, numbers)
        layers = stack_of(drawn, both_ways=both_ways)
        keys = jax.random.split(key, 4)
        params: dict[str, Any] = {
            "layers": layers.init(keys[0], config.embedding or d_in),
            "classes": {
                "w": draw(keys[1], (width, classes), drawn.init),
                "b": jnp.zeros(classes),
            },
        }
        if config.embedding:
            shape = (d_in, config.embedding)
            params["embedding"] = draw(keys[2], shape, drawn.init)
        if pooling == "attention":
            key_w, key_u = jax.random.split(keys[3])
            params["attention"] = {
                "w_a": draw(key_w, (width, width), drawn.init),
                "b_a": jnp.zeros(width),
                "u": draw(key_u, (width, 1), drawn.init)[:, 0],
            }
        return params

    def logits(params: Params, batch: Labelled, context: Context = Context()) -> Array:
        dropout, drops = context.dropout, config.dropout
        xs = words(params, batch.inputs, dropout, drops)
        mask_TB = never_empty(batch.mask)
        state = layer.initial_state(params["layers"], mask_TB.shape[1])
        inner = on_real_steps(context, mask_TB)
        _, hs = layer.apply(params["layers"], xs, state, inner)
        if dropout is not None and drops.output:
            hs = features(dropout.at(config.layers), hs, drops.kind, "output")
        v_BH = pooled(pooling, params.get("attention"), hs, mask_TB, both_ways)
        return v_BH @ params["classes"]["w"] + params["classes"]["b"][None]

    parts = tuple(part.under("", "layers") for part in layer.parts)
    return Classifier(logits, make_problem(init, logits, parts), layer, parts)


def pooled(
    pooling: str, params: Params, hs_TBH: Array, mask_TB: Array, both_ways: bool
) -> Array:
    """One vector a lane: (B, H). `last` of both ways is where each of them ends."""
    pool = POOLS[pooling]
    if pool is not None:
        return pool(params, hs_TBH, mask_TB)
    last, first = ends(hs_TBH, mask_TB)
    if not both_ways:
        return last
    middle = hs_TBH.shape[-1] // 2
    return jnp.concatenate([last[:, :middle], first[:, middle:]], axis=-1)


def make_problem(init, logits, parts: tuple[Part, ...]) -> Problem:
    """−ln P(label) of the counted lanes; batches stand alone."""

    def loss(params: Params, carry: tuple, batch: Labelled, context: Context):
        nats_B = token_nats(logits(params, batch, context), batch.label)
        return carry, Sum(jnp.sum(nats_B * batch.counted), jnp.sum(batch.counted))

    def evaluate(params: Params, carry: tuple, batch: Labelled):
        found = logits(params, batch)
        nats_B = token_nats(found, batch.label)
        right_B = (jnp.argmax(found, axis=-1) == batch.label).astype(nats_B.dtype)
        count = jnp.sum(batch.counted)
        return carry, {
            "loss": Sum(jnp.sum(nats_B * batch.counted), count),
            "accuracy": Sum(jnp.sum(right_B * batch.counted), count),
        }

    def focus(batch: Labelled):
        """Lag 0 is where each part has read all: the last real step, or the first."""
        last_B = jnp.maximum(jnp.sum(batch.mask > 0, axis=0) - 1, 0)
        origins = {
            p.name: jnp.zeros_like(last_B) if p.reverse else last_B for p in parts
        }
        return batch, origins

    return Problem(
        init=init,
        carry=lambda params, lanes: (),
        loss=loss,
        evaluate=evaluate,
        taps=lambda params, batch: taps_of(parts, params, *batch.mask.shape),
        parts=parts,
        focus=focus,
    )
