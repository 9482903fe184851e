"""The networks of the long-memory studies, and how a task asks them.

`network(name, hidden, task)` is a cell of the registry by its name, with a head for
the task; "smart tanh" is the network with which Pascanu, Mikolov & Bengio 2013 drew
their success curve.
"""

import math

import jax
import jax.numpy as jnp

from data_pipeline.tasks import Task
from lm.cells.elman import ElmanState
from lm.cells.forms import draw_gates, general, zeros
from lm.config import InitConfig, ModelConfig
from lm.heads import Head, classification, regression
from lm.models.labelling import build_labelling
from lm.models.language_model import LanguageModel
from lm.types import Array, Cell

SMART = "smart tanh"
KEPT, RADIUS, SPREAD = 15, 0.95, 0.01
TOLERANCE = math.sqrt(0.04)


def network(name: str, hidden: int, task: Task) -> LanguageModel:
    """One recurrent layer of `hidden` units and an affine output, for a task."""
    cell = None
    if name == SMART:
        init = InitConfig("normal", SPREAD)
        cell = smart_tanh(hidden, init)
    else:
        init = InitConfig()
    registered = "tanh" if name == SMART else name
    config = ModelConfig(registered, 1, hidden, 0, init=init)
    sizes = task.symbols or 2, task.classes or 1
    return build_labelling(config, *sizes, head_of(task), cell)


def head_of(task: Task) -> Head:
    """Cross-entropy, right by the largest logit; or squared error, right below .04 (as
    the published code of Pascanu 2013 has it for adding and multiplication)."""
    return classification() if task.classes else regression(TOLERANCE)


def measured(task: Task, length: int, count: int = 10_000) -> float:
    """The loss per counted target of the best answers without memory, on fresh
    sequences; ValueError where the task has none."""
    batch = task.sample(jax.random.key(0), count, length)
    if task.memoryless is None:
        raise ValueError(f"task {task.name} has no answers without memory")
    outputs = task.memoryless(batch)
    total = head_of(task).total(outputs, batch.targets, batch.mask)
    return float(total.mean())


def smart_tanh(hidden: int, init: InitConfig) -> Cell:
    """x_t = tanh(x_{t−1})·W_rec + z_t, of which h_t = tanh(x_t) is read: the network of
    Pascanu 2013, equation 2, in the state x in which equation 10 regularizes it.

    W_rec starts with `KEPT` weights out of each unit, scaled to the spectral radius
    `RADIUS` (the "smart tanh" of the paper's code).
    """

    def params(key: Array, d_in: int):
        key_gates, key_kept = jax.random.split(key)
        drawn = draw_gates(key_gates, d_in, hidden, 1, init, True)
        return drawn | {"w_h": sparse(key_kept, drawn["w_h"])}

    return general(
        SMART,
        hidden,
        init=params,
        initial_state=zeros(ElmanState, 1, hidden),
        step=lambda p, state, z: ElmanState(z + jnp.tanh(state.h) @ p["w_h"]),
        output=lambda state: jnp.tanh(state.h),
    )


def sparse(key: Array, w_HH: Array) -> Array:
    """`KEPT` entries of each row, scaled to the spectral radius `RADIUS`."""
    places_HH = jnp.broadcast_to(jnp.arange(len(w_HH)), w_HH.shape)
    places_HH = jax.random.permutation(key, places_HH, axis=1, independent=True)
    kept_HH = jnp.where(places_HH < KEPT, w_HH, 0)
    return kept_HH * RADIUS / jnp.max(jnp.abs(jnp.linalg.eigvals(kept_HH)))
