"""How outputs are judged that are not the next word: classes and numbers."""

from collections.abc import Callable
from typing import NamedTuple

import jax.numpy as jnp

from lm.losses import token_nats
from lm.types import Array, Sum


class Head(NamedTuple):
    """How outputs_TBC are judged against targets_TB.

    losses  (outputs_TBC, targets_TB) -> (T, B), differentiable.
    right   (outputs_TBC, targets_TB) -> (T, B) bool: whether the answer counts.
    """

    losses: Callable[[Array, Array], Array]
    right: Callable[[Array, Array], Array]

    def total(self, outputs_TBC: Array, targets_TB: Array, mask_TB: Array) -> Sum:
        """Losses (nats, or squared errors) summed where the mask is 1, and the mask's
        sum."""
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
