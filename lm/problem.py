"""What is trained: a record of pure functions, and no more is known of it elsewhere.

Training steps, data parallel, populations, evaluation, probes and the instruments of
`lm.gradflow` take a `Problem`. A model makes one (`lm.models`).
"""

from collections.abc import Callable
from dataclasses import fields, replace
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from lm.config import ConfigError, InitConfig
from lm.lanes import by_lane
from lm.types import Array, Context, Layer, Params, Part, State, Sum


class InitNumbers(NamedTuple):
    """The numbers of an `InitConfig`; each may be traced."""

    scale: Any
    gain: Any
    forget_bias: Any


class Problem(NamedTuple):
    """Pure functions; a batch is a NamedTuple of arrays whose lanes are axis 1, or axis
    0 of a field of rank 1.

    init       (key, numbers: InitNumbers | None) -> params. None: the config's.
    carry      (params, B) -> what a batch hands to the next, leaves (B, …); () where
               batches stand alone.
    loss       (params, carry, batch, context) -> (carry, Sum). The sum is what is
               differentiated, and divided once, by its count or by the lanes.
    evaluate   (params, carry, batch) -> (carry, {name: Sum}), "loss" among them.
    taps       (params, batch) -> {part's name: a state of zeros (T, B, …)}.
    parts      the cells inside, at their places in the parameters.
    focus      (batch) -> (batch with one loss term a lane, {part's name: origin_B}):
               lag 0 of each part is the step origin.
    truncated  (τ) -> the problem whose gradients reach τ recurrent steps back; None:
               it has no such form.
    """

    init: Callable[..., Params]
    carry: Callable[[Params, int], State]
    loss: Callable[[Params, State, Any, Context], tuple[State, Sum]]
    evaluate: Callable[[Params, State, Any], tuple[State, dict[str, Sum]]]
    taps: Callable[[Params, Any], dict[str, State]]
    parts: tuple[Part, ...]
    focus: Callable[[Any], tuple[Any, dict[str, Array]]]
    truncated: Callable[[int], "Problem"] | None = None


def start(
    initial_state: Callable[[Params, int], State],
    params: Params,
    carry: State,
    fresh_B: Array,
) -> State:
    """The carried state, but the initial one in lanes that start anew."""
    initial = initial_state(params, fresh_B.shape[0])
    return jax.tree.map(
        lambda i, c: jnp.where(by_lane(fresh_B, i), i, c), initial, carry
    )


def taps_of(parts: tuple[Part, ...], params: Params, steps: int, lanes: int):
    """Zeros for `Context.taps`: {part's name: a state of (T, B, …) arrays}."""

    def zeros(part: Part) -> State:
        state = part.cell.initial_state(part.of(params), lanes)
        return jax.tree.map(lambda s: jnp.zeros((steps, *s.shape), s.dtype), state)

    return {part.name: zeros(part) for part in parts}


def one_way(layer: Layer, what: str) -> Layer:
    """The layer, if it can be taken step by step.

    Raises:
      ConfigError: naming `what` needs it.
    """
    if layer.step is None:
        raise ConfigError(
            f"{what} takes one step at a time, but this network reads from the right "
            "as well: use a one-way stack"
        )
    return layer


class TracedInit(InitConfig):
    """An `InitConfig` whose numbers are traced; the config that they are of was
    checked."""

    def __post_init__(self):
        pass


def with_numbers(config: Any, numbers: InitNumbers | None) -> Any:
    """A `ModelConfig` with these numbers in place of its init's own."""
    if numbers is None:
        return config
    known = {f.name: getattr(config.init, f.name) for f in fields(InitConfig)}
    return replace(config, init=TracedInit(**(known | numbers._asdict())))


def init_numbers(config: InitConfig) -> InitNumbers:
    """The config's numbers."""
    return InitNumbers(config.scale, config.gain, config.forget_bias)
