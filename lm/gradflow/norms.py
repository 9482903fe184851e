"""Norms of parameters and gradients, the gradient's noise scale, how often it is cut.

Gradient, weight and update norms per parameter group come with every training step
(`lm.train.StepInfo`); `per_group` gives them their names.
"""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import lax

from lm.train import StepInfo, group_names, norms
from lm.types import Array, Params


class NoiseScale(NamedTuple):
    """The simple noise scale of McCandlish et al. 2018, B = tr Σ/|G|².

    signal  |G|², the squared norm of the true gradient. Unbiased: it may be negative.
    noise   tr Σ, the variance of one example's gradient, summed over parameters.
    scale   their ratio, in examples: much smaller batches are noise, much larger ones
            are wasted.
    """

    signal: Array
    noise: Array
    scale: Array


def per_group(params: Params, info: StepInfo) -> dict[str, dict[str, Array]]:
    """{group: {"gradient", "weight", "update", "ratio"}}; ratio is update/weight."""
    named = zip(
        group_names(params),
        info.gradients_P,
        info.weights_P,
        info.updates_P,
        strict=True,
    )
    return {
        name: {
            "gradient": g,
            "weight": w,
            "update": u,
            "ratio": u / jnp.maximum(w, 1e-30),
        }
        for name, g, w, u in named
    }


def noise_scale(
    squared_small: Array, squared_big: Array, small: int, big: int
) -> NoiseScale:
    """From the mean squared gradient norms at two batch sizes (appendix A.1).

    E|G_B|² = |G|² + tr Σ/B at either size; the two equations solved:

        |G|² = (B_big·|G_big|² − B_small·|G_small|²)/(B_big − B_small)
        tr Σ = (|G_small|² − |G_big|²)/(1/B_small − 1/B_big)

    Both are unbiased, their ratio is not: average signal and noise over steps before
    dividing (`pooled`).
    """
    signal = (big * squared_big - small * squared_small) / (big - small)
    noise = (squared_small - squared_big) / (1 / small - 1 / big)
    return NoiseScale(signal, noise, noise / signal)


def pooled(measured: NoiseScale) -> NoiseScale:
    """One noise scale from many (leaves (K,)): the ratio of the means."""
    signal, noise = jnp.mean(measured.signal), jnp.mean(measured.noise)
    return NoiseScale(signal, noise, noise / signal)


def noise_scale_of(
    gradient: Callable[..., Params], examples: Params, count: int
) -> NoiseScale:
    """The noise scale from the gradients of single examples.

    gradient  (example) -> the gradient of its loss, a pytree.
    examples  a pytree whose leaves have a leading axis of `count` examples: B_small is
              1 and B_big is count.

    Cost: `count` backward passes of one example each, one after another; memory of two
    gradients.
    """

    def body(total, example):
        g = gradient(example)
        return jax.tree.map(jnp.add, total, g), jnp.sum(norms(g) ** 2)

    first = jax.tree.map(lambda leaf: leaf[0], examples)
    zero = jax.tree.map(
        lambda leaf: jnp.zeros(leaf.shape, leaf.dtype), jax.eval_shape(gradient, first)
    )
    total, squared = lax.scan(body, zero, examples)
    big = jnp.sum(norms(total) ** 2) / count**2
    return noise_scale(jnp.mean(squared), big, 1, count)


def clip_rate(gradient_norms: Array, clipped_norms: Array) -> Array:
    """The share of steps whose gradient was cut, from `StepInfo`'s two norms."""
    return jnp.mean(clipped_norms < gradient_norms * (1 - 1e-6))
