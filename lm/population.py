"""Many runs as one: N members that differ in numbers alone share a compiled step.

A member is a run of its own: parameters, optimizer, carried state, key and numbers.
Every function here is its namesake of `lm.train` under `vmap`, its arguments stacked
on a leading axis N; no member sees another, so that one which diverges stops nobody.

What may differ: `Hyperparameters` (learning rate, clip norm, weight decay, dropout),
`InitNumbers`, and the key. What shapes the program may not: sizes, kinds, whether a
rate is 0, and the rate of zoneout, which evaluation knows as well.

Over several devices the axis N is split, and each device runs its own members.
"""

from collections.abc import Sequence
from dataclasses import fields, replace
from functools import wraps
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import lax
from jax.sharding import AxisType, Mesh
from jax.sharding import PartitionSpec as P

from lm.config import InitConfig, ModelConfig, OptimConfig
from lm.model import LanguageModel, build
from lm.optim import Hyperparameters
from lm.train import TrainState, init_state, make_eval_step, make_train_step
from lm.types import Array

AXIS = "members"


class InitNumbers(NamedTuple):
    """The numbers of an `InitConfig`; each may be traced."""

    scale: Any
    gain: Any
    forget_bias: Any


class TracedInit(InitConfig):
    """An `InitConfig` whose numbers are traced. They were checked before they were."""

    def __post_init__(self):
        pass


def init_numbers(config: InitConfig) -> InitNumbers:
    """The config's numbers."""
    return InitNumbers(config.scale, config.gain, config.forget_bias)


def with_init(config: ModelConfig, numbers: InitNumbers) -> ModelConfig:
    """The config with these numbers in place of its own."""
    known = {f.name: getattr(config.init, f.name) for f in fields(InitConfig)}
    return replace(config, init=TracedInit(**(known | numbers._asdict())))


def make_population_init(
    config: ModelConfig, optim: OptimConfig, vocabulary: int, lanes: int
):
    """init(keys_N, inits_N, numbers_N) -> states_N: `init_state` of every member."""

    def init(key: Array, inits: InitNumbers, numbers: Hyperparameters) -> TrainState:
        model = build(with_init(config, inits), vocabulary)
        return init_state(model, optim, numbers, key, lanes)

    return jax.vmap(init)


def make_population_step(model: LanguageModel, optim: OptimConfig):
    """train_step(states_N, batches_N, keys_N, numbers_N) -> (states_N, infos_N).

    The leaves of batches_N are those of `Batch` behind an axis N, padded to one
    length T. Padding behind the end of a window changes nothing but the carried
    state, which has to start anew (`fresh`) in the next window.
    """
    return jax.vmap(make_train_step(model, optim))


def make_population_eval(model: LanguageModel):
    """eval_step(params_N, carries_N, batch) -> (carries_N, Sums_N): one batch for all,
    since nobody shuffles what is evaluated on."""
    return jax.vmap(make_eval_step(model), in_axes=(0, 0, None))


def member(stacked: Any, n) -> Any:
    """Member n of a stacked tree; n may be traced."""
    return jax.tree.map(
        lambda x: lax.dynamic_index_in_dim(x, n, keepdims=False), stacked
    )


def with_member(stacked: Any, n, one: Any) -> Any:
    """The stacked tree with `one` as its member n."""
    return jax.tree.map(
        lambda x, new: lax.dynamic_update_index_in_dim(x, new, n, 0), stacked, one
    )


def choose(new_N: Array, new: Any, old: Any) -> Any:
    """Members of `new` where new_N is true, those of `old` elsewhere."""

    def leaf(x, y):
        return jnp.where(new_N.reshape(-1, *(1,) * (x.ndim - 1)), x, y)

    return jax.tree.map(leaf, new, old)


def make_mesh(devices: Sequence[Any]) -> Mesh:
    """The devices in a row; device d holds the d-th share of the members."""
    return jax.make_mesh(
        (len(devices),), (AXIS,), axis_types=(AxisType.Auto,), devices=devices
    )


def over_devices(function: Any, mesh: Mesh, shared: int = 0) -> Any:
    """A stacked function with the axis N split over the mesh.

    shared: so many of its last arguments have no axis N: they are on every device.
    """

    @wraps(function)
    def split(*given):
        own = len(given) - shared
        specs = (P(AXIS),) * own + (P(),) * shared
        whole = jax.shard_map(
            function, mesh=mesh, in_specs=specs, out_specs=P(AXIS), check_vma=False
        )
        return whole(*given)

    return split
