"""The random keys of a run: all follow from its seed.

Steps draw from `fold_in(key, step)`; what is drawn once has a number that no step
reaches.
"""

import jax

INIT, SAMPLE = 2**32 - 1, 2**32 - 2


def init_key(key: jax.Array) -> jax.Array:
    """What the weights are drawn with, in a run of this key."""
    return jax.random.fold_in(key, INIT)


def sample_key(key: jax.Array) -> jax.Array:
    """What the texts in samples.txt are drawn with: the same at every step, so that
    they can be compared."""
    return jax.random.fold_in(key, SAMPLE)
