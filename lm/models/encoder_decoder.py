"""From one sequence to another: an encoder makes a memory, a decoder writes from it.

    memory = encoder(source)        P(y | source) = Π_t P(y_t | y_1 … y_{t−1}, memory)

Any encoder goes with any decoder; `lm.models.encoders` has one for sentences. Trained
by teacher forcing: the decoder reads the target's words. Where a batch says `own` it
reads the word that it found likeliest itself in a first pass over the target (Bengio,
Vinyals, Jaitly & Shazeer 2015, all steps at once as in Mihaylova & Martins 2019).
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from lm.attention import Memory
from lm.layers import inside, on_real_steps
from lm.losses import smoothed_nats, token_nats
from lm.models.decoder import Decoder
from lm.problem import Problem, taps_of
from lm.types import Array, Context, Pairs, Params, Part, Sum


class Encoder(NamedTuple):
    """Pure functions.

    init    (key, numbers) -> params.
    apply   (params, source, source_mask, context) -> Memory.
    parts   the cells at their places in the parameters.
    """

    init: Callable[..., Params]
    apply: Callable[..., Memory]
    parts: tuple[Part, ...] = ()


class EncoderDecoder(NamedTuple):
    """Pure functions.

    encode   (params, source, source_mask, context) -> Memory.
    begin    (params, source, source_mask) -> the decoder's state before `<eos>`.
    step     (params, state, token_B) -> (state, logits_BV), for lm.generate.
    logits   (params, batch: Pairs, context) -> logits_TBV.
    weights  (params, batch: Pairs) -> α_BTS, where each step looks; None: nowhere.
    problem  what is trained: −ln P of each word of the target, its end included, and
             "accuracy" beside it, the share that is likeliest, both with the right
             words before.
    """

    encode: Callable[..., Memory]
    begin: Callable[..., Any]
    step: Callable[..., Any]
    logits: Callable[..., Array]
    weights: Callable[[Params, Pairs], Array | None]
    problem: Problem


def join(
    encoder: Encoder, decoder: Decoder, smoothing: float = 0.0, own: bool = False
) -> EncoderDecoder:
    """The encoder before the decoder.

    smoothing  of the labels, in training (`lm.losses.smoothed_nats`).
    own        whether batches say that the decoder reads words of its own.
    """
    parts = (
        *(part.under("encoder", "encoder") for part in encoder.parts),
        *(part.under("decoder", "decoder") for part in decoder.parts),
    )

    def init(key: Array, numbers: Any = None) -> Params:
        first, second = jax.random.split(key)
        return {
            "encoder": encoder.init(first, numbers),
            "decoder": decoder.init(second, numbers),
        }

    def encode(
        params: Params, source: Array, mask_SB: Array, context: Context = Context()
    ) -> Memory:
        here = on_real_steps(inside(context, "encoder"), mask_SB)
        return encoder.apply(params["encoder"], source, mask_SB, here)

    def begin(params: Params, source: Array, mask_SB: Array) -> Any:
        return decoder.begin(params["decoder"], encode(params, source, mask_SB))

    def logits(params: Params, batch: Pairs, context: Context = Context()) -> Array:
        memory = encode(params, batch.source, batch.source_mask, context)
        state = decoder.begin(params["decoder"], memory)
        here = inside(context, "decoder")
        _, us_TBH = decoder.apply(params["decoder"], batch.inputs, state, here)
        return decoder.logits(params["decoder"], us_TBH)

    def weights(params: Params, batch: Pairs) -> Array | None:
        state = begin(params, batch.source, batch.source_mask)
        return decoder.weights(params["decoder"], batch.inputs, state)

    def step(params: Params, state: Any, token_B: Array):
        return decoder.step(params["decoder"], state, token_B)

    problem = make_problem(init, logits, parts, smoothing, own)
    return EncoderDecoder(encode, begin, step, logits, weights, problem)


def with_own_words(logits_TBV: Array, batch: Pairs) -> Pairs:
    """The batch, but with the likeliest words of these logits read where it says so."""
    said_TB = jnp.argmax(logits_TBV, axis=-1).astype(batch.inputs.dtype)
    before_TB = jnp.concatenate([batch.inputs[:1], said_TB[:-1]])
    return batch._replace(inputs=jnp.where(batch.own > 0, before_TB, batch.inputs))


def make_problem(
    init, logits, parts: tuple[Part, ...], smoothing: float, own: bool
) -> Problem:
    """−ln P of the words of the targets; batches stand alone."""

    def loss(params: Params, carry: tuple, batch: Pairs, context: Context):
        if own:
            plain = context._replace(taps=None, recorded=None)
            first = logits(params, batch, plain)
            batch = with_own_words(jax.lax.stop_gradient(first), batch)
        found_TBV = logits(params, batch, context)
        nats_TB = smoothed_nats(found_TBV, batch.targets, smoothing)
        return carry, Sum(jnp.sum(nats_TB * batch.mask), jnp.sum(batch.mask))

    def evaluate(params: Params, carry: tuple, batch: Pairs):
        found_TBV = logits(params, batch)
        right_TB = jnp.argmax(found_TBV, axis=-1) == batch.targets
        nats_TB = token_nats(found_TBV, batch.targets)
        count = jnp.sum(batch.mask)
        return carry, {
            "loss": Sum(jnp.sum(nats_TB * batch.mask), count),
            "accuracy": Sum(jnp.sum(right_TB * batch.mask), count),
        }

    def focus(batch: Pairs):
        """The word in the middle of each target. Lag 0 of the decoder is its step; of
        the encoder the last step of each direction, the one that the decoder's first
        state is made of."""
        asked_B = jnp.maximum(jnp.sum(batch.mask > 0, axis=0) - 1, 0) // 2
        last_B = jnp.maximum(jnp.sum(batch.source_mask > 0, axis=0) - 1, 0)
        steps = jnp.arange(len(batch.mask))[:, None]

        def origin(part: Part) -> Array:
            if part.name.startswith("decoder"):
                return asked_B
            return jnp.zeros_like(last_B) if part.reverse else last_B

        asked = batch.mask * (steps == asked_B[None])
        return batch._replace(mask=asked), {p.name: origin(p) for p in parts}

    def taps(params: Params, batch: Pairs):
        whole = {True: batch.mask.shape, False: batch.source_mask.shape}
        found = {}
        for part in parts:
            shape = whole[part.name.startswith("decoder")]
            found |= taps_of((part,), params, *shape)
        return found

    return Problem(
        init=init,
        carry=lambda params, lanes: (),
        loss=loss,
        evaluate=evaluate,
        taps=taps,
        parts=parts,
        focus=focus,
    )
