"""Models of tasks: a recurrent stack whose outputs are not its inputs' alphabet.

A language model predicts what it reads. A task asks something else: a number after a
sequence of pairs, one of four classes, a letter at each step. `build_task_model`
gives the same record of pure functions as `lm.model.build`, so that everything made
for language models (training steps, taps, lag profiles, Jacobians) serves here too;
what differs is how its outputs are judged, and that is a `Head`.
"""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp

from lm.config import ConfigError, ModelConfig
from lm.losses import Sum, token_nats
from lm.model import LanguageModel, build
from lm.types import Array, Cell, Params


class Head(NamedTuple):
    """How outputs_TBC are judged against targets_TB.

    losses  (outputs_TBC, targets_TB) -> (T, B), differentiable.
    right   (outputs_TBC, targets_TB) -> (T, B) bool: whether the answer counts.
    """

    losses: Callable[[Array, Array], Array]
    right: Callable[[Array, Array], Array]

    def total(self, outputs_TBC: Array, targets_TB: Array, mask_TB: Array) -> Sum:
        """Losses summed where the mask is 1, and the mask's sum; for a regression the
        sum is of squared errors, whatever its field is called."""
        losses_TB = self.losses(outputs_TBC, targets_TB)
        return Sum(jnp.sum(losses_TB * mask_TB), jnp.sum(mask_TB))

    def solved(self, outputs_TBC: Array, targets_TB: Array, mask_TB: Array) -> Array:
        """(B,) bool: lanes in which every answer that the mask asks for is right."""
        return jnp.all(self.right(outputs_TBC, targets_TB) | (mask_TB == 0), axis=0)


def classification() -> Head:
    """C logits; the loss in nats; right is the largest logit at the target."""

    def right(outputs_TBC: Array, targets_TB: Array) -> Array:
        return jnp.argmax(outputs_TBC, axis=-1) == targets_TB

    return Head(token_nats, right)


def regression(tolerance: float) -> Head:
    """One number, C = 1; the loss is its squared error; right is an absolute error
    below the tolerance."""

    def error(outputs_TB1: Array, targets_TB: Array) -> Array:
        return outputs_TB1[..., 0] - targets_TB

    return Head(
        lambda outputs, targets: jnp.square(error(outputs, targets)),
        lambda outputs, targets: jnp.abs(error(outputs, targets)) < tolerance,
    )


def build_task_model(
    config: ModelConfig, d_in: int, d_out: int, cell: Cell | None = None
) -> LanguageModel:
    """The stack that `config` describes, from d_in inputs to d_out outputs a step.

    Inputs are (T, B, d_in) floats, or (T, B) ids below d_in as one-hot rows by index.
    `model.logits(params, hs)` gives the d_out outputs. cell: in place of the
    registry's.

    Raises:
      ConfigError: if the config has an embedding: a task's inputs go into the cell.
    """
    if config.embedding:
        raise ConfigError(
            f"model.embedding is {config.embedding}: a task feeds its inputs into the "
            "cell, so set it to 0"
        )
    model = build(config, d_out, cell)

    def init(key: Array) -> Params:
        key_stack, key_first = jax.random.split(key)
        params = model.init(key_stack)
        first = model.cells[0].init(key_first, d_in)
        return params | {"layers": (first, *params["layers"][1:])}

    return model._replace(init=init)
