"""`OptimConfig` to one optax chain, and learning-rate schedules as pure functions.

Numbers that a sweep varies (`Hyperparameters`) are arguments of the chain, so that a
compiled step takes them as traced scalars; their kinds are fixed by the config.
"""

import math
from typing import Any, NamedTuple

import optax

from lm.config import OptimConfig
from lm.dropout import Rates


class Hyperparameters(NamedTuple):
    """The numbers of one training step; each may be traced."""

    learning_rate: Any
    clip_at: Any
    weight_decay: Any
    rates: Rates


def clipper(config: OptimConfig, clip_at) -> optax.GradientTransformation:
    """Clipping by global norm (Pascanu 2013, algorithm 1) or by value."""
    if config.clip == "norm":
        return optax.clip_by_global_norm(clip_at)
    if config.clip == "value":
        return optax.clip(clip_at)
    return optax.identity()


def optimizer(
    config: OptimConfig, numbers: Hyperparameters
) -> optax.GradientTransformation:
    """From clipped gradients to updates: scale, decay, then −learning rate.

    rmsprop divides by √(mean square + eps), as the tutorial's does.
    """
    decay = optax.add_decayed_weights(numbers.weight_decay)
    rules = {
        "sgd": optax.identity(),
        "momentum": optax.trace(config.momentum),
        "rmsprop": optax.scale_by_rms(config.decay, config.eps),
        "adam": optax.scale_by_adam(config.b1, config.b2, config.eps),
        "adamw": optax.scale_by_adam(config.b1, config.b2, config.eps),
    }
    rule = rules[config.optimizer]
    step = optax.scale(-numbers.learning_rate)
    if config.optimizer == "adamw":
        return optax.chain(rule, decay, step)
    if config.weight_decay:
        return optax.chain(decay, rule, step)
    return optax.chain(rule, step)


class ScheduleState(NamedTuple):
    """What a schedule remembers, all plain numbers.

    scale     factor on the learning rate so far.
    last      training loss of the epoch before.
    best      best validation score so far.
    waited    evaluations since `best`.
    """

    scale: float = 1.0
    last: float = math.inf
    best: float = math.inf
    waited: int = 0


def after_epoch(
    config: OptimConfig, state: ScheduleState, epoch: int, train: float
) -> ScheduleState:
    """The state after `epoch` epochs (1, 2, …), the last with this training loss."""
    scale = state.scale
    if config.schedule == "halve_on_rise" and train > state.last:
        scale *= config.factor
    elif config.schedule == "step_decay" and epoch >= config.hold:
        scale *= config.factor
    return state._replace(scale=max(scale, config.floor), last=train)


def after_evaluation(
    config: OptimConfig, state: ScheduleState, valid: float
) -> ScheduleState:
    """The state after an evaluation on the validation split; smaller is better."""
    scale, waited = state.scale, 0 if valid < state.best else state.waited + 1
    if config.schedule == "plateau" and waited >= config.patience:
        scale, waited = max(scale * config.factor, config.floor), 0
    return state._replace(scale=scale, best=min(valid, state.best), waited=waited)


def learning_rate(
    config: OptimConfig, state: ScheduleState, step: int, steps: int
) -> float:
    """The learning rate of step `step` (0, 1, …) of `steps`."""
    scale = state.scale
    if config.warmup and step < config.warmup:
        scale *= (step + 1) / config.warmup
    elif config.schedule == "cosine":
        past = (step - config.warmup) / max(1, steps - config.warmup)
        wave = 0.5 * (1 + math.cos(math.pi * min(1.0, past)))
        scale *= config.floor + (1 - config.floor) * wave
    return config.learning_rate * scale
