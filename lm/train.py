"""One step of training and one of evaluation, both pure.

    state, info = train_step(state, batch, key, numbers)

The loop, the clock and the files are the caller's. `info` is a record of numbers,
so that nothing is lost by not printing.
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

from lm.config import ConfigError, OptimConfig
from lm.dropout import Dropout, Lanes, rates_of
from lm.lanes import lanes_of
from lm.optim import Hyperparameters, clipper, optimizer
from lm.precision import in_precision
from lm.problem import InitNumbers, Problem
from lm.regularizers import gradient_with_omega
from lm.types import Array, Context, Params, State, Sum


class TrainState(NamedTuple):
    """All that a step changes.

    step       () int32, how many steps were taken.
    params     the model's.
    opt_state  optax's.
    carry      what the last batch hands on: recurrent states, leaves (B, …).
    average    averaged parameters, or None.
    """

    step: Any
    params: Params
    opt_state: Any
    carry: State
    average: Any = None


class StepInfo(NamedTuple):
    """What one step measured; P groups, one per leaf of `params` (`group_names`).

    loss            the problem's, summed, and the count of its terms.
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


def count_parameters(params: Params) -> int:
    """How many numbers a pytree of arrays (or of their shapes) holds."""
    return sum(leaf.size for leaf in jax.tree.leaves(params))


def norms(tree: Params) -> Array:
    """(P,) Euclidean norms of the leaves."""
    return jnp.sqrt(
        jnp.stack([jnp.sum(jnp.square(leaf)) for leaf in jax.tree.leaves(tree)])
    )


def init_state(
    problem: Problem,
    optim: OptimConfig,
    numbers: Hyperparameters,
    key: Array,
    batch: int,
    inits: InitNumbers | None = None,
) -> TrainState:
    """Fresh parameters and an optimizer at rest, for B = batch lanes.

    inits: in place of the config's own, see `Problem.init`.
    """
    params = problem.init(key, inits)
    return TrainState(
        step=jnp.zeros((), jnp.int32),
        params=params,
        opt_state=optimizer(optim, numbers).init(params),
        carry=problem.carry(params, batch),
        average=None if optim.average == "none" else jax.tree.map(jnp.copy, params),
    )


def make_loss(problem: Problem, optim: OptimConfig, here: Lanes | None = None):
    """loss(params, carry, batch, key, rates, context) -> (value, (carry, Sum)).

    The value is what is differentiated: the problem's loss per term, or summed over
    time and averaged over lanes (`optim.reduction`). here: see `lm.parallel`.

    Raises:
      ConfigError: for `optim.truncation` of a problem that has no such form.
    """
    if optim.truncation:
        problem = truncated(problem, optim.truncation)

    def loss(params, carry, batch, key, rates, context=Context()):
        if key is not None:
            context = context._replace(dropout=Dropout(key, rates, here))
        carry, total = problem.loss(params, carry, batch, context)
        terms = jnp.maximum(total.count, 1)
        divisor = terms if optim.reduction == "token" else lanes_of(batch)
        return total.total / divisor, (carry, total)

    return loss


def truncated(problem: Problem, τ: int) -> Problem:
    """The problem with τ steps of gradient; ConfigError where it cannot."""
    if problem.truncated is None:
        raise ConfigError(
            f"optim.truncation is {τ}, but what is trained here is not cut into "
            "steps: set it to 0"
        )
    return problem.truncated(τ)


def make_gradient(problem: Problem, optim: OptimConfig):
    """gradient(params, carry, batch, key, rates) -> (∂value/∂params, (carry, Sum)).

    With `optim.omega`, plus that many times the immediate derivative of Ω.
    """
    loss = make_loss(problem, optim)
    if optim.omega:
        gradient = gradient_with_omega(problem, loss, optim.omega)
    else:
        gradient = jax.grad(loss, has_aux=True)
    return in_precision(optim.precision, gradient)


