"""One step of training and one of evaluation, both pure.

    state, info = train_step(state, batch, key, numbers)

The loop, the clock and the files are the caller's. `info` is a record of numbers,
so that nothing is lost by not printing.
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

from lm.config import OptimConfig
from lm.dropout import Dropout, Lanes, rates_of
from lm.losses import Sum, cross_entropy
from lm.model import LanguageModel
from lm.optim import Hyperparameters, clipper, optimizer
from lm.regularizers import gradient_with_omega
from lm.truncation import truncated_apply
from lm.types import Array, Batch, Params, State


class TrainState(NamedTuple):
    """All that a step changes.

    step       () int32, how many steps were taken.
    params     the model's.
    opt_state  optax's.
    carry      the recurrent state at the end of the last window, leaves (B, H).
    average    averaged parameters, or None.
    """

    step: Any
    params: Params
    opt_state: Any
    carry: State
    average: Any = None


class StepInfo(NamedTuple):
    """What one step measured; P groups, one per leaf of `params` (`group_names`).

    loss            nats summed over the window's tokens, and their count.
    gradient_norm   global, before clipping.
    clipped_norm    global, after clipping.
    gradients_P, weights_P, updates_P
                    norms per group: of the raw gradient, of the weights after the
                    step (before it, they would have to be copied) and of the update.
    """

    loss: Sum
    gradient_norm: Any
    clipped_norm: Any
    gradients_P: Any
    weights_P: Any
    updates_P: Any


def numbers_of(config, learning_rate: float | None = None) -> Hyperparameters:
    """Hyperparameters of a config with fields `optim` and `model`."""
    rate = config.optim.learning_rate if learning_rate is None else learning_rate
    rates = rates_of(config.model.dropout)
    return Hyperparameters(rate, config.optim.clip_at, config.optim.weight_decay, rates)


def group_names(params: Params) -> list[str]:
    """The name of each parameter group in the order of P: "layers.0.w_h", …"""
    paths = jax.tree_util.tree_leaves_with_path(params)
    return [jax.tree_util.keystr(p, simple=True, separator=".") for p, _ in paths]


def norms(tree: Params) -> Array:
    """(P,) Euclidean norms of the leaves."""
    return jnp.sqrt(
        jnp.stack([jnp.sum(jnp.square(leaf)) for leaf in jax.tree.leaves(tree)])
    )


def init_state(
    model: LanguageModel, optim: OptimConfig, numbers, key: Array, batch: int
) -> TrainState:
    """Fresh parameters and an optimizer at rest, for B = batch lanes."""
    params = model.init(key)
    return TrainState(
        step=jnp.zeros((), jnp.int32),
        params=params,
        opt_state=optimizer(optim, numbers).init(params),
        carry=model.initial_state(params, batch),
        average=None if optim.average == "none" else jax.tree.map(jnp.copy, params),
    )


def start(model: LanguageModel, params: Params, carry: State, fresh_B: Array) -> State:
    """The carried state, but the initial one in lanes that start anew."""
    initial = model.initial_state(params, fresh_B.shape[0])
    fresh_B1 = fresh_B[:, None]
    return jax.tree.map(lambda i, c: jnp.where(fresh_B1, i, c), initial, carry)


def make_loss(
    model: LanguageModel,
    optim: OptimConfig,
    here: Lanes | None = None,
    measure=cross_entropy,
):
    """loss(params, carry, batch, key, rates, *, taps, driver) -> (value, (carry, Sum)).

    The value is what is differentiated: nats per token, or summed over time and
    averaged over lanes (`optim.reduction`). here: see `lm.parallel`. measure: what to
    take in place of cross-entropy, (outputs, targets, mask) -> Sum (see `lm.heads`).
    """

    def loss(params, carry, batch: Batch, key, rates, *, taps=None, driver=None):
        carry = start(model, params, carry, batch.fresh)
        dropout = None if key is None else Dropout(key, rates, here)
        if optim.truncation:
            carry, hs = truncated_apply(
                model, params, batch.inputs, carry, optim.truncation
            )
        else:
            carry, hs = model.apply(
                params, batch.inputs, carry, dropout=dropout, taps=taps, driver=driver
            )
        total = measure(model.logits(params, hs), batch.targets, batch.mask)
        lanes = batch.targets.shape[1]
        tokens = jnp.maximum(total.count, 1)
        value = total.nats / (tokens if optim.reduction == "token" else lanes)
        return value, (carry, total)

    return loss


def make_gradient(model: LanguageModel, optim: OptimConfig, measure=cross_entropy):
    """gradient(params, carry, batch, key, rates) -> (∂value/∂params, (carry, Sum)).

    With `optim.omega`, plus that many times the immediate derivative of Ω.
    """
    loss = make_loss(model, optim, measure=measure)
    if optim.omega:
        return gradient_with_omega(model, loss, optim.omega)
    return jax.grad(loss, has_aux=True)


def make_train_step(model: LanguageModel, optim: OptimConfig, gradient=None):
    """train_step(state, batch, key, numbers) -> (state, info).

    gradient: in place of `make_gradient`'s, with its signature.
    """
    gradient = gradient or make_gradient(model, optim)

    def train_step(
        state: TrainState, batch: Batch, key: Array, numbers: Hyperparameters
    ) -> tuple[TrainState, StepInfo]:
        now = jax.random.fold_in(key, state.step)
        raw, (carry, total) = gradient(
            state.params, state.carry, batch, now, numbers.rates
        )
        clipped, _ = clipper(optim, numbers.clip_at).update(raw, optax.EmptyState())
        updates, opt_state = optimizer(optim, numbers).update(
            clipped, state.opt_state, state.params
        )
        params = optax.apply_updates(state.params, updates)
        gradients_P = norms(raw)
        gradient_norm = jnp.linalg.norm(gradients_P)
        info = StepInfo(
            loss=total,
            gradient_norm=gradient_norm,
            clipped_norm=clipped_norm(optim, gradient_norm, clipped, numbers),
            gradients_P=gradients_P,
            weights_P=norms(params),
            updates_P=update_norms(optim, updates, gradients_P, gradient_norm, numbers),
        )
        average = averaged(optim, state.average, params, state.step)
        return TrainState(state.step + 1, params, opt_state, carry, average), info

    return train_step


def clipped_norm(optim: OptimConfig, gradient_norm, clipped: Params, numbers):
    """The global norm after clipping; known without another pass unless by value."""
    if optim.clip == "norm":
        return jnp.minimum(gradient_norm, numbers.clip_at)
    return gradient_norm if optim.clip == "none" else jnp.linalg.norm(norms(clipped))


def update_norms(optim: OptimConfig, updates: Params, gradients_P, norm, numbers):
    """(P,) norms of the updates; for plain SGD they follow from the gradients', which
    saves a pass over all parameters."""
    if optim.optimizer != "sgd" or optim.weight_decay or optim.clip == "value":
        return norms(updates)
    scale = jnp.minimum(1.0, numbers.clip_at / norm) if optim.clip == "norm" else 1.0
    return jnp.abs(numbers.learning_rate) * scale * gradients_P


def averaged(optim: OptimConfig, average, params: Params, step):
    """The parameter average after a step: ema, or tail (Polyak & Juditsky 1992)."""
    if optim.average == "none":
        return None
    if optim.average == "ema":
        share = 1 - optim.average_decay
    else:
        share = 1 / jnp.maximum(1, step + 1 - optim.average_from)
    return jax.tree.map(lambda a, p: a + share * (p - a), average, params)


def evaluation_params(state: TrainState) -> Params:
    """The parameters that evaluation and generation use."""
    return state.params if state.average is None else state.average


def make_eval_step(model: LanguageModel):
    """eval_step(params, carry, batch) -> (carry, Sum): no dropout, state carried."""

    def eval_step(params: Params, carry: State, batch: Batch) -> tuple[State, Sum]:
        carry = start(model, params, carry, batch.fresh)
        carry, hs = model.apply(params, batch.inputs, carry)
        logits = model.logits(params, hs)
        return carry, cross_entropy(logits, batch.targets, batch.mask)

    return eval_step
