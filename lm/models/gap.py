"""A missing word: what stands in a gap, from the words before it and after it.

    →h_t = stack→(E[w_0] … E[w_t])        ←h_t = stack←(E[w_{T+1}] … E[w_t])
    u_t = tanh([→h_{t−1}, ←h_{t+1}]·W + b)
    P(w_t | all other words) = softmax(u_t·V + c)

w_0 and w_{T+1} are `<eos>`. The states of a step have read its word, so the two stacks
meet at the steps before and after the gap (context2vec: Melamud, Goldberger & Dagan
2016). Each stack reads one way only, however deep. In a deep bidirectional stack
(Graves 2013) the second layer's state at t−1 has read what the first layer's backward
states carried there, the word at t included; such a stack is refused.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from lm import dropout as drop
from lm.cells.forms import add_bias, draw
from lm.config import ConfigError, ModelConfig
from lm.layers import backward, inside, on_real_steps
from lm.losses import token_nats
from lm.models.stacks import stack_of
from lm.problem import InitNumbers, Problem, taps_of, with_numbers
from lm.products import matmul
from lm.types import Array, Context, Gapped, Indexed, Layer, Params, Part, Sum
from lm.words import init_softmax, softmax_logits

SIDES = {
    "both": ("forward", "backward"),
    "left": ("forward",),
    "right": ("backward",),
}
WORDS = {"forward": slice(None, -2), "backward": slice(2, None)}


class GapModel(NamedTuple):
    """Pure functions.

    logits   (params, batch, context) -> (T, B, V), of the word in each gap.
    problem  what is trained: −ln P of each word that is asked, and "accuracy" beside
             it, the share whose word is the likeliest.
    parts    the cells at their places in the parameters.
    """

    logits: Callable[..., Array]
    problem: Problem
    parts: tuple[Part, ...]


def build_gap(
    config: ModelConfig,
    vocabulary: int,
    sides: str = "both",
    stacks: dict[str, Layer] | None = None,
) -> GapModel:
    """The network that `config` describes, over `vocabulary` words.

    sides   a name in SIDES: which words it reads.
    stacks  {"forward", "backward"}: one's own in place of the config's, H wide; the
            backward one is turned around here.

    Raises:
      ConfigError: without an embedding, or where a stack reads from both sides.
    """
    if not config.embedding:
        raise ConfigError(
            "model.embedding is 0: both stacks read word vectors; set it above 0"
        )
    layers = make_layers(config, sides, stacks)
    parts = tuple(p.under(name, name) for name in layers for p in layers[name].parts)

    def init(key: Array, numbers: InitNumbers | None = None) -> Params:
        drawn = with_numbers(config, numbers)
        own = make_layers(drawn, sides, stacks)
        keys = jax.random.split(key, 3 + len(SIDES["both"]))
        width = config.hidden
        params: dict[str, Any] = {
            "embedding": draw(keys[0], (vocabulary, config.embedding), drawn.init),
            "softmax": init_softmax(keys[1], drawn, vocabulary),
            "join": {
                "w": draw(keys[2], (len(own) * width, width), drawn.init),
                "b": jnp.zeros(width),
            },
        }
        for name, key in zip(SIDES["both"], keys[3:], strict=True):
            if name in own:
                params[name] = own[name].init(key, config.embedding)
        return params

    def logits(params: Params, batch: Gapped, context: Context = Context()) -> Array:
        dropout, table = context.dropout, params["embedding"]
        if dropout is not None and config.dropout.embedding:
            key, rate = dropout.at(2).keys.embedding, dropout.rates.embedding
            table = drop.embedding_dropout(key, table, rate)
        read = []
        for number, (name, layer) in enumerate(layers.items()):
            here = on_real_steps(inside(context, name, number), batch.mask[WORDS[name]])
            state = layer.initial_state(params[name], batch.words.shape[1])
            xs = Indexed(table, batch.words[WORDS[name]])
            read.append(layer.apply(params[name], xs, state, here)[1])
        join = params["join"]
        us = jnp.tanh(
            add_bias(matmul(jnp.concatenate(read, axis=-1), join["w"]), join["b"])
        )
        if dropout is not None and config.dropout.output:
            us = drop.features(dropout.at(3), us, config.dropout.kind, "output")
        return softmax_logits(params["softmax"], params["embedding"], us)

    return GapModel(logits, make_problem(init, logits, parts), parts)


def make_layers(
    config: ModelConfig, sides: str, stacks: dict[str, Layer] | None = None
) -> dict[str, Layer]:
    """The stacks by direction, the backward one turned around; see `build_gap`."""
    found = {}
    for name in SIDES[sides]:
        layer = stacks[name] if stacks else stack_of(config)
        if layer.step is None:
            raise ConfigError(
                f"the {name} stack of a missing word's network reads from both sides: "
                "its state beside the gap has seen the word; use a one-way stack"
            )
        found[name] = backward(layer) if name == "backward" else layer
    return found


def make_problem(init, logits, parts: tuple[Part, ...]) -> Problem:
    """−ln P of the words that are asked; batches stand alone."""

    def nats(params: Params, batch: Gapped, context: Context) -> tuple[Array, Array]:
        found_TBV = logits(params, batch, context)
        return found_TBV, token_nats(found_TBV, batch.words[1:-1])

    def loss(params: Params, carry: tuple, batch: Gapped, context: Context):
        _, nats_TB = nats(params, batch, context)
        return carry, Sum(jnp.sum(nats_TB * batch.asked), jnp.sum(batch.asked))

    def evaluate(params: Params, carry: tuple, batch: Gapped):
        found_TBV, nats_TB = nats(params, batch, Context())
        right_TB = jnp.argmax(found_TBV, axis=-1) == batch.words[1:-1]
        count = jnp.sum(batch.asked)
        return carry, {
            "loss": Sum(jnp.sum(nats_TB * batch.asked), count),
            "accuracy": Sum(jnp.sum(right_TB * batch.asked), count),
        }

    def focus(batch: Gapped):
        """The gap in the middle of each sentence; lag 0 is its neighbour on the side
        that a part reads: arrays of both parts begin with the gap at 0."""
        count_B = jnp.sum(batch.asked > 0, axis=0)
        middle_B = jnp.maximum(count_B - 1, 0) // 2
        steps = jnp.arange(len(batch.asked))[:, None]
        asked = batch.asked * (steps == middle_B[None])
        return batch._replace(asked=asked), {part.name: middle_B for part in parts}

    return Problem(
        init=init,
        carry=lambda params, lanes: (),
        loss=loss,
        evaluate=evaluate,
        taps=lambda params, batch: taps_of(parts, params, *batch.asked.shape),
        parts=parts,
        focus=focus,
    )
