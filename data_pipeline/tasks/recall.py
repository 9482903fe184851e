"""Copy memory, temporal order, delayed recall."""

import math

import jax
import jax.numpy as jnp

from data_pipeline.tasks.task import (
    Task,
    at_end,
    checked,
    constant,
    everywhere,
    position_within,
)
from lm.types import Array, Batch

COPIED, KINDS = 10, 8  # symbols to copy, and how many kinds of them
BLANK, GO = 0, KINDS + 1


def _sample_copy(key: Array, batch: int, delay: int) -> Batch:
    checked("copy_memory", batch, delay, 1)
    copied_KB = jax.random.randint(key, (COPIED, batch), 1, KINDS + 1)
    blanks = jnp.zeros((delay - 1, batch), jnp.int32)
    go = jnp.full((1, batch), GO)
    after = jnp.zeros((COPIED, batch), jnp.int32)
    inputs_TB = jnp.concatenate([copied_KB, blanks, go, after])
    before = jnp.zeros((delay + COPIED, batch), jnp.int32)
    targets_TB = jnp.concatenate([before, copied_KB])
    return everywhere(inputs_TB, targets_TB, jnp.ones(inputs_TB.shape))


def _any_symbol(batch: Batch) -> Array:
    """Blank for certain, then any of the `KINDS` symbols in the last `COPIED` steps."""
    answering_T = jnp.arange(len(batch.targets)) >= len(batch.targets) - COPIED
    blank_C = jnp.arange(KINDS + 1) == BLANK
    right_TC = answering_T[:, None] != blank_C[None, :]
    shape = (*batch.targets.shape, KINDS + 1)
    return jnp.broadcast_to(jnp.where(right_TC, 0.0, -30.0)[:, None], shape)


COPY_MEMORY = Task(
    "copy_memory",
    symbols=KINDS + 2,
    classes=KINDS + 1,
    sample=_sample_copy,
    length=lambda delay: delay + 2 * COPIED,
    floor=lambda delay: COPIED * math.log(KINDS) / (delay + 2 * COPIED),
    shortest=1,
    memoryless=_any_symbol,
)
"""Ten symbols of eight kinds (1 to 8); T - 1 blanks (0); a delimiter (9); ten blanks in
which to repeat the symbols. Targets are blank before (Arjovsky 2016). T + 20 steps, all
of them counted: without memory 10 ln 8 / (T + 20)."""

A, B_SYMBOL, DISTRACTORS = 0, 1, 4  # symbols 2 to 5 mean nothing


def _order_task(name: str, places: tuple[tuple[float, float], ...]) -> Task:
    classes = 2 ** len(places)

    def sample(key: Array, batch: int, steps: int) -> Batch:
        checked(name, batch, steps, 10)
        noise_key, symbol_key, *keys = jax.random.split(key, 2 + len(places))
        inputs_TB = jax.random.randint(noise_key, (steps, batch), 2, 2 + DISTRACTORS)
        symbols_KB = jax.random.randint(symbol_key, (len(places), batch), A, 2)
        at_KB = jnp.stack(
            [
                position_within(k, batch, begin * steps, end * steps)
                for k, (begin, end) in zip(keys, places, strict=True)
            ]
        )
        inputs_TB = inputs_TB.at[at_KB, jnp.arange(batch)].set(symbols_KB)
        weights_K = 2 ** jnp.arange(len(places))[::-1]
        return at_end(inputs_TB, weights_K @ symbols_KB)

    floor = math.log(classes)
    length = _same
    return Task(
        name,
        symbols=2 + DISTRACTORS,
        classes=classes,
        sample=sample,
        length=length,
        floor=lambda _: floor,
        shortest=10,
        memoryless=constant(*[0.0] * classes),
    )


def _same(steps: int) -> int:
    return steps


TEMPORAL_ORDER_2 = _order_task("temporal_order_2", ((0.1, 0.2), (0.5, 0.6)))
"""Two symbols out of A (0) and B (1), among distractors (2 to 5), at [.1T, .2T) and
[.5T, .6T): which, in which order? Classes AA, AB, BA, BB, asked at the end (Hochreiter
& Schmidhuber 1997; placed as in Pascanu 2013)."""

TEMPORAL_ORDER_3 = _order_task(
    "temporal_order_3", ((0.1, 0.2), (0.33, 0.43), (0.66, 0.76))
)
"""Three symbols, eight classes (Hochreiter & Schmidhuber 1997, experiment 6b)."""


def _sample_delayed(key: Array, batch: int, steps: int) -> Batch:
    checked("delayed_recall", batch, steps, 2)
    first_key, noise_key = jax.random.split(key)
    first_B = jax.random.randint(first_key, (batch,), 0, KINDS)
    noise_TB = jax.random.randint(noise_key, (steps - 1, batch), 0, KINDS)
    return at_end(jnp.concatenate([first_B[None], noise_TB]), first_B)


DELAYED_RECALL = Task(
    "delayed_recall",
    symbols=KINDS,
    classes=KINDS,
    sample=_sample_delayed,
    length=_same,
    floor=lambda _: math.log(KINDS),
    shortest=2,
    memoryless=constant(*[0.0] * KINDS),
)
"""The first symbol of a random sequence of eight kinds, asked at the end."""
