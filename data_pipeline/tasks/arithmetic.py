"""Adding, multiplication, parity."""

import math
from collections.abc import Callable

import jax
import jax.numpy as jnp

from data_pipeline.tasks.task import Task, at_end, checked, constant
from lm.types import Array, Batch


def _marked_pairs(key: Array, batch: int, steps: int) -> tuple[Array, Array]:
    """Inputs (T, B, 2) of values and markers, and the two marked values (2, B).

    Values are uniform on [0, 1); one marker falls in the first half of the sequence
    and one in the second (Le 2015; Arjovsky 2016).
    """
    values_key, first_key, second_key = jax.random.split(key, 3)
    values_TB = jax.random.uniform(values_key, (steps, batch))
    half = steps // 2
    first_B = jax.random.randint(first_key, (batch,), 0, half)
    second_B = jax.random.randint(second_key, (batch,), half, steps)
    at_2B = jnp.stack([first_B, second_B])
    lanes = jnp.arange(batch)
    markers_TB = jnp.zeros((steps, batch)).at[at_2B, lanes].set(1)
    return jnp.stack([values_TB, markers_TB], axis=-1), values_TB[at_2B, lanes]


def _pair_task(
    name: str, combine: Callable[[Array], Array], mean: float, floor: float
) -> Task:
    def sample(key: Array, batch: int, steps: int) -> Batch:
        checked(name, batch, steps, 2)
        inputs_TB2, marked_2B = _marked_pairs(key, batch, steps)
        return at_end(inputs_TB2, combine(marked_2B))

    return Task(
        name,
        symbols=0,
        classes=0,
        sample=sample,
        length=lambda steps: steps,
        floor=lambda _: floor,
        shortest=2,
        memoryless=constant(mean),
    )


ADDING = _pair_task("adding", lambda pair_2B: pair_2B.sum(axis=0), 1.0, 1 / 6)
"""The sum of the two marked numbers (Hochreiter & Schmidhuber 1997, in the form of Le
2015). The mean as an answer costs the variance of the sum: 2/12 = 1/6."""

MULTIPLICATION = _pair_task(
    "multiplication", lambda pair_2B: pair_2B.prod(axis=0), 0.25, 7 / 144
)
"""Their product (Hochreiter & Schmidhuber 1997). Variance 1/9 - 1/16 = 7/144."""


def _sample_parity(key: Array, batch: int, steps: int) -> Batch:
    checked("parity", batch, steps, 2)
    bits_TB = jax.random.bernoulli(key, shape=(steps, batch)).astype(jnp.int32)
    return at_end(bits_TB, bits_TB.sum(axis=0) % 2)


PARITY = Task(
    "parity",
    symbols=2,
    classes=2,
    sample=_sample_parity,
    length=lambda steps: steps,
    floor=lambda _: math.log(2),
    shortest=2,
    memoryless=constant(0.0, 0.0),
)
"""Whether the number of ones is odd, asked at the end."""
