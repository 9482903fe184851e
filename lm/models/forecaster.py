"""Forecasting: the next value of a series as a normal distribution.

    h_1 … h_T = stack(x̃_1 … x̃_T)    x̃ = (x − c)/s
    μ_{t+1} = c + s·(w_μ·h_t + b_μ + a·x̃_t)
    σ²_{t+1} = s²·(softplus(w_σ·h_t + b_σ) + ε)
    loss = −ln N(x_{t+1}; μ, σ²) = ½·ln 2πσ² + (x − μ)²/2σ², in nats a value

Mean and variance are learnt together by maximum likelihood (Nix & Weigend 1994,
equation 4); a, from the last value to the next mean, starts at 1, so that an untrained
network forecasts about what was there last. ε = 1e-4: σ is at least a hundredth of s.
Several steps ahead, the network reads what it has drawn itself (Salinas et al. 2020,
section 3): each path is one possible future.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import lax

from lm.cells.forms import draw
from lm.config import ConfigError, ModelConfig
from lm.dropout import features
from lm.models.language_model import last_token
from lm.models.stacks import stack_of
from lm.problem import InitNumbers, Problem, taps_of, with_numbers
from lm.truncation import states_before, truncated
from lm.types import Array, Batch, Context, Layer, Params, Part, State, Sum

LEAST = 1e-4
QUANTILES = {80: 1.2815515655446004, 95: 1.959963984540054}


class Normal(NamedTuple):
    """Normal distributions: their means and variances, arrays of one shape."""

    mean: Array
    variance: Array

    def nats(self, values: Array) -> Array:
        """−ln density of values, in nats (natural logarithm, of the values' unit)."""
        squares = jnp.square(values - self.mean) / self.variance
        return 0.5 * (jnp.log(2 * jnp.pi * self.variance) + squares)


class Forecaster(NamedTuple):
    """Pure functions.

    forecast  (params, values (T, B, 1), context) -> `Normal` of (T, B): of the value
              after each one.
    states    (params, values (T, B, 1)) -> states before each value, leaves (T, B, …).
    paths     (params, state, values (B, 1), key, steps) -> (steps, B): futures after
              the last value, each drawn from what went before in it. `state` is that
              before the value.
    problem   what is trained.
    layer     the recurrent stack.
    parts     its cells at their places in the parameters.
    """

    forecast: Callable[..., Normal]
    states: Callable[[Params, Array], State]
    paths: Callable[..., Array]
    problem: Problem
    layer: Layer
    parts: tuple[Part, ...]


def build_forecaster(config: ModelConfig, centre: float, spread: float) -> Forecaster:
    """The forecaster that `config` describes.

    centre, spread  c and s: mean and standard deviation of the values to learn from.

    Raises:
      ConfigError: if the config has an embedding.
    """
    if config.embedding:
        raise ConfigError(
            f"model.embedding is {config.embedding}: values go into the cell as they "
            "are, so set it to 0"
        )
    layer = stack_of(config)

    def init(key: Array, numbers: InitNumbers | None = None) -> Params:
        drawn = with_numbers(config, numbers)
        key_layers, key_outputs = jax.random.split(key)
        return {
            "layers": stack_of(drawn).init(key_layers, 1),
            "outputs": {
                "w": draw(key_outputs, (layer.d_out, 2), drawn.init),
                "b": jnp.zeros(2),
                "a": jnp.ones(()),
            },
        }

    def normal(params: Params, hs: Array, scaled: Array) -> Normal:
        w, b, a = (params["outputs"][name] for name in ("w", "b", "a"))
        found = hs @ w + b.reshape((1,) * (hs.ndim - 1) + (2,))
        mean = centre + spread * (found[..., 0] + a * scaled[..., 0])
        variance = spread**2 * (jax.nn.softplus(found[..., 1]) + LEAST)
        return Normal(mean, variance)

    def reader(layer: Layer):
        def forecast(
            params: Params, values_TB1: Array, context: Context = Context()
        ) -> Normal:
            scaled = (values_TB1 - centre) / spread
            state = layer.initial_state(params["layers"], values_TB1.shape[1])
            _, hs = layer.apply(params["layers"], scaled, state, context)
            dropout, drops = context.dropout, config.dropout
            if dropout is not None and drops.output:
                hs = features(dropout.at(config.layers), hs, drops.kind, "output")
            return normal(params, hs, scaled)

        return forecast

    def states(params: Params, values_TB1: Array) -> State:
        scaled = (values_TB1 - centre) / spread
        start = layer.initial_state(params["layers"], values_TB1.shape[1])
        return states_before(layer, params["layers"], scaled, start)[0]

    parts = tuple(part.under("", "layers") for part in layer.parts)
    problem = make_problem(init, reader, layer, parts)
    paths = make_paths(layer, normal, centre, spread)
    return Forecaster(reader(layer), states, paths, problem, layer, parts)


def make_paths(layer: Layer, normal: Any, centre: float, spread: float):
    """`Forecaster.paths` of a stack and (params, hs, scaled values) -> `Normal`."""

    def paths(
        params: Params, state: State, values_B1: Array, key: Array, steps: int
    ) -> Array:
        def step(carry, key):
            state, values_B1 = carry
            scaled = (values_B1 - centre) / spread
            state, hs = layer.step(params["layers"], state, scaled)  # type: ignore
            found = normal(params, hs, scaled)
            noise_B = jax.random.normal(key, found.mean.shape)
            drawn_B = found.mean + jnp.sqrt(found.variance) * noise_B
            return (state, drawn_B[:, None]), drawn_B

        keys = jax.random.split(key, steps)
        return lax.scan(step, (state, values_B1), keys)[1]

    return paths


def make_problem(
    init: Any, reader: Any, layer: Layer, parts: tuple[Part, ...], τ: int = 0
) -> Problem:
    """−ln density of each value that counts; windows stand alone. τ as in the language
    model's."""
    whole, cut = reader(layer), reader(truncated(layer, τ) if τ else layer)

    def loss(params: Params, carry: tuple, batch: Batch, context: Context):
        nats_TB = cut(params, batch.inputs, context).nats(batch.targets)
        return carry, Sum(jnp.sum(nats_TB * batch.mask), jnp.sum(batch.mask))

    def evaluate(params: Params, carry: tuple, batch: Batch):
        found, count = whole(params, batch.inputs), jnp.sum(batch.mask)
        off_TB = jnp.abs(batch.targets - found.mean)
        deviation_TB = jnp.sqrt(found.variance)
        scores = {
            "loss": found.nats(batch.targets),
            "squared_error": jnp.square(off_TB),
            "absolute_error": off_TB,
        }
        for share, z in QUANTILES.items():
            scores[f"coverage_{share}"] = (off_TB <= z * deviation_TB).astype(
                off_TB.dtype
            )
        return carry, {
            name: Sum(jnp.sum(score_TB * batch.mask), count)
            for name, score_TB in scores.items()
        }

    return Problem(
        init=init,
        carry=lambda params, lanes: (),
        loss=loss,
        evaluate=evaluate,
        taps=lambda params, batch: taps_of(parts, params, *batch.targets.shape),
        parts=parts,
        focus=lambda batch: last_token(batch, parts),
        truncated=lambda τ: make_problem(init, reader, layer, parts, τ),
    )
