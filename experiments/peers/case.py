"""What a peer is asked for, and the training step of those on JAX."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import optax

from experiments.config import Config
from experiments.results.timing import Stepper
from lm.config import ModelConfig, OptimConfig
from lm.losses import cross_entropy
from lm.optim import clipper, optimizer
from lm.train import numbers_of
from lm.types import Batch


class Absent(Exception):
    """A peer has no such cell."""


class Case(NamedTuple):
    """A language model's training step: vocabulary V, steps T, lanes B, model and
    optimizer. Dropout and truncation are left out: they are not what is timed."""

    vocabulary: int
    steps: int
    lanes: int
    model: ModelConfig
    optim: OptimConfig

    @property
    def widths(self) -> list[tuple[int, int]]:
        """(D, H) of each layer, from the bottom."""
        model = self.model
        widths = [model.embedding or self.vocabulary] + [model.hidden] * model.layers
        return list(zip(widths[:-1], widths[1:], strict=True))

    @property
    def denominator(self) -> int:
        """What the loss over a window is divided by."""
        token = self.optim.reduction == "token"
        return self.lanes * self.steps if token else self.lanes


def cell_of(cells: dict[str, Any], case: Case) -> Any:
    """The peer's own for the case.

    Raises:
      Absent: it has none.
    """
    if case.model.cell not in cells:
        raise Absent(case.model.cell)
    return cells[case.model.cell]


def inputs_of(case: Case, embedding: Any, ids_TB: Any) -> Any:
    """Rows of the embedding (V, E), or one-hot rows where there is none."""
    if embedding is None:
        return jax.nn.one_hot(ids_TB, case.vocabulary)
    return embedding[ids_TB]


def stepper(
    case: Case, batch: Batch, params: Any, carries: Any, apply: Callable[..., Any]
) -> Stepper:
    """The step of apply(params, ids_TB, carries) -> (carries, logits_TBV), with the
    loss, the clipping and the optimizer of `lm`; jit-compiled, its state donated."""
    optim = case.optim
    numbers = numbers_of(Config(model=case.model, optim=optim))

    def step(state, batch: Batch):
        params, opt_state, carries = state

        def loss(params):
            after, logits = apply(params, batch.inputs, carries)
            total = cross_entropy(logits, batch.targets, batch.mask)
            return total.total / case.denominator, after

        raw, after = jax.grad(loss, has_aux=True)(params)
        raw, _ = clipper(optim, numbers.clip_at).update(raw, optax.EmptyState())
        rule = optimizer(optim, numbers)
        updates, opt_state = rule.update(raw, opt_state, params)
        return (optax.apply_updates(params, updates), opt_state, after), None

    state = params, optimizer(optim, numbers).init(params), carries
    return Stepper(state, jax.jit(step, donate_argnums=0), jax.device_put(batch))