def make_train_step(problem: Problem, optim: OptimConfig, gradient=None):
    """train_step(state, batch, key, numbers) -> (state, info).

    gradient: in place of `make_gradient`'s, with its signature.
    """
    gradient = gradient or make_gradient(problem, optim)

    def train_step(
        state: TrainState, batch: Any, key: Array, numbers: Hyperparameters
    ) -> tuple[TrainState, StepInfo]:
        now = jax.random.fold_in(key, state.step)
        raw, (carry, total) = gradient(
            state.params, state.carry, batch, now, numbers.rates
        )
        clipped, _ = clipper(optim, numbers.clip_at).update(raw, optax.EmptyState())
        updates, opt_state = optimizer(optim, numbers).update(
            clipped, state.opt_state, state.params
        )
        updates = at_own_rates(problem, updates)
        params = optax.apply_updates(state.params, updates)
        gradients_P = norms(raw)
        gradient_norm = jnp.linalg.norm(gradients_P)
        info = StepInfo(
            loss=total,
            gradient_norm=gradient_norm,
            clipped_norm=clipped_norm(optim, gradient_norm, clipped, numbers),
            gradients_P=gradients_P,
            weights_P=norms(params),
            updates_P=update_norms(
                problem, optim, updates, gradients_P, gradient_norm, numbers
            ),
        )
        average = averaged(optim, state.average, params, state.step)
        return TrainState(state.step + 1, params, opt_state, carry, average), info

    return train_step


def at_own_rates(problem: Problem, updates: Params) -> Params:
    """The updates times each cell's own factors (`Cell.rates`)."""
    factors: dict[Any, float] = {
        (*part.path, name): factor
        for part in problem.parts
        for name, factor in (part.cell.rates or {}).items()
    }
    if not factors:
        return updates

    def scaled(path, update):
        keys = tuple(getattr(k, "key", getattr(k, "idx", None)) for k in path)
        return factors.get(keys, 1.0) * update

    return jax.tree_util.tree_map_with_path(scaled, updates)


def clipped_norm(optim: OptimConfig, gradient_norm, clipped: Params, numbers):
    """The global norm after clipping; known without another pass unless by value."""
    if optim.clip == "norm":
        return jnp.minimum(gradient_norm, numbers.clip_at)
    return gradient_norm if optim.clip == "none" else jnp.linalg.norm(norms(clipped))


def update_norms(
    problem: Problem, optim: OptimConfig, updates: Params, gradients_P, norm, numbers
):
    """(P,) norms of the updates; for plain SGD they follow from the gradients', which
    saves a pass over all parameters."""
    plain = optim.optimizer == "sgd" and not optim.weight_decay
    own = any(part.cell.rates for part in problem.parts)
    if not plain or optim.clip == "value" or own:
        return norms(updates)
    scale = jnp.minimum(1.0, numbers.clip_at / norm) if optim.clip == "norm" else 1.0
    return jnp.abs(numbers.learning_rate) * scale * gradients_P


def averaged(optim: OptimConfig, average, params: Params, step):
    """The parameter average after a step: tail (Polyak & Juditsky 1992), ema of decay
    d, or ema_corrected, divided by 1 − d^(step + 1) as moments are (Kingma & Ba 2015,
    §3), which comes to a larger share of the newest."""
    if optim.average == "none":
        return None
    decay = optim.average_decay
    if optim.average == "ema":
        share = 1 - decay
    elif optim.average == "ema_corrected":
        share = (1 - decay) / (1 - decay ** (step + 1))
    else:
        share = 1 / jnp.maximum(1, step + 1 - optim.average_from)
    return jax.tree.map(lambda a, p: a + share * (p - a), average, params)


def evaluation_params(state: TrainState) -> Params:
    """The parameters that evaluation and generation use."""
    return state.params if state.average is None else state.average


def make_eval_step(problem: Problem):
    """eval_step(params, carry, batch) -> (carry, {name: Sum}): no dropout, state
    carried."""

    def eval_step(params: Params, carry: State, batch: Any):
        return problem.evaluate(params, carry, batch)

    return eval_step
