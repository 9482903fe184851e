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
from functools import wraps
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax
from jax.sharding import AxisType, Mesh
from jax.sharding import PartitionSpec as P

from lm.config import OptimConfig
from lm.optim import Hyperparameters
from lm.problem import InitNumbers, Problem
from lm.train import TrainState, init_state, make_eval_step, make_train_step
from lm.types import Array

AXIS = "members"


def make_population_init(problem: Problem, optim: OptimConfig, lanes: int):
    """init(keys_N, inits_N, numbers_N) -> states_N: `init_state` of every member."""

    def init(key: Array, inits: InitNumbers, numbers: Hyperparameters) -> TrainState:
        return init_state(problem, optim, numbers, key, lanes, inits)

    return jax.vmap(init)


def make_population_step(problem: Problem, optim: OptimConfig):
    """train_step(states_N, batches_N, keys_N, numbers_N) -> (states_N, infos_N).

    The leaves of batches_N are those of `Batch` behind an axis N, padded to one
    length T. Padding behind the end of a window changes nothing but the carried
    state, which has to start anew (`fresh`) in the next window.
    """
    return jax.vmap(make_train_step(problem, optim))


def make_population_eval(problem: Problem):
    """eval_step(params_N, carries_N, batch) -> (carries_N, {name: Sums_N}): one batch
    for all, since nobody shuffles what is evaluated on."""
    return jax.vmap(make_eval_step(problem), in_axes=(0, 0, None))


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
