"""What a peer is asked for, and how those on JAX take a training step, read, write."""

import dataclasses
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import optax

from experiments.config import Config
from experiments.results.timing import Stepper
from lm.config import ModelConfig, OptimConfig
from lm.losses import cross_entropy
from lm.optim import clipper, optimizer
from lm.precision import in_precision
from lm.train import numbers_of
from lm.types import Batch

TEXT = 1_000_000  # tokens of a text whose batches are made
READINGS = ("windows", "sentences")


class Absent(Exception):
    """A peer has no such cell, or does no such thing."""


class Case(NamedTuple):
    """A language model and what it does: vocabulary V, steps T, lanes B, model and
    optimizer. Dropout and truncation are left out: they are not what is timed.

    does  what is timed: "train", a training step; "read", the loss of a window;
          "write", T tokens drawn in each lane, one after another; "trace", the
          gradient of a window's loss in the state after each step of each layer;
          "windows", an epoch of a text read on in B lanes, T tokens a batch;
          "sentences", an epoch of its sentences, B a batch. Of the last two the model
          is not used, and the text is `text_of`'s.
    """

    vocabulary: int
    steps: int
    lanes: int
    model: ModelConfig
    optim: OptimConfig
    does: str = "train"

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

    @property
    def tokens(self) -> int:
        """What is read or written in a turn, padding not counted."""
        return TEXT if self.does in READINGS else self.steps * self.lanes


def in_bfloat16(case: Case) -> Case:
    """The case with the products of its gradient in bfloat16."""
    optim = dataclasses.replace(case.optim, precision="bfloat16")
    return case._replace(optim=optim)


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
    """What the case does, of apply(params, ids_TB, carries) -> (carries, logits_TBV);
    jit-compiled, its state donated.

    Raises:
      Absent: for states within the window, which `apply` keeps to itself, and for
        what needs no model.
    """
    if case.does not in MAKERS:
        raise Absent(f"{case.does}: not by its layers, which hand out no inner states")
    state, step, *given = MAKERS[case.does](case, params, carries, apply)
    return Stepper(
        state, jax.jit(step, donate_argnums=0), *given, jax.device_put(batch)
    )


def loss_of(case: Case, logits_TBV: Any, batch: Batch) -> Any:
    """The loss of a window."""
    total = cross_entropy(logits_TBV, batch.targets, batch.mask)
    return total.total / case.denominator


def training(case: Case, params: Any, carries: Any, apply: Callable[..., Any]) -> Any:
    """(state, step): with the loss, the precision, the clipping and the optimizer of
    `lm`."""
    optim = case.optim
    numbers = numbers_of(Config(model=case.model, optim=optim))

    def step(state, batch: Batch):
        params, opt_state, carries = state

        def loss(params):
            after, logits = apply(params, batch.inputs, carries)
            return loss_of(case, logits, batch), after

        gradient = in_precision(optim.precision, jax.grad(loss, has_aux=True))
        raw, after = gradient(params)
        raw, _ = clipper(optim, numbers.clip_at).update(raw, optax.EmptyState())
        rule = optimizer(optim, numbers)
        updates, opt_state = rule.update(raw, opt_state, params)
        return (optax.apply_updates(params, updates), opt_state, after), None

    return (params, optimizer(optim, numbers).init(params), carries), step


def reading(case: Case, params: Any, carries: Any, apply: Callable[..., Any]) -> Any:
    """(state, step, params): the loss of a window, its state carried on."""

    def step(carries, params, batch: Batch):
        after, logits = apply(params, batch.inputs, carries)
        return after, loss_of(case, logits, batch)

    return carries, step, params


def writing(case: Case, params: Any, carries: Any, apply: Callable[..., Any]) -> Any:
    """(state, step, params): a token drawn at each of the steps, in every lane."""

    def step(state, params, batch: Batch):
        def one(at, _):
            params, key, ids_B, carries = at  # Flax's belong to the loop that uses them
            key, draw = jax.random.split(key)
            carries, logits_TBV = apply(params, ids_B[None], carries)
            ids_B = jax.random.categorical(draw, logits_TBV[0])
            return (params, key, ids_B, carries), ids_B

        key, carries = state
        start = params, key, batch.inputs[0], carries
        (_, key, _, carries), ids_TB = jax.lax.scan(one, start, length=case.steps)
        return (key, carries), ids_TB

    return (jax.random.key(0), carries), step, params


MAKERS = {"train": training, "read": reading, "write": writing}
