"""What a task is, and helpers to make its batches."""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp

from lm.types import Array, Batch


def all_counted(batch: Batch) -> Array:
    """(T, B): 1 at every answer that counts for the loss."""
    return batch.mask


def constant(*outputs: float) -> Callable[[Batch], Array]:
    """(batch) -> (T, B, C): the same outputs at every step."""
    return lambda batch: jnp.broadcast_to(
        jnp.asarray(outputs), (*batch.targets.shape, len(outputs))
    )


def certain(steps: int) -> float:
    """The least loss where every answer follows from what was read: 0."""
    return 0.0


class Task(NamedTuple):
    """A family of sequences with an answer that needs memory.

    name        the registry's name.
    symbols     number of input symbols; 0 where inputs are (T', B, 2) real numbers.
    classes     number of target classes; 0 where targets are real numbers.
    sample      (key, B, T) -> Batch, pure; T' = length(T) steps.
    length      steps T' of a sample for the parameter T.
    floor       T -> loss per counted target of the best predictor without memory.
    shortest    least T.
    asks        (batch) -> (T', B): 1 at the answers that decide whether a sequence is
                solved.
    memoryless  (batch) -> outputs (T', B, C) that cost the floor: logits, or numbers
                (C = 1); None where they follow a grammar.
    padded      sequences end where they will and are padded up to T, so that T is
                no measure of the memory that they need.
    optimum     T -> loss per counted target of the best predictor that there is.
    """

    name: str
    symbols: int
    classes: int
    sample: Callable[[Array, int, int], Batch]
    length: Callable[[int], int]
    floor: Callable[[int], float]
    shortest: int
    asks: Callable[[Batch], Array] = all_counted
    memoryless: Callable[[Batch], Array] | None = None
    padded: bool = False
    optimum: Callable[[int], float] = certain


def checked(name: str, batch: int, length: int, shortest: int) -> None:
    """Raise ValueError where a task cannot be that short."""
    if batch < 1 or length < shortest:
        raise ValueError(
            f"task {name}: B is {batch} and T is {length}; B must be 1 or more and T "
            f"{shortest} or more"
        )


def everywhere(inputs_TB: Array, targets_TB: Array, mask_TB: Array) -> Batch:
    """A batch of sequences that all begin here."""
    fresh_B = jnp.ones(inputs_TB.shape[1], bool)
    return Batch(inputs_TB, targets_TB, mask_TB.astype(jnp.float32), fresh_B)


def at_end(inputs_TB: Array, answer_B: Array) -> Batch:
    """A batch with one target, at the last step."""
    steps, lanes = inputs_TB.shape[:2]
    targets_TB = jnp.zeros((steps, lanes), answer_B.dtype).at[-1].set(answer_B)
    return everywhere(inputs_TB, targets_TB, jnp.zeros((steps, lanes)).at[-1].set(1))


def position_within(key: Array, batch: int, begin: float, end: float) -> Array:
    """(B,) whole numbers, uniform from ⌈begin⌉ up to, not including, ⌈end⌉."""
    low, high = -int(-begin // 1), -int(-end // 1)
    return jax.random.randint(key, (batch,), low, max(high, low + 1))
