"""Sequence labelling: a stack whose outputs are not its inputs' alphabet.

    y_t = hᴸ_t·W + b        of x_1 … x_t; which y_t count, the batch's mask says

A language model predicts what it reads. This one is asked something else: a number
after a sequence of pairs, one of four classes, a letter at each step (Graves 2012,
chapter 2). How its outputs are judged is a `Head` (lm.heads).
"""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from lm.config import ConfigError, ModelConfig
from lm.heads import Head
from lm.models.language_model import LanguageModel, build, make_problem
from lm.problem import InitNumbers, Problem, start, with_numbers
from lm.types import Array, Batch, Cell, Params, State, Sum


def counted(batch: Batch) -> Array:
    """(T, B): the answers that count for the loss."""
    return batch.mask


def last_counted(batch: Batch) -> Array:
    """(T, B): of these the last one of each lane."""
    left_TB = jnp.cumsum(batch.mask[::-1], axis=0)[::-1]
    return batch.mask * (left_TB == 1)


def build_labelling(
    config: ModelConfig,
    d_in: int,
    d_out: int,
    head: Head,
    cell: Cell | None = None,
    asks: Callable[[Batch], Array] = counted,
) -> LanguageModel:
    """The stack that `config` describes, from d_in inputs to d_out outputs a step.

    Inputs are (T, B, d_in) floats, or (T, B) ids below d_in as one-hot rows by index.
    `model.logits(params, hs)` gives the d_out outputs, `model.problem` trains them and
    evaluates "loss" and "solved": lanes in which every answer is right, of all.
    cell: in place of the registry's. asks: (batch) -> (T, B), the answers that decide
    whether a lane is solved.

    Raises:
      ConfigError: if the config has an embedding: inputs go into the cell.
    """
    if config.embedding:
        raise ConfigError(
            f"model.embedding is {config.embedding}: a task feeds its inputs into the "
            "cell, so set it to 0"
        )
    model = build(config, d_out, cell)

    def init(key: Array, numbers: InitNumbers | None = None) -> Params:
        key_stack, key_first = jax.random.split(key)
        whole = build(with_numbers(config, numbers), d_out, cell)
        keys = [key_first, *jax.random.split(key_stack, config.layers + 2)[3:]]
        return whole.init(key_stack) | {"layers": whole.stack.init(keys, d_in)}

    model = model._replace(init=init)
    return model._replace(problem=labelling_problem(model, head, cell, asks))


def labelling_problem(
    model: LanguageModel, head: Head, cell: Cell | None, asks=counted
) -> Problem:
    """The head's loss; see `build_labelling`."""
    problem = make_problem(model, cell, measure=head.total)

    def evaluate(params: Params, carry: State, batch: Batch) -> tuple[State, Any]:
        carry = start(model.initial_state, params, carry, batch.fresh)
        carry, hs = model.apply(params, batch.inputs, carry)
        outputs = model.logits(params, hs)
        asked_TB = asks(batch)
        solved_B = head.solved(outputs, batch.targets, asked_TB)
        asked_B = jnp.any(asked_TB > 0, axis=0)
        right = jnp.sum((solved_B & asked_B).astype(jnp.float32))
        return carry, {
            "loss": head.total(outputs, batch.targets, batch.mask),
            "solved": Sum(right, jnp.sum(asked_B.astype(jnp.float32))),
        }

    return problem._replace(init=model.init, evaluate=evaluate)
