"""Dynamic evaluation: parameters that go on learning from the text they are scored on.

Krause, Kahembwe, Murray & Renals 2018, "Dynamic evaluation of neural sequence models".
A text is read in segments of T tokens. Each is scored first, by the parameters as they
are, and learnt from afterwards, so that every probability is of the past alone:

    g = ∂/∂θ (Σ nats of the segment) / (T·B)        back to the segment's beginning
    θ ← θ + min(λ R, 1) ⊙ (θ₀ − θ) − η g / (RMS + ε)

    RMS = √(mean over segments of the training text of g², at θ₀)    R = RMS / mean RMS

Its result is not comparable with that of a fixed model, since the model that scores the
last token has been trained on the test text before it. With η = 0 nothing moves.

Two programs define "mean RMS" differently (`MEANS`), so their λ are not exchangeable:
`tensors`, the mean over parameter tensors of each one's own mean (Krause's), and
`elements`, the mean over all numbers (lamb, of Melis et al. 2020). Tensors are the
leaves of the parameters here, which packs the gates of a layer into one.
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from lm.losses import token_nats
from lm.models.language_model import LanguageModel
from lm.problem import start
from lm.train import count_parameters
from lm.types import Array, Batch, Params, State


class Rule(NamedTuple):
    """η, λ and ε; each may be traced."""

    rate: Any
    decay: Any
    epsilon: Any


class Statistics(NamedTuple):
    """Of gradients on the training text: rms like the parameters, and its mean ()."""

    rms: Params
    mean: Any


class Outputs(NamedTuple):
    """What a window gives: hs_TBH before each target, and nats_TBK of the targets by
    each of K softmax temperatures; what is said of padding means nothing."""

    hs_TBH: Array
    nats_TBK: Array


def _mean_of_tensors(rms: Params) -> Array:
    return jnp.mean(jnp.stack([jnp.mean(leaf) for leaf in jax.tree.leaves(rms)]))


def _mean_of_elements(rms: Params) -> Array:
    total = sum(jnp.sum(leaf) for leaf in jax.tree.leaves(rms))
    return total / count_parameters(rms)


MEANS = {"tensors": _mean_of_tensors, "elements": _mean_of_elements}


def make_fixed_step(model: LanguageModel):
    """fixed_step(params, carry, batch, temperatures_K) -> (carry, Outputs)."""

    def fixed_step(params: Params, carry: State, batch: Batch, temperatures_K: Array):
        carry, hs, logits = _read(model, params, carry, batch)
        return carry, _outputs(hs, logits, batch, temperatures_K)

    return fixed_step


def make_dynamic_step(model: LanguageModel):
    """dynamic_step(params, carry, batch, temperatures_K, θ₀, statistics, rule) ->
    (params, carry, Outputs): the segment's outputs by the parameters given, and the
    parameters after it."""
    gradient = _make_gradient(model)

    def dynamic_step(
        params: Params,
        carry: State,
        batch: Batch,
        temperatures_K: Array,
        first: Params,
        statistics: Statistics,
        rule: Rule,
    ):
        g, (carry, hs, logits) = gradient(params, carry, batch)
        outputs = _outputs(hs, logits, batch, temperatures_K)
        return updated(params, g, first, statistics, rule), carry, outputs

    return dynamic_step


def updated(
    params: Params, gradient: Params, first: Params, statistics: Statistics, rule: Rule
) -> Params:
    """θ after a segment whose gradient is g."""

    def leaf(θ, g, θ0, rms):
        back = jnp.minimum(rule.decay * rms / statistics.mean, 1.0)
        return θ + back * (θ0 - θ) - rule.rate * g / (rms + rule.epsilon)

    return jax.tree.map(leaf, params, gradient, first, statistics.rms)


def make_squares_step(model: LanguageModel):
    """squares_step(squares, params, carry, batch) -> (squares, carry): plus the square
    of the segment's gradient."""
    gradient = _make_gradient(model)

    def squares_step(squares: Params, params: Params, carry: State, batch: Batch):
        g, (carry, _, _) = gradient(params, carry, batch)
        return jax.tree.map(lambda s, g: s + jnp.square(g), squares, g), carry

    return squares_step


def statistics_of(squares: Params, segments: int, mean: str) -> Statistics:
    """From the sum of squared gradients over so many segments; mean: one of MEANS."""
    rms = jax.tree.map(lambda s: jnp.sqrt(s / segments), squares)
    return Statistics(rms, MEANS[mean](rms))


def _read(model: LanguageModel, params: Params, carry: State, batch: Batch):
    carry = start(model.initial_state, params, carry, batch.fresh)
    carry, hs = model.apply(params, batch.inputs, carry)
    return carry, hs, model.logits(params, hs)


def _outputs(hs: Array, logits: Array, batch: Batch, temperatures_K: Array) -> Outputs:
    """Softmax of logits / τ (a temperature over 1 spreads probability)."""
    nats_KTB = jax.lax.map(
        lambda τ: token_nats(logits / τ, batch.targets), temperatures_K
    )
    return Outputs(hs, jnp.moveaxis(nats_KTB, 0, -1))


def _make_gradient(model: LanguageModel):
    """gradient(params, carry, batch) -> (g, (carry, hs, logits)). The divisor is T·B,
    padding counted: a segment of one token moves θ as one token of T does."""

    def loss(params: Params, carry: State, batch: Batch):
        carry, hs, logits = _read(model, params, carry, batch)
        nats = token_nats(logits, batch.targets) * batch.mask
        return jnp.sum(nats) / batch.mask.size, (carry, hs, logits)

    return jax.grad(loss, has_aux=True)
