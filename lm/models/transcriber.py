"""A sequence of vectors into a string of symbols: speech into what is said.

    x′_t = x_{s·t} … x_{s·t+s−1} side by side    h = stack(x′)
    P(symbol or blank at t) = softmax(h_t·W + b)

trained by connectionist temporal classification (lm.ctc), the stack reading both ways
as in Graves, Mohamed & Hinton 2013, or one way. Steps of the stack are s = `stacked`
frames each, so that T′ = ⌈T/s⌉ (Sak et al. 2015); the last is filled up with 0.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from lm.cells.forms import draw
from lm.config import ModelConfig
from lm.ctc import BLANK, best_path, edit_distances, string_nats
from lm.dropout import features
from lm.layers import on_real_steps
from lm.models.stacks import stack_of
from lm.problem import InitNumbers, Problem, taps_of, with_numbers
from lm.types import Array, Context, Layer, Params, Part, Sum, Transcribed


class Transcriber(NamedTuple):
    """Pure functions.

    logits   (params, batch, context) -> (T′, B, 1 + symbols), the blank first.
    steps    (mask_TB) -> the mask of the steps, (T′, B).
    problem  what is trained: nats a symbol, and the errors of the best path beside.
    layer    the recurrent stack.
    parts    its cells at their places in the parameters.
    """

    logits: Callable[..., Array]
    steps: Callable[[Array], Array]
    problem: Problem
    layer: Layer
    parts: tuple[Part, ...]


def build_transcriber(
    config: ModelConfig,
    d_in: int,
    symbols: int,
    stacked: int = 1,
    both_ways: bool = True,
) -> Transcriber:
    """The network that `config` describes.

    d_in     width of a frame.
    symbols  how many there are, without the blank.
    stacked  s, frames a step.
    """
    layer = stack_of(config, both_ways=both_ways)

    def init(key: Array, numbers: InitNumbers | None = None) -> Params:
        drawn = with_numbers(config, numbers)
        layers = stack_of(drawn, both_ways=both_ways)
        key_layers, key_out = jax.random.split(key)
        return {
            "layers": layers.init(key_layers, stacked * d_in),
            "symbols": {
                "w": draw(key_out, (layer.d_out, 1 + symbols), drawn.init),
                "b": jnp.zeros(1 + symbols),
            },
        }

    def logits(
        params: Params, batch: Transcribed, context: Context = Context()
    ) -> Array:
        dropout, drops = context.dropout, config.dropout
        mask_TB = every(batch.mask, stacked)
        state = layer.initial_state(params["layers"], mask_TB.shape[1])
        inner = on_real_steps(context, mask_TB)
        xs_TBD = side_by_side(batch.inputs * batch.mask[..., None], stacked)
        _, hs = layer.apply(params["layers"], xs_TBD, state, inner)
        if dropout is not None and drops.output:
            hs = features(dropout.at(config.layers), hs, drops.kind, "output")
        return hs @ params["symbols"]["w"] + params["symbols"]["b"][None, None]

    parts = tuple(part.under("", "layers") for part in layer.parts)
    problem = make_problem(init, logits, parts, stacked)
    return Transcriber(
        logits, lambda mask_TB: every(mask_TB, stacked), problem, layer, parts
    )


def side_by_side(xs_TBD: Array, stacked: int) -> Array:
    """(⌈T/s⌉, B, s·D): s frames a step."""
    steps, lanes, width = xs_TBD.shape
    padded = jnp.pad(xs_TBD, ((0, -steps % stacked), (0, 0), (0, 0)))
    split = padded.reshape(-1, stacked, lanes, width)
    return jnp.swapaxes(split, 1, 2).reshape(len(split), lanes, stacked * width)


def every(mask_TB: Array, stacked: int) -> Array:
    """(⌈T/s⌉, B): the mask of a step is that of its first frame."""
    return mask_TB[::stacked]


def make_problem(init, logits, parts: tuple[Part, ...], stacked: int) -> Problem:
    """−ln P(string) in nats, over the number of symbols of all strings; evaluated:
    "loss", this; "symbol_errors", edits from the best path's strings to the labels over
    the number of labels; "string_errors", the share of strings that are not right.
    Batches stand alone."""

    def nats(found_TBV: Array, batch: Transcribed) -> Sum:
        each_B = string_nats(found_TBV, every(batch.mask, stacked), batch.labels)
        real_SB = (batch.labels != BLANK).astype(each_B.dtype)
        return Sum(jnp.sum(each_B * jnp.max(real_SB, axis=0)), jnp.sum(real_SB))

    def loss(params: Params, carry: tuple, batch: Transcribed, context: Context):
        found_TBV = logits(params, batch, context)
        kept_TB1 = every(batch.kept, stacked)[..., None]
        fixed_TBV = jax.lax.stop_gradient(found_TBV)
        return carry, nats(fixed_TBV + kept_TB1 * (found_TBV - fixed_TBV), batch)

    def evaluate(params: Params, carry: tuple, batch: Transcribed):
        found_TBV = logits(params, batch)
        said_TB = best_path(found_TBV, every(batch.mask, stacked))
        total = nats(found_TBV, batch)
        there_B = jnp.any(batch.labels != BLANK, axis=0)
        edits_B = jnp.where(there_B, edit_distances(said_TB, batch.labels), 0)
        return carry, {
            "loss": total,
            "symbol_errors": Sum(added(edits_B), total.count),
            "string_errors": Sum(added(edits_B > 0), added(there_B)),
        }

    def focus(batch: Transcribed):
        """The loss as a function of the outputs at one step alone, the middle one of
        each string, where lag 0 is: ∂L/∂θ is the sum of these gradients over steps."""
        steps_B = jnp.sum(every(batch.mask, stacked) > 0, axis=0)
        middle_B = jnp.maximum(steps_B - 1, 0) // 2
        frames_T1 = jnp.arange(len(batch.mask))[:, None]
        kept_TB = (frames_T1 == stacked * middle_B[None]).astype(batch.mask.dtype)
        return batch._replace(kept=kept_TB), {p.name: middle_B for p in parts}

    def taps(params: Params, batch: Transcribed) -> dict[str, Any]:
        return taps_of(parts, params, *every(batch.mask, stacked).shape)

    return Problem(
        init=init,
        carry=lambda params, lanes: (),
        loss=loss,
        evaluate=evaluate,
        taps=taps,
        parts=parts,
        focus=focus,
    )


def added(numbers: Array) -> Array:
    """Their sum, as a float."""
    return jnp.sum(numbers.astype(jnp.float32))
